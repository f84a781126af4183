// From rows, a reading and a scrape to what the controller is told.
#include "daemon/overcommit/facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "memory/give_back.h"
#include "tests/support/builders.h"

namespace ballast::overcommit {
namespace {

using test::a_cluster;
using test::a_host;
using test::a_vm;
using ::testing::HasSubstr;

const Timestamp now{std::chrono::days(20'000)};

drivers::DomainStats guest(const std::string& id, Bytes resident = mebibytes(600)) {
    drivers::DomainStats stats;
    stats.id = VmId(id);
    stats.state = DomainState::running;
    stats.balloon = gibibytes(1);
    stats.balloon_maximum = gibibytes(1);
    stats.unused = mebibytes(512);
    stats.usable = mebibytes(600);
    stats.available = mebibytes(1000);
    stats.resident = resident;
    stats.guest_said = now;
    return stats;
}

drivers::MemoryStats machine(std::vector<drivers::DomainStats> domains = {}) {
    drivers::MemoryStats stats;
    stats.total = gibibytes(16);
    stats.free = gibibytes(10);
    stats.cached = gibibytes(1);
    stats.domains = std::move(domains);
    return stats;
}

Seen exporter(Bytes total, Bytes free, Bytes cached) {
    Seen seen;
    seen.reading = ExporterReading{.total = total, .free = free, .cached = cached, .filesystems = {}};
    return seen;
}

TEST(HostMemoryFacts, AreTheMachinesWhereVmsMayHaveAllOfIt) {
    const auto memory = host_memory(a_host("h1").reserve(gibibytes(1)).build(), machine(), {});
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->total, gibibytes(16));
    EXPECT_EQ(memory->free, gibibytes(10));
    EXPECT_EQ(memory->reserved, gibibytes(1));
    EXPECT_FALSE(memory->pressure);
    EXPECT_EQ(memory->suspend_space, Bytes(0)) << "nobody says what room there is, so there is none";
}

TEST(HostMemoryFacts, OfAHostThatShowsNoneAreRefusedUnlessItsExporterSpeaks) {
    const Host host = a_host("h1").build();
    const auto nothing = host_memory(host, {}, {});
    ASSERT_FALSE(nothing);
    EXPECT_EQ(nothing.error().code(), Code::unimplemented);
    EXPECT_THAT(nothing.error().message(), HasSubstr("libvirt on host h1 shows nothing of its memory"));
    const auto told = host_memory(host, {}, exporter(gibibytes(16), gibibytes(9), gibibytes(1)));
    ASSERT_TRUE(told) << told.error().chain();
    EXPECT_EQ(told->free, gibibytes(9));
}

TEST(HostMemoryFacts, OfAPartAreWhatItsQemusLeaveOfIt) {
    Host host = a_host("h1").build();
    host.settings.memory_capacity = gibibytes(4);
    drivers::MemoryStats stats = machine({guest("a"), guest("b")});
    stats.ksm = drivers::KsmStats{.settings = {}, .pages_sharing = 25'600};
    const auto memory = host_memory(host, stats, {});
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->total, gibibytes(4));
    EXPECT_EQ(memory->free, gibibytes(4) - mebibytes(1100)) << "100 MiB of the 1200 are merged";
    EXPECT_EQ(memory->cached, Bytes(0));
}

TEST(HostMemoryFacts, OfAPartAreTheExportersWhereItSpeaksOfThatPart) {
    Host host = a_host("h1").build();
    host.settings.memory_capacity = gibibytes(4);
    const auto memory = host_memory(host, machine({guest("a")}), exporter(gibibytes(4), gibibytes(2), mebibytes(64)));
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->total, gibibytes(4));
    EXPECT_EQ(memory->free, gibibytes(2));
    EXPECT_EQ(memory->cached, mebibytes(64));
}

TEST(HostMemoryFacts, OfAPartCountTheMergedPagesThatItsOwnQemusShow) {
    Host host = a_host("h1").build();
    host.settings.memory_capacity = gibibytes(4);
    drivers::MemoryStats stats = machine({guest("a"), guest("b")});
    stats.ksm = drivers::KsmStats{.settings = {}, .pages_shared = 1'000, .pages_sharing = 200'000};
    const Seen seen = exporter(gibibytes(4), gibibytes(4) - mebibytes(1'052), Bytes(0));
    const auto memory = host_memory(host, stats, seen);
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->ksm->pages_sharing, 25'600) << "1200 MiB resident, 48 of files, 1052 in use: 100 MiB of 781";
    EXPECT_EQ(memory->ksm->pages_shared, 128);
}

TEST(HostMemoryFacts, OfAnotherMachinesExporterAreRefused) {
    const auto memory = host_memory(a_host("h1").build(), machine(), exporter(gibibytes(64), gibibytes(2), Bytes(0)));
    ASSERT_FALSE(memory);
    EXPECT_THAT(memory.error().message(), HasSubstr("h1 speaks of 64 GiB of memory and libvirt of 16 GiB"));
    const auto smaller = [](Bytes total) {
        return host_memory(a_host("h1").build(), machine({guest("a"), guest("b")}),
                           exporter(total, Bytes(0), Bytes(0)));
    };
    EXPECT_TRUE(smaller(mebibytes(1'200)));
    ASSERT_FALSE(smaller(gibibytes(1)));
    EXPECT_THAT(smaller(gibibytes(1)).error().message(), HasSubstr("and its VMs have 1.1 GiB of it: it is another"));
}

class VmFacts : public ::testing::Test {
  public:
    std::vector<memory::VmMemory> facts(const drivers::MemoryStats& stats) {
        const auto memory = host_memory(*snapshot.hosts.find(HostId("h1")), stats, {});
        return vm_memories(snapshot, *snapshot.hosts.find(HostId("h1")), stats, *memory, overheads, now);
    }
    Vm* row(const std::string& name) {
        Vm vm = a_vm(name).on("h1").running().build();
        vm.spec.memory = gibibytes(1);
        vm.spec.memory_minimum = mebibytes(256);
        rows.push_back(vm);
        return &rows.back();
    }
    void put() {
        for (const Vm& vm : rows) snapshot.vms.put(vm);
    }
    std::vector<Vm> rows;
    Snapshot snapshot = a_cluster().with(a_host("h1")).build();
    std::map<VmId, OverheadMemo> overheads;
};

TEST_F(VmFacts, AreTheSpecsAndTheGuests) {
    Vm* vm = row("a");
    vm->spec.overcommit = {.shares = 500, .priority = -1, .merge = true, .may_suspend = true};
    vm->spec.disks = {DiskSpec{.image = "debian"}};
    put();
    const auto vms = facts(machine({guest("a")}));
    ASSERT_EQ(vms.size(), 1U);
    EXPECT_EQ(vms[0].minimum, mebibytes(256));
    EXPECT_EQ(vms[0].policy, MemoryPolicy::balanced);
    EXPECT_EQ(vms[0].shares, 500);
    EXPECT_EQ(vms[0].group, "image debian");
    EXPECT_TRUE(vms[0].may_suspend);
    EXPECT_EQ(vms[0].overhead, mebibytes(88)) << "what it holds beyond what its guest has in use";
}

TEST_F(VmFacts, OfWhatIsOnlyObservedAreWholeAndLeftAlone) {
    row("a")->managed = false;
    put();
    for (const auto& vm : facts(machine({guest("a"), guest("stranger")}))) {
        EXPECT_EQ(vm.policy, MemoryPolicy::none);
        EXPECT_EQ(vm.minimum, vm.maximum);
    }
}

TEST_F(VmFacts, ThatMayNotShareHaveNoGroup) {
    Vm* vm = row("a");
    vm->spec.disks = {DiskSpec{.image = "debian"}};
    vm->spec.overcommit.merge = false;
    put();
    const auto vms = facts(machine({guest("a")}));
    EXPECT_FALSE(vms[0].merge);
    EXPECT_EQ(vms[0].group, "");
}

TEST_F(VmFacts, OfOneThatMovesOrIsOffAreNotTaken) {
    row("a")->state = VmState::migrating;
    put();
    drivers::DomainStats off = guest("b");
    off.state = DomainState::shut_off;
    const auto vms = facts(machine({guest("a"), off}));
    ASSERT_EQ(vms.size(), 1U);
    EXPECT_TRUE(vms[0].migrating);
}

TEST_F(VmFacts, CountQemusOwnFilesOnceWhereTheyShow) {
    row("a");
    row("b");
    put();
    drivers::MemoryStats stats = machine({guest("a", gibibytes(3)), guest("b", gibibytes(3))});
    stats.free = gibibytes(9);
    stats.cached = gibibytes(1) + mebibytes(48);
    const auto vms = facts(stats);
    EXPECT_EQ(vms[0].reading.resident, gibibytes(3) - mebibytes(24)) << "48 MiB more than the host has, of two";
}

TEST(Overhead, IsTheLeastBoundOfAWhile) {
    OverheadMemo memo;
    memory::GuestReading reading{.balloon = gibibytes(1), .unused = mebibytes(200), .resident = mebibytes(1100)};
    EXPECT_EQ(overhead_of(memo, reading, mebibytes(120)), mebibytes(120)) << "nothing is known yet";
    memo = noted(memo, reading, now);
    EXPECT_EQ(overhead_of(memo, reading, mebibytes(120)), mebibytes(276));
    reading.unused = mebibytes(30);
    memo = noted(memo, reading, now + Milliseconds(1000));
    EXPECT_EQ(overhead_of(memo, reading, mebibytes(120)), mebibytes(106));
    reading.unused = mebibytes(300);
    memo = noted(memo, reading, now + overhead_while);
    EXPECT_EQ(overhead_of(memo, reading, mebibytes(120)), mebibytes(106)) << "of this while and the one before";
    memo = noted(memo, reading, now + 2 * overhead_while);
    EXPECT_EQ(overhead_of(memo, reading, mebibytes(120)), mebibytes(376)) << "older ones are forgotten";
    reading.unused = gibibytes(9);
    EXPECT_EQ(noted(memo, reading, now + 2 * overhead_while), memo) << "a guest that lies teaches nothing";
}

TEST(Overhead, IsNotLearnedWhileTheBalloonMoves) {
    memory::GuestReading reading{
        .at = now, .balloon = mebibytes(500), .unused = mebibytes(100), .resident = mebibytes(500)};
    OverheadMemo memo = noted({}, reading, now);
    EXPECT_EQ(overhead_of(memo, reading, Bytes(0)), mebibytes(100));
    reading.balloon = mebibytes(595);  // what is unused was said before that
    memo = noted(memo, reading, now + Milliseconds(2'000));
    EXPECT_EQ(overhead_of(memo, reading, Bytes(0)), mebibytes(100)) << "not 5 MiB";
    reading.unused = mebibytes(185);
    reading.at = now + Milliseconds(4'000);
    memo = noted(memo, reading, now + Milliseconds(4'000));
    EXPECT_EQ(overhead_of(memo, reading, Bytes(0)), mebibytes(90));
}

TEST(GiveBack, DividesWhatIsReallyFree) {
    const memory::HostMemory host{.total = gibibytes(16), .free = gibibytes(2)};
    memory::VmMemory vm{.id = VmId("a"), .name = "a", .maximum = gibibytes(4), .minimum = gibibytes(1)};
    vm.reading.balloon = gibibytes(2);
    memory::VmMemory other = vm;
    other.id = VmId("b");
    other.reading.balloon = gibibytes(3);
    memory::VmMemory adopted = vm;
    adopted.id = VmId("c");
    adopted.policy = MemoryPolicy::none;
    const auto moves = memory::give_back(host, std::vector{vm, other, adopted}, gibibytes(2));
    ASSERT_EQ(moves.size(), 2U) << "an adopted VM's balloon was never moved";
    EXPECT_EQ(moves[0].to, gibibytes(3)) << "1.5 GiB above critical, of 3 that are missing";
    EXPECT_EQ(moves[1].to, gibibytes(3) + mebibytes(512));
    EXPECT_TRUE(
        memory::give_back({.total = gibibytes(16), .free = mebibytes(400)}, std::vector{vm}, gibibytes(2)).empty());
}

}  // namespace
}  // namespace ballast::overcommit
