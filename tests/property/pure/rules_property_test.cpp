// The two answers of a rule, the cheap one and the explained one, are the same, whatever the cluster looks like.
#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "scheduler/rules/catalog.h"
#include "tests/support/builders.h"
#include "tests/unit/scheduler/share_of_maximum.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;

int any(int low, int high) {
    return *rc::gen::inRange(low, high);
}

bool one_in(int times) {
    return any(0, times) == 0;
}

std::string one_of(const char* stem, int many) {
    return stem + std::to_string(any(0, many));
}

HostBuilder any_host(int number) {
    auto host = a_host("h" + std::to_string(number));
    host.memory(gibibytes(any(1, 6))).cpus(any(1, 5)).overcommit(any(1, 3));
    if (one_in(4)) host.in_maintenance();
    if (one_in(3)) host.memory_policy(one_in(3) ? MemoryPolicy::dense : MemoryPolicy::balanced);
    if (one_in(2)) host.zone(one_of("z", 2));
    if (one_in(3)) host.label("disk", one_in(2) ? "ssd" : "hdd");
    if (one_in(3)) host.taint({"old", one_of("v", 2), static_cast<TaintEffect>(any(0, 3))});
    if (one_in(2)) host.device("gpu", any(0, 3));
    if (one_in(3))
        host.numa({{0, gibibytes(any(0, 3)), any(0, 3), {{mebibytes(2), any(0, 600)}}},
                   {1, gibibytes(any(0, 3)), any(0, 3), {{mebibytes(2), any(0, 600)}}}});
    if (one_in(3)) {
        HostFacts facts = host.facts_so_far();
        facts.cpu_model = one_of("cpu", 2);
        facts.cpu_features = {one_of("f", 2)};
        host.facts(facts);
    }
    return host;
}

VmPlacement any_placement() {
    VmPlacement placement;
    if (one_in(2)) placement.groups = {one_of("g", 3), one_of("g", 3)};
    for (int i = any(0, 3); i > 0; --i)
        placement.affinity.push_back({.group = one_of("g", 3),
                                      .kind = static_cast<AffinityKind>(any(0, 4)),
                                      .strength = one_in(4) ? Strength::should : Strength::must,
                                      .scope = static_cast<AffinityScope>(any(0, 2)),
                                      .limit = any(1, 3)});
    if (one_in(4)) placement.hosts = {one_of("h", 5)};
    if (one_in(3)) placement.tolerations = {{"old", one_in(2) ? "" : "v0", {}}};
    if (one_in(4)) placement.devices = {{"gpu", any(1, 3)}};
    if (one_in(4)) placement.cpu_features = {one_of("f", 2)};
    if (one_in(4)) placement.hugepage_size = mebibytes(2);
    if (one_in(4)) placement.numa = {.cells = any(1, 3), .pinned = one_in(2)};
    return placement;
}

VmBuilder any_vm(int number) {
    auto vm = a_vm("vm" + std::to_string(number));
    vm.memory(mebibytes(256 * any(1, 9))).vcpus(any(1, 5)).placement(any_placement());
    if (one_in(2)) vm.minimum(mebibytes(128 * any(1, 5)));
    if (one_in(4)) vm.group(one_of("g", 3));
    if (one_in(4)) vm.wants_host_label("disk", "ssd");
    if (one_in(4)) vm.cpu_model("host-passthrough");
    if (one_in(4)) vm.network(one_in(2) ? "default" : "dmz");
    if (one_in(5)) vm.bridge("br9");
    if (one_in(3)) {
        DiskSpec disk;
        disk.size = gibibytes(1);
        disk.pool = one_in(3) ? "" : "shared";
        if (one_in(3)) disk.image = one_in(2) ? "tiny" : "nowhere";
        if (one_in(3)) disk.path = one_in(2) ? "/pools/shared/x" : "/srv/x";
        vm.disk(disk);
    }
    return vm;
}

Snapshot any_cluster(int hosts) {
    auto cluster = a_cluster();
    for (int i = 0; i < hosts; ++i) {
        cluster.with(any_host(i));
        if (!one_in(3)) cluster.with(a_pool("h" + std::to_string(i), "shared", !one_in(4)));
        auto pair = a_pair("h0", "h" + std::to_string(i));
        if (one_in(2)) pair.shares("shared");
        if (one_in(4)) pair.check({"peer_trust", CheckVerdict::refused, "no route", ""});
        if (!one_in(3)) cluster.with(pair);
    }
    cluster.with(an_image("tiny", "shared", "h0"));
    for (int i = any(0, 8); i > 0; --i) {
        auto vm = any_vm(i).on(one_of("h", hosts));
        if (!one_in(4)) vm.running();
        if (one_in(6)) vm.bound_by("managed save");
        cluster.with(vm);
    }
    if (one_in(2)) {
        Claim claim = a_claim("j1", one_of("h", hosts), one_in(2) ? "" : "vm1", mebibytes(700), 2);
        claim.placement = any_placement();
        cluster.with(claim);
    }
    return cluster.build();
}

PlacementRequest any_request(int hosts) {
    PlacementRequest request;
    const auto vm = any_vm(any(0, 10));
    request.spec = vm.spec();
    if (!one_in(3)) request.vm = vm.build().id;
    if (one_in(3)) {
        request.for_migration = true;
        request.from = HostId(one_of("h", hosts));
        request.copy_disks = one_in(3);
    }
    if (one_in(5)) request.exclude = {HostId(one_of("h", hosts))};
    return request;
}

RC_GTEST_PROP(RulesProperty, AnswerAlikeWithAndWithoutWords, ()) {
    const int hosts = any(1, 6);
    const Snapshot snapshot = any_cluster(hosts);
    const PlacementRequest request = any_request(hosts);
    const Surroundings around{.groups = view_groups(snapshot, &request.spec, request.vm)};
    for (const HostView& view : view_hosts(snapshot, request.vm)) {
        const Candidate candidate{snapshot, request, view, around};
        for (const RuleEntry& rule : rule_catalog()) {
            const RuleVerdict verdict = rule.judge(candidate);
            if (rule.fits(candidate) != verdict.accepted)
                RC_FAIL(std::string(rule.name) + " on " + view.host->name + ": " + verdict.detail);
            RC_ASSERT(!verdict.detail.empty());
        }
    }
}

RC_GTEST_PROP(RulesProperty, AcceptTheHostOnceTheChangesThatWereNamedAreMade, ()) {
    const int hosts = any(1, 4);
    const Snapshot snapshot = any_cluster(hosts);
    const PlacementRequest request = any_request(hosts);
    Preferences preferences;
    const auto memory = std::make_shared<ShareOfMaximum>(0.1 * any(1, 11));
    memory->kept = mebibytes(any(0, 1'000));
    if (one_in(2)) preferences.memory = memory;
    const Decision decision = explain(snapshot, request, 1, preferences);
    if (!decision.nearest) return;
    RC_TAG("named");
    for (const WayOut& way : decision.nearest->ways) {
        Snapshot changed = snapshot;
        PlacementRequest asked = request;
        for (const Change& change : way.changes) apply_change(change, changed, asked);
        const auto taken = check_claim(changed, decision.nearest->host, asked, preferences);
        if (!taken) RC_FAIL(decision.nearest->text + ": " + taken.error().message());
    }
}

RC_GTEST_PROP(RulesProperty, ThatAreNamedAsAConflictLeaveNoHostAndNoneOfThemIsNamedForNothing, ()) {
    const int hosts = any(1, 6);
    const Decision decision = decide(any_cluster(hosts), any_request(hosts), 1);
    if (!decision.conflict) return;
    const auto leaves_none = [&](const std::string& without) {
        return std::ranges::all_of(decision.hosts, [&](const HostVerdict& host) {
            return std::ranges::any_of(host.rules, [&](const RuleVerdict& rule) {
                return !rule.accepted && rule.rule != without &&
                       std::ranges::find(decision.conflict->rules, rule.rule) != decision.conflict->rules.end();
            });
        });
    };
    RC_ASSERT(leaves_none(""));
    for (const std::string& rule : decision.conflict->rules) RC_ASSERT(!leaves_none(rule));
}

}  // namespace
}  // namespace ballast::scheduler
