// Everything that would make a move fail or be unsafe is found and named, with its way out.
#include "migration/preflight.h"

#include <algorithm>

#include <boost/describe/enum_to_string.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.h"

namespace ballast::migration {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

const Timestamp noon = Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(12);

/// A move of web1 from h1 to h2 that would succeed; each test spoils one thing.
struct Move {
    HostBuilder from = a_host("h1");
    HostBuilder to = a_host("h2");
    VmBuilder vm = a_vm("web1").on("h1").running();
    PairBuilder pair = a_pair("h1", "h2").checked(noon);
    bool pair_known = true;
    std::vector<Pool> pools;
    std::vector<Volume> volumes;
    std::vector<Vm> others;
    std::vector<Migration> before;
    MoveTerms terms{.mode = MigrationMode::pre_copy, .now = noon};

    [[nodiscard]] std::vector<PairCheck> judge() const {
        const Host source = from.build();
        const Host target = to.build();
        const HostPair known = pair.build();
        auto cluster = a_cluster().with(source).with(target);
        for (const Pool& pool : pools) cluster.with(pool);
        for (const Volume& volume : volumes) cluster.with(volume);
        for (const Vm& other : others) cluster.with(other);
        for (const Migration& row : before) cluster.with(row);
        return judge_move(vm.build(), source, target, pair_known ? &known : nullptr, cluster.build(), terms);
    }
};

auto refused(const std::string& name, auto detail) {
    return Contains(AllOf(Field("name", &PairCheck::name, name),
                          Field("verdict", &PairCheck::verdict, CheckVerdict::refused),
                          Field("detail", &PairCheck::detail, detail), Field("way_out", &PairCheck::way_out, Not(""))));
}

DiskSpec disk_in(const std::string& pool) {
    DiskSpec disk;
    disk.target = "vda";
    disk.pool = pool;
    disk.path = "/pools/" + pool + "/web1.qcow2";
    return disk;
}

TEST(Preflight, PassesAMoveWithNothingInItsWay) {
    EXPECT_TRUE(verdict_of(Move{}.judge()));
}

TEST(Preflight, RefusesTheSameHost) {
    Move move;
    move.to = a_host("h1");
    EXPECT_THAT(move.judge(), refused("target", HasSubstr("already")));
}

TEST(Preflight, RefusesHostsThatAreObservedDownDeadOrInMaintenance) {
    Move move;
    move.to = a_host("h2").observed();
    EXPECT_THAT(move.judge(), refused("target", HasSubstr("only observed")));
    move.to = a_host("h2").state(HostState::unreachable, "no route");
    EXPECT_THAT(move.judge(), refused("target", HasSubstr("unreachable (no route)")));
    move.to = a_host("h2").confirmed_dead();
    EXPECT_THAT(move.judge(), refused("target", HasSubstr("confirmed dead")));
    move.to = a_host("h2").in_maintenance();
    EXPECT_THAT(move.judge(), refused("maintenance", HasSubstr("h2")));
    move = Move{};
    move.from = a_host("h1").observed();
    EXPECT_THAT(move.judge(), refused("source", HasSubstr("only observed")));
}

TEST(Preflight, LetsAVmLeaveAHostInMaintenance) {
    Move move;
    move.from = a_host("h1").in_maintenance().state(HostState::maintenance);
    EXPECT_TRUE(verdict_of(move.judge()));
}

TEST(Preflight, RefusesVmsThatAreNotThereToMove) {
    Move move;
    for (const VmState state : {VmState::stopped, VmState::unknown, VmState::conflict, VmState::crashed}) {
        move.vm = a_vm("web1").on("h1").state(state);
        EXPECT_THAT(move.judge(), refused("vm_state", HasSubstr("web1")));
    }
    move.vm = a_vm("web1").on("h1").running().observed();
    EXPECT_THAT(move.judge(), refused("vm_managed", HasSubstr("only observed")));
    move.vm = a_vm("web1").on("h3").running();
    EXPECT_THAT(move.judge(), refused("vm_state", HasSubstr("not on h1")));
}

TEST(Preflight, LetsAPausedVmMoveButNotByPostCopy) {
    Move move;
    move.vm = a_vm("web1").on("h1").state(VmState::paused);
    EXPECT_TRUE(verdict_of(move.judge()));
    move.terms.mode = MigrationMode::stop_and_copy;
    EXPECT_TRUE(verdict_of(move.judge()));
    for (const MigrationMode mode : {MigrationMode::post_copy, MigrationMode::hybrid}) {
        move.terms.mode = mode;
        EXPECT_THAT(move.judge(), refused("vm_state", "web1 is paused, and post-copy is for guests that run"));
    }
}

TEST(Preflight, RefusesWhatBindsTheVmToItsHost) {
    Move move;
    move.vm = a_vm("web1").on("h1").running().bound_by("managed save").bound_by("2 snapshots");
    EXPECT_THAT(move.judge(), refused("bound_to_host", HasSubstr("managed save binds web1 to h1")));
    EXPECT_THAT(move.judge(), refused("bound_to_host", HasSubstr("2 snapshots")));
}

TEST(Preflight, NamesTheWayOutOfEachBond) {
    const auto way_out = [](const std::string& bond) {
        Move move;
        move.vm = a_vm("web1").on("h1").running().bound_by(bond);
        const auto checks = move.judge();
        return std::ranges::find(checks, "bound_to_host", &PairCheck::name)->way_out;
    };
    EXPECT_THAT(way_out("managed save"), HasSubstr("managedsave-remove web1"));
    EXPECT_THAT(way_out("2 snapshots"), HasSubstr("snapshot-delete web1"));
    EXPECT_THAT(way_out("1 checkpoint"), HasSubstr("checkpoint-delete web1"));
    EXPECT_THAT(way_out("passthrough device (pci)"), HasSubstr("detach-device web1"));
    EXPECT_THAT(way_out("local media /srv/tools.iso"), HasSubstr("change-media web1"));
    EXPECT_THAT(way_out("shared folder /srv/share (virtiofs)"), HasSubstr("detach-device web1"));
    EXPECT_THAT(way_out("shared memory ring"), HasSubstr("detach-device web1"));
    EXPECT_THAT(way_out("NIC 52:54:00:00:00:01 (macvtap on eth0)"), HasSubstr("update-device web1"));
}

TEST(Preflight, RefusesKnobsThatDoNotGoWithTheModeOrTheHosts) {
    Move move;
    move.terms.mode = MigrationMode::hybrid;
    move.terms.knobs.parallel = 4;
    EXPECT_THAT(move.judge(), refused("knobs", HasSubstr("does not support")));
    move.terms.mode = MigrationMode::pre_copy;
    EXPECT_TRUE(verdict_of(move.judge()));
    move.from = a_host("h1").qemu(3'001'000);
    EXPECT_THAT(move.judge(), refused("knobs", "parallel needs QEMU 4.0 on both hosts, one has 3.1"));
}

TEST(Preflight, KnowsOfCertificatesOnlyByAMoveThatWentThisWay) {
    Move move;
    const auto tls = [&] {
        const auto checks = move.judge();
        const auto at = std::ranges::find(checks, "tls", &PairCheck::name);
        return at == checks.end() ? "none" : boost::describe::enum_to_string(at->verdict, "");
    };
    EXPECT_STREQ(tls(), "none");
    move.terms.knobs.tls = true;
    EXPECT_STREQ(tls(), "unknown");
    EXPECT_TRUE(verdict_of(move.judge())) << "libvirt refuses it before the first byte";
    Migration row;
    row.id = JobId("j1");
    row.from = HostId("h1");
    row.to = HostId("h2");
    row.phase = MigrationPhase::succeeded;
    move.before = {row};
    EXPECT_STREQ(tls(), "unknown") << "that one went without";
    row.knobs.tls = true;
    row.phase = MigrationPhase::failed;
    move.before = {row};
    EXPECT_STREQ(tls(), "unknown");
    row.phase = MigrationPhase::succeeded;
    move.before = {row};
    EXPECT_STREQ(tls(), "ok");
}

TEST(Preflight, NamesTheCpuFeatureThatTheTargetLacks) {
    Move move;
    const PairCheck lacks{"cpu_features", CheckVerdict::warning, "the CPU of h2 lacks avx512f, pku", "…"};
    move.pair.check(lacks);
    move.vm = a_vm("web1").on("h1").running().cpu_model("");
    EXPECT_TRUE(verdict_of(move.judge())) << "under TCG its CPU is not its host's";
    for (const char* mode : {"host-model", "host-passthrough", "maximum"}) {
        move.vm = a_vm("web1").on("h1").running().cpu_model(mode);
        EXPECT_THAT(move.judge(), refused("cpu_features", HasSubstr("the CPU of h2 lacks avx512f, pku")));
    }
    move.vm = a_vm("web1").on("h1").running().cpu_model("");
    move.from = a_host("h1").accelerators({"kvm", "qemu"});
    EXPECT_THAT(move.judge(), refused("cpu_features", "web1 has the CPU of h1 (host-model): " + lacks.detail));
}

TEST(Preflight, LetsAHostModelGoWhereEveryFeatureIs) {
    Move move;
    HostFacts other = a_host("h2").facts_so_far();
    other.cpu_model = "EPYC-Milan";
    move.to = a_host("h2").facts(other);
    move.vm = a_vm("web1").on("h1").running().cpu_model("host-model");
    EXPECT_THAT(move.judge(), refused("cpu_model", HasSubstr("EPYC-Milan"))) << "nothing was compared";
    move.pair.check({"cpu_features", CheckVerdict::ok, "the CPU of h2 has all", ""});
    EXPECT_TRUE(verdict_of(move.judge()));
    move.vm = a_vm("web1").on("h1").running().cpu_model("host-passthrough");
    EXPECT_THAT(move.judge(), refused("cpu_model", HasSubstr("EPYC-Milan"))) << "it shows more than was compared";
}

TEST(Preflight, ComparesTheFeaturesBeyondACpuModelOneByOne) {
    Move move;
    move.vm = a_vm("web1").on("h1").running().cpu_features({"avx512f", "pku"});
    const auto verdict_now = [&] {
        const auto checks = move.judge();
        return std::ranges::find(checks, "cpu_features", &PairCheck::name)->verdict;
    };
    EXPECT_EQ(verdict_now(), CheckVerdict::unknown) << "nothing was compared: libvirt refuses what it can't give";
    move.pair.check({"cpu_features", CheckVerdict::warning, "the CPU of h2 lacks hle, pku", "…"})
        .misses({"hle", "pku"});
    EXPECT_THAT(move.judge(), refused("cpu_features", "web1 has pku beyond its CPU model, which the CPU of h2 lacks"));
    move.vm = a_vm("web1").on("h1").running().cpu_features({"avx512f"});
    EXPECT_EQ(verdict_now(), CheckVerdict::ok) << "what the guest does not have, it does not miss";
}

TEST(Preflight, MovesOfflineOnlyWhatDoesNotRun) {
    Move move;
    move.terms.offline = true;
    EXPECT_THAT(move.judge(), refused("vm_state", HasSubstr("does not run")));
    move.vm = a_vm("web1").on("h1");
    EXPECT_TRUE(verdict_of(move.judge()));
    move.terms.knobs.copy_disks = DiskCopy::full;
    EXPECT_THAT(move.judge(), refused("knobs", HasSubstr("transfers the definition alone")));
}

TEST(Preflight, LetsADiskThatIsCopiedAlongLeaveAnUnprovenPool) {
    Move move;
    DiskSpec disk = disk_in("data");
    disk.size = gibibytes(4);
    move.vm = a_vm("web1").on("h1").running().disk(disk);
    move.pools = {a_pool("h1", "data"), a_pool("h2", "data")};
    EXPECT_FALSE(disks_are_proven(move.judge()));
    move.terms.knobs.copy_disks = DiskCopy::full;
    EXPECT_TRUE(verdict_of(move.judge())) << verdict_of(move.judge()).error().message();
    EXPECT_TRUE(disks_are_proven(move.judge()));
    move.terms.knobs.copy_disks = DiskCopy::incremental;  // libvirt makes no file for it: somebody must have
    EXPECT_TRUE(verdict_of(move.judge())) << verdict_of(move.judge()).error().message();
    EXPECT_FALSE(disks_are_proven(move.judge()));
    Volume volume;
    volume.id = VolumeId("v1");
    volume.host = HostId("h2");
    volume.path = disk.path;
    volume.capacity = disk.size;
    move.volumes = {volume};
    EXPECT_TRUE(disks_are_proven(move.judge()));
    disk.read_only = true;  // QEMU copies only what is written to
    move.vm = a_vm("web1").on("h1").running().disk(disk);
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("nothing fresh proves it")));
}

TEST(Preflight, RefusesACopyThatHasNoPlaceOnTheTarget) {
    Move move;
    DiskSpec disk = disk_in("data");
    disk.size = gibibytes(4);
    move.vm = a_vm("web1").on("h1").running().disk(disk);
    move.terms.knobs.copy_disks = DiskCopy::full;
    move.pools = {a_pool("h1", "data")};
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("h2 has no active pool data")));
    Pool there = a_pool("h2", "data");
    there.path = "/elsewhere";
    move.pools = {a_pool("h1", "data"), there};
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("/elsewhere on h2")));
    there = a_pool("h2", "data");
    there.capacity = gibibytes(100);
    there.available = gibibytes(3);
    move.pools = {a_pool("h1", "data"), there};
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("has 3 GiB left")));
    Volume volume;
    volume.id = VolumeId("v1");
    volume.name = "web1.qcow2";
    volume.host = HostId("h2");
    volume.path = disk.path;
    volume.capacity = gibibytes(2);
    move.volumes = {volume};
    EXPECT_THAT(move.judge(),
                refused("disk:vda", HasSubstr("disk vda has 4 GiB, the volume web1.qcow2 on h2 has 2 GiB")));
}

TEST(Preflight, FitsAllDisksOfACopyIntoThePoolTogether) {
    Move move;
    DiskSpec first = disk_in("data");
    first.size = gibibytes(4);
    DiskSpec second = first;
    second.target = "vdb";
    second.path = "/pools/data/web1-b.qcow2";
    move.vm = a_vm("web1").on("h1").running().disk(first).disk(second);
    move.terms.knobs.copy_disks = DiskCopy::full;
    Pool there = a_pool("h2", "data");
    there.capacity = gibibytes(100);
    there.available = gibibytes(7);
    move.pools = {a_pool("h1", "data"), there};
    EXPECT_THAT(move.judge(), refused("disk:vdb", "disk vdb needs 4 GiB, pool data of h2 has 3 GiB left"));
    there.available = gibibytes(8);
    move.pools = {a_pool("h1", "data"), there};
    EXPECT_TRUE(verdict_of(move.judge()));
    second.size = Bytes(0);
    move.vm = a_vm("web1").on("h1").running().disk(first).disk(second);
    EXPECT_TRUE(verdict_of(move.judge())) << "the job reads it before it asks again";
    EXPECT_FALSE(disks_are_proven(move.judge()));
}

TEST(Preflight, NeverLetsADiskBeCopiedOverItselfOrOverAnothersDisk) {
    Move move;
    DiskSpec shared = disk_in("data");
    move.vm = a_vm("web1").on("h1").running().disk(shared);
    move.pools = {a_pool("h1", "data"), a_pool("h2", "data"), a_pool("h1", "local"), a_pool("h2", "local")};
    move.pair.shares("data");
    EXPECT_TRUE(verdict_of(move.judge()));
    move.terms.knobs.copy_disks = DiskCopy::full;
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("would write this one over itself")));
    EXPECT_THAT(verdict_of(move.judge()).error().message(), HasSubstr("leave copy_disks out"));
    DiskSpec local = disk_in("local");
    local.target = "vdb";
    move.vm = a_vm("web1").on("h1").running().disk(shared).disk(local);
    EXPECT_THAT(verdict_of(move.judge()).error().message(), HasSubstr("into shared pools, or all of them out"));
    move.vm = a_vm("web1").on("h1").running().disk(local);
    EXPECT_TRUE(verdict_of(move.judge()));
    move.others = {a_vm("db1").on("h2").disk(local).build()};
    EXPECT_THAT(move.judge(), refused("disk:vdb", HasSubstr("/pools/local/web1.qcow2 of h2, which is VM db1's")));
    move.others = {a_vm("db1").on("h3").disk(local).build()};
    EXPECT_TRUE(verdict_of(move.judge())) << "the same path on a third host is another file";
}

TEST(Preflight, RefusesATargetThatHasADefinitionAlready) {
    Move move;
    move.vm = a_vm("web1").on("h1").running().also_defined_on("h2", DomainState::shut_off);
    EXPECT_THAT(move.judge(), refused("stale_definition", HasSubstr("h2")));
}

TEST(Preflight, WantsAPairThatWasCheckedLately) {
    Move move;
    move.pair_known = false;
    EXPECT_THAT(move.judge(), refused("pair_checked", HasSubstr("never checked")));
    move = Move{};
    move.pair = a_pair("h1", "h2").checked(noon - std::chrono::hours(2));
    EXPECT_THAT(move.judge(), refused("pair_checked", HasSubstr("2 h 0 min ago")));
}

TEST(Preflight, CarriesThePairsOwnRefusals) {
    Move move;
    move.pair.check({"peer_trust", CheckVerdict::refused, "h1 can't reach h2", "set peer_uri"});
    EXPECT_THAT(move.judge(), refused("peer_trust", HasSubstr("can't reach")));
}

TEST(Preflight, RefusesAnOlderQemuAMissingMachineTypeOrCpuModel) {
    Move move;
    move.to = a_host("h2").qemu(7'001'000);
    EXPECT_THAT(move.judge(), refused("qemu_versions", "h1 has QEMU 7.2.0, h2 the older 7.1.0"));
    move = Move{};
    move.vm = a_vm("web1").on("h1").running().machine("pc-q35-8.0");
    EXPECT_THAT(move.judge(), refused("machine_type", HasSubstr("pc-q35-8.0")));
    move.vm = a_vm("web1").on("h1").running().cpu_model("Skylake");
    EXPECT_THAT(move.judge(), refused("cpu_model", HasSubstr("Skylake")));
}

TEST(Preflight, MovesAHostCpuOnlyBetweenEqualCpus) {
    Move move;
    move.vm = a_vm("web1").on("h1").running().cpu_model("host-passthrough");
    EXPECT_TRUE(verdict_of(move.judge()));
    HostFacts other = a_host("h2").facts_so_far();
    other.cpu_model = "Opteron_G3";
    move.to = a_host("h2").facts(other);
    EXPECT_THAT(move.judge(), refused("cpu_model", HasSubstr("Opteron_G3")));
}

TEST(Preflight, LeavesANicWithoutNetworkOrBridgeToItsBond) {
    Move move;
    move.vm = a_vm("web1")
                  .on("h1")
                  .running()
                  .nic({.mac = "52:54:00:00:00:01"})
                  .bound_by("NIC 52:54:00:00:00:01 (of type user)");
    const auto checks = move.judge();
    EXPECT_THAT(checks, refused("bound_to_host", "NIC 52:54:00:00:00:01 (of type user) binds web1 to h1"));
    EXPECT_THAT(checks, Not(Contains(Field("name", &PairCheck::name, HasSubstr("network:")))));
}

TEST(Preflight, WantsTheNetworksThere) {
    Move move;
    move.vm = a_vm("web1").on("h1").running().network("dmz").bridge("br0");
    EXPECT_THAT(move.judge(), refused("network:network dmz", HasSubstr("no active network dmz")));
}

TEST(Preflight, RefusesADiskThatOnlyLooksShared) {
    Move move;
    move.vm = a_vm("web1").on("h1").running().disk(disk_in("data"));
    move.pools = {a_pool("h1", "data"), a_pool("h2", "data")};
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("looks shared, but nothing fresh proves it")));
    EXPECT_FALSE(disks_are_proven(move.judge()));
    move.pair.shares("data");
    EXPECT_TRUE(verdict_of(move.judge()));
    EXPECT_TRUE(disks_are_proven(move.judge()));
}

TEST(Preflight, DoesNotTrustOldEvidence) {
    Move move;
    move.vm = a_vm("web1").on("h1").running().disk(disk_in("data"));
    move.pools = {a_pool("h1", "data"), a_pool("h2", "data")};
    move.pair = a_pair("h1", "h2").shares("data").checked(noon - std::chrono::hours(2));
    EXPECT_FALSE(disks_are_proven(move.judge()));
}

TEST(Preflight, RefusesDisksOutsideAnyPoolAndPoolsThatTheTargetLacks) {
    Move move;
    DiskSpec stray;
    stray.target = "vdb";
    stray.path = "/srv/stray.qcow2";
    move.vm = a_vm("web1").on("h1").running().disk(stray);
    EXPECT_THAT(move.judge(), refused("disk:vdb", "/srv/stray.qcow2 lies in no pool of h1"));
    move.vm = a_vm("web1").on("h1").running().disk(disk_in("data"));
    move.pools = {a_pool("h1", "data")};
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("h2 has no pool data")));
    move.pools = {a_pool("h1", "data"), a_pool("h2", "data", false)};
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("not active")));
}

TEST(Preflight, RefusesADiskThatTheSourceHostCaches) {
    Move move;
    DiskSpec cached = disk_in("data");
    cached.cache = "writeback";
    move.vm = a_vm("web1").on("h1").running().disk(cached);
    move.pools = {a_pool("h1", "data"), a_pool("h2", "data")};
    move.pair.shares("data");
    EXPECT_THAT(move.judge(), refused("disk:vda", HasSubstr("writeback")));
}

TEST(Preflight, WantsUserfaultfdForPostCopyOnly) {
    Move move;
    HostFacts facts = a_host("h2").facts_so_far();
    facts.userfaultfd_likely = false;
    move.to = a_host("h2").facts(facts);
    EXPECT_TRUE(verdict_of(move.judge()));
    move.terms.mode = MigrationMode::hybrid;
    EXPECT_THAT(move.judge(), refused("userfaultfd", HasSubstr("h2")));
}

TEST(Preflight, NamesTheFirstRefusalItsWayOutAndHowManyMore) {
    Move move;
    move.to = a_host("h2").observed();
    move.pair_known = false;
    const auto verdict = verdict_of(move.judge());
    ASSERT_FALSE(verdict);
    EXPECT_EQ(verdict.error().code(), Code::failed_precondition);
    EXPECT_EQ(
        verdict.error().message(),
        "preflight target: h2 is only observed, Ballast changes nothing on it; ballast host manage h2 (and 1 more)");
}

}  // namespace
}  // namespace ballast::migration
