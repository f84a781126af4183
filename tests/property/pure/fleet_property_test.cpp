// The fleet answers what decide() answers, whatever happened to the cluster since it was made: same host, same
// tie-break. And the guard that only looks at what changed refuses what the guard that looks at everything refuses.
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "daemon/overcommit/admission.h"
#include "scheduler/fleet/fleet.h"
#include "tests/support/builders.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;

int any(int low, int high) {
    return *rc::gen::inRange(low, high);
}

bool one_in(int times) {
    return any(0, times) == 0;
}

std::string host_number(int number) {
    return "h" + std::to_string(number);
}

constexpr int most_hosts = 7;
constexpr int most_vms = 14;

Host any_host() {
    auto host = a_host(host_number(any(0, most_hosts)));
    // Few sizes, so that hosts are often equal and the seed decides.
    host.memory(gibibytes(any(2, 4))).cpus(any(1, 4)).reserve(mebibytes(256 * any(0, 2)));
    if (one_in(2)) host.memory_policy(static_cast<MemoryPolicy>(any(0, 4)));
    if (one_in(6)) host.observed();
    if (one_in(6)) host.state(one_in(2) ? HostState::unreachable : HostState::removed);
    if (one_in(3)) host.label("rack", "r" + std::to_string(any(0, 2)));
    if (one_in(2)) host.zone("z" + std::to_string(any(0, 2)));
    if (one_in(5)) host.taint({"old", "", one_in(2) ? TaintEffect::avoid : TaintEffect::no_place});
    if (one_in(3)) host.device("gpu", any(0, 3));
    if (one_in(3)) host.accelerators({"kvm", "qemu"});
    return host.build();
}

VmPlacement any_placement() {
    VmPlacement placement;
    if (one_in(2)) placement.groups = {"g" + std::to_string(any(0, 3))};
    if (one_in(2))
        placement.affinity = {{.group = "g" + std::to_string(any(0, 3)),
                               .kind = static_cast<AffinityKind>(any(0, 4)),
                               .strength = one_in(4) ? Strength::should : Strength::must,
                               .scope = one_in(2) ? AffinityScope::host : AffinityScope::zone,
                               .limit = any(1, 3)}};
    if (one_in(4)) placement.hosts = {host_number(any(0, most_hosts)), host_number(any(0, most_hosts))};
    if (one_in(3)) placement.tolerations = {{"old", "", {}}};
    if (one_in(4)) placement.devices = {{"gpu", any(1, 3)}};
    if (one_in(5)) placement.numa = {.cells = 1, .pinned = one_in(2)};
    return placement;
}

VmBuilder any_vm(int number) {
    auto vm = a_vm("vm" + std::to_string(number));
    const int quarters = any(1, 5);
    vm.memory(mebibytes(256 * quarters)).vcpus(any(1, 4));
    if (one_in(2)) vm.minimum(mebibytes(64 * any(1, 4 * quarters + 1)));
    if (one_in(6)) vm.memory_policy(MemoryPolicy::none);
    if (one_in(4)) vm.boots("kernel" + std::to_string(any(0, 2)));
    if (one_in(3)) vm.placement(any_placement());
    if (one_in(2)) vm.group("g" + std::to_string(any(0, 3)));
    if (one_in(5)) vm.wants_host_label("rack", "r" + std::to_string(any(0, 2)));
    if (one_in(4))
        vm.disk({.target = {},
                 .size = gibibytes(1),
                 .image = one_in(2) ? "tiny" : "",
                 .pool = "shared",
                 .volume = {},
                 .path = {}});
    if (one_in(4)) vm.network("default");
    return vm;
}

Vm any_placed_vm() {
    auto vm = any_vm(any(0, most_vms));
    if (one_in(5)) return vm.state(VmState::creating).build();
    vm.on(host_number(any(0, most_hosts)));
    if (!one_in(3)) vm.running();
    if (one_in(4)) vm.also_defined_on(host_number(any(0, most_hosts)), DomainState::incoming);
    if (one_in(6)) vm.bound_by("managed save");
    return vm.build();
}

Claim any_claim(int number) {
    Claim claim = a_claim("j" + std::to_string(number), host_number(any(0, most_hosts)),
                          "vm" + std::to_string(any(0, most_vms)), mebibytes(128 * any(1, 9)), any(1, 4));
    if (one_in(4)) claim.placement = any_placement();
    if (one_in(2)) claim.anti_affinity = "g" + std::to_string(any(0, 3));
    return claim;
}

Migration any_migration() {
    Migration migration;
    migration.id = JobId("j" + std::to_string(any(0, 6)));
    migration.from = HostId(host_number(any(0, most_hosts)));
    migration.knobs.xbzrle = !one_in(3);
    migration.knobs.xbzrle_cache = mebibytes(64 * any(1, 8));
    return migration;
}

Pool any_pool() {
    return a_pool(host_number(any(0, most_hosts)), "shared", !one_in(4));
}

HostPair any_pair() {
    auto pair = a_pair(host_number(any(0, most_hosts)), host_number(any(0, most_hosts)));
    if (!one_in(3)) pair.shares("shared");
    return pair.build();
}

void change(Snapshot& snapshot) {
    ++snapshot.seq;
    switch (any(0, 11)) {
        case 0:
        case 1:
            return snapshot.hosts.put(any_host());
        case 2:
        case 3:
        case 4:
            return snapshot.vms.put(any_placed_vm());
        case 5:
            return snapshot.claims.put(any_claim(any(0, 6)));
        case 6:
            return snapshot.migrations.put(any_migration());
        case 7:
            return snapshot.pools.put(any_pool());
        case 8:
            return snapshot.pairs.put(any_pair());
        case 9:
            return snapshot.images.put(an_image("tiny", "shared", host_number(any(0, most_hosts))));
        default:
            break;
    }
    snapshot.vms.erase(VmId("vm" + std::to_string(any(0, most_vms))));
    snapshot.claims.erase(ClaimId("j" + std::to_string(any(0, 6))));
    if (one_in(3)) snapshot.hosts.erase(HostId(host_number(any(0, most_hosts))));
}

Snapshot any_cluster() {
    Snapshot snapshot;
    for (int i = 0; i < most_hosts; ++i) {
        snapshot.hosts.put(any_host());
        snapshot.pools.put(any_pool());
        snapshot.pairs.put(any_pair());
    }
    const int changes = any(0, 20);
    for (int i = 0; i < changes; ++i) change(snapshot);
    return snapshot;
}

PlacementRequest any_request(const Snapshot& snapshot) {
    PlacementRequest request;
    const int number = any(0, most_vms + 5);
    const Vm* known = snapshot.vms.find(VmId("vm" + std::to_string(number)));
    const VmBuilder vm = any_vm(number);
    request.spec = known != nullptr ? known->spec : vm.spec();
    request.vm = vm.build().id;
    if (one_in(6)) request.only = HostId(host_number(any(0, most_hosts)));
    if (one_in(4)) request.exclude.emplace_back(host_number(any(0, most_hosts)));
    if (known != nullptr && known->host && one_in(2)) {
        request.for_migration = true;
        request.from = known->host;
        request.copy_disks = one_in(3);
    }
    return request;
}

std::shared_ptr<const Snapshot> published(const Snapshot& snapshot) {
    return std::make_shared<const Snapshot>(snapshot);
}

std::shared_ptr<const ClusterLoad> any_load() {
    auto load = std::make_shared<ClusterLoad>();
    for (int i = 0; i < most_vms; ++i) {
        if (one_in(2)) continue;
        VmLoad& one = load->vms[VmId("vm" + std::to_string(i))];
        one.working_set = mebibytes(64 * any(0, 16));
        one.working_set_deviation = mebibytes(32 * any(0, 8));
    }
    return load;
}

overcommit::VmPicture any_vm_picture(int number) {
    overcommit::VmPicture picture;
    picture.vm = VmId("vm" + std::to_string(number));
    picture.maximum = gibibytes(1);
    picture.overhead = mebibytes(16 * any(0, 10));
    if (one_in(2)) picture.group = one_in(2) ? "image tiny" : "kernel kernel1 ";
    picture.working_set.trust = one_in(5) ? memory::Trust::old : memory::Trust::trusted;
    picture.working_set.mean = picture.working_set.size = mebibytes(64 * any(1, 16));
    picture.working_set.deviation = mebibytes(16 * any(0, 16));
    return picture;
}

/// What the controllers of some hosts saw of some VMs, wherever these are now.
std::shared_ptr<const MemoryAdmission> any_memory() {
    auto pictures = std::make_shared<overcommit::Pictures>();
    for (int i = 0; i < most_hosts; ++i) {
        if (one_in(3)) continue;
        auto picture = std::make_shared<overcommit::HostPicture>();
        picture->host = HostId(host_number(i));
        picture->sight = one_in(2) ? overcommit::Sight::full : overcommit::Sight::blind;
        picture->ledger.total = gibibytes(any(2, 4));
        picture->ledger.saved = picture->sure_sharing = mebibytes(64 * any(0, 8));
        picture->admits = !one_in(6);
        for (int vm = 0; vm < most_vms + 5; ++vm)
            if (one_in(4)) picture->vms.push_back(any_vm_picture(vm));
        (*pictures)[picture->host] = std::move(picture);
    }
    return std::make_shared<const overcommit::Admissions>(std::move(pictures));
}

Preferences any_preferences() {
    Preferences preferences;
    if (one_in(2)) preferences.load = any_load();
    if (!one_in(3)) preferences.memory = any_memory();
    preferences.policies.standard = one_in(2) ? "spread" : "pack";
    if (one_in(2))
        preferences.n_plus_one =
            NPlusOne{.strength = one_in(2) ? Strength::must : Strength::should, .group_label = one_in(2) ? "rack" : ""};
    return preferences;
}

RC_GTEST_PROP(FleetProperty, ChoosesWhatDecideChoosesAfterEveryChange, ()) {
    Snapshot snapshot = any_cluster();
    const Preferences preferences = any_preferences();
    Fleet fleet(published(snapshot));
    fleet.prefer(preferences);
    const int steps = any(1, 12);
    for (int step = 0; step < steps; ++step) {
        const int changes = any(0, 4);
        for (int i = 0; i < changes; ++i) change(snapshot);
        fleet.follow(published(snapshot));
        for (int ask = 0; ask < 6; ++ask) {
            const PlacementRequest request = any_request(snapshot);
            const std::uint64_t seed = *rc::gen::arbitrary<std::uint64_t>();
            RC_ASSERT(fleet.choose(request, seed) == decide(snapshot, request, seed, preferences).chosen);
        }
    }
}

RC_GTEST_PROP(FleetProperty, CountsAHeldClaimUntilItIsReleasedOrASnapshotHasIt, ()) {
    Snapshot snapshot = any_cluster();
    for (int i = 0; i < 7; ++i) snapshot.claims.erase(ClaimId("j" + std::to_string(i)));
    const Preferences preferences = any_preferences();
    Fleet fleet(published(snapshot));
    fleet.prefer(preferences);
    Snapshot with_claims = snapshot;
    for (int number = 0; number < 5; ++number) {
        const Claim claim = any_claim(number);
        fleet.hold(claim);
        with_claims.claims.put(claim);
        const PlacementRequest request = any_request(snapshot);
        RC_ASSERT(fleet.choose(request, 7) == decide(with_claims, request, 7, preferences).chosen);
    }
    if (one_in(2)) fleet.follow(published(with_claims));
    for (int number = 0; number < 5; ++number) fleet.release(ClaimId("j" + std::to_string(number)));
    const Snapshot& now = fleet.snapshot()->claims.empty() ? snapshot : with_claims;
    const PlacementRequest request = any_request(snapshot);
    RC_ASSERT(fleet.choose(request, 7) == decide(now, request, 7, preferences).chosen);
}

RC_GTEST_PROP(FleetProperty, TheGuardOnWhatChangedRefusesWhatTheGuardOnEverythingRefuses, ()) {
    Snapshot snapshot = any_cluster();
    const Preferences preferences = any_preferences();
    Fleet fleet(published(snapshot));
    fleet.prefer(preferences);
    fleet.hold(any_claim(9));
    const HostId host(host_number(any(0, most_hosts)));
    const PlacementRequest request = any_request(snapshot);
    const bool spec_changed_since = one_in(3);
    const Basis basis = fleet.basis_of(host, spec_changed_since ? any_request(snapshot).spec : request.spec);
    const int changes = any(0, 12);
    for (int i = 0; i < changes; ++i) change(snapshot);
    const auto quick = check_claim(snapshot, basis, request);
    const auto whole = check_claim(snapshot, host, request, preferences);
    RC_ASSERT(quick.has_value() == whole.has_value());
    if (!quick) RC_ASSERT(quick.error().message() == whole.error().message());
}

}  // namespace
}  // namespace ballast::scheduler
