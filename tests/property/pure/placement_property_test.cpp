// What holds for every cluster: no host is ever promised more than it has, decisions replay, refusals leave no host
// out.
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "core/json.h"
#include "scheduler/host_view.h"
#include "scheduler/placement.h"
#include "tests/support/builders.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;

HostBuilder any_host(int number) {
    auto host = a_host("h" + std::to_string(number));
    host.memory(mebibytes(*rc::gen::inRange(512, 8192))).cpus(*rc::gen::inRange(1, 8));
    host.reserve(mebibytes(*rc::gen::inRange(0, 512)));
    if (*rc::gen::inRange(0, 6) == 0) host.observed();
    if (*rc::gen::inRange(0, 6) == 0) host.state(HostState::unreachable);
    return host;
}

VmBuilder any_vm(int number) {
    auto vm = a_vm("vm" + std::to_string(number));
    vm.memory(mebibytes(*rc::gen::inRange(16, 3000))).vcpus(*rc::gen::inRange(1, 6));
    if (*rc::gen::arbitrary<bool>()) vm.group("g" + std::to_string(*rc::gen::inRange(0, 3)));
    return vm;
}

PlacementRequest place(const VmBuilder& vm) {
    PlacementRequest request;
    request.spec = vm.spec();
    request.vm = vm.build().id;
    return request;
}

Snapshot any_cluster() {
    auto cluster = a_cluster();
    const int hosts = *rc::gen::inRange(0, 6);
    for (int i = 0; i < hosts; ++i) cluster.with(any_host(i));
    return cluster.build();
}

/// Memory, cores and groups of every host are within what it has.
void check_promises(const Snapshot& snapshot) {
    for (const HostView& view : view_hosts(snapshot, VmId("nobody"))) {
        RC_ASSERT(view.promised_memory <= usable_memory(*view.host));
        RC_ASSERT(view.promised_vcpus <= usable_vcpus(*view.host));
        for (const auto& [group, members] : view.groups) RC_ASSERT(members.size() == 1U);
    }
}

/// The VM runs where it was placed: its claim is gone, its definition counts instead.
void turn_into_running(Snapshot& snapshot, const VmBuilder& vm, const HostId& host, const JobId& job) {
    snapshot.claims.erase(ClaimId(job.str()));
    snapshot.vms.put(VmBuilder(vm).on(host.str()).running().build());
}

RC_GTEST_PROP(PlacementProperty, NeverPromisesMoreThanAHostHas, ()) {
    Snapshot snapshot = any_cluster();
    const int vms = *rc::gen::inRange(1, 20);
    for (int i = 0; i < vms; ++i) {
        const auto vm = any_vm(i);
        const PlacementRequest request = place(vm);
        const Decision decision = decide(snapshot, request, *rc::gen::arbitrary<std::uint64_t>());
        if (!decision.chosen) continue;
        RC_ASSERT(check_claim(snapshot, *decision.chosen, request).has_value());
        const JobId job("j" + std::to_string(i));
        snapshot.claims.put(make_claim(snapshot, *decision.chosen, request, job, {}));
        check_promises(snapshot);
        if (*rc::gen::arbitrary<bool>()) turn_into_running(snapshot, vm, *decision.chosen, job);
        check_promises(snapshot);
    }
}

RC_GTEST_PROP(PlacementProperty, ClaimsThatAreGuardedOneByOneNeverOverfillWhateverWasDecidedBefore, ()) {
    Snapshot snapshot = any_cluster();
    const Snapshot before = snapshot;
    const int vms = *rc::gen::inRange(1, 20);
    for (int i = 0; i < vms; ++i) {
        const PlacementRequest request = place(any_vm(i));
        const Decision stale = decide(before, request, 1);  // all creates decide at once, on the same snapshot
        if (!stale.chosen || !check_claim(snapshot, *stale.chosen, request)) continue;
        snapshot.claims.put(make_claim(snapshot, *stale.chosen, request, JobId("j" + std::to_string(i)), {}));
        check_promises(snapshot);
    }
}

RC_GTEST_PROP(PlacementProperty, ReplaysFromTheSavedSnapshot, (std::uint64_t seed)) {
    Snapshot snapshot = any_cluster();
    snapshot.vms.put(any_vm(100).on("h0").running().build());
    const PlacementRequest request = place(any_vm(1));
    const Decision decision = decide(snapshot, request, seed);
    const auto saved = snapshot_from_json(to_json(snapshot));
    RC_ASSERT(saved.has_value());
    RC_ASSERT(decide(*saved, request, seed) == decision);
}

RC_GTEST_PROP(PlacementProperty, ARefusalNamesEveryHostWithAReason, ()) {
    const Snapshot snapshot = any_cluster();
    const Decision decision = decide(snapshot, place(any_vm(1).memory(gibibytes(100))), 1);
    RC_ASSERT(!decision.chosen.has_value());
    RC_ASSERT(decision.hosts.size() == snapshot.hosts.size());
    const std::string message = refusal(decision, "vm1").message();
    for (const HostVerdict& verdict : decision.hosts) {
        RC_ASSERT(message.find(verdict.name + " (") != std::string::npos);
        RC_ASSERT(!std::ranges::all_of(verdict.rules, &RuleVerdict::accepted));
    }
}

RC_GTEST_PROP(PlacementProperty, NeverChoosesAWorseScoreThanAnotherHostThatFits, (std::uint64_t seed)) {
    const Decision decision = decide(any_cluster(), place(any_vm(1)), seed);
    for (const HostVerdict& verdict : decision.hosts) {
        if (!verdict.accepted) continue;
        RC_ASSERT(decision.chosen.has_value());
        const auto chosen = std::ranges::find(decision.hosts, *decision.chosen, &HostVerdict::host);
        RC_ASSERT(chosen->accepted);
        RC_ASSERT(chosen->score >= verdict.score - 1e-9);
    }
}

}  // namespace
}  // namespace ballast::scheduler
