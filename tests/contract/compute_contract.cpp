// Compute and Statistics: what every driver promises of a host's domains.
#include "tests/contract/suite.h"

namespace ballast::testing {
namespace {

using Kind = DriverEvent::Kind;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::Ge;
using ::testing::Le;

/// A balloon before the guest has its driver: on the lab's hosts it shows two pages too many (lab/ballast_lab/qemu.py).
auto is_at_first(Bytes memory) {
    return AllOf(Ge(memory), Le(memory + Bytes(8192)));
}

const VmId nobody("11111111-2222-4333-8444-555555555555");

drivers::Stamp another_stamp() {
    return {.cluster = "another", .owner = HostId("elsewhere"), .epoch = 8};
}

}  // namespace

TEST_P(ComputeContract, ReadsWhatTheHostIs) {
    const auto facts = call(host().compute().read_facts());
    ASSERT_THAT(facts, Succeeds());
    if (!harness().abilities().is_mock) EXPECT_FALSE(facts->host_uuid.empty());
    EXPECT_FALSE(facts->hostname.empty());
    EXPECT_GT(facts->cpus, 0);
    EXPECT_GT(facts->memory, Bytes(0));
    EXPECT_GT(facts->libvirt_version, 0U);
    EXPECT_FALSE(facts->architecture.empty());
}

TEST_P(ComputeContract, SaysThatItIsConnectedAndMustBeListed) {
    EXPECT_EQ(host().link(), LinkState::up);
    EXPECT_TRUE(hears(Kind::link, VmId()));
    EXPECT_TRUE(hears(Kind::inventory_changed, VmId()));
}

TEST_P(ComputeContract, ListsWhatIsDefined) {
    const auto guest = defined();
    const auto listed = call(host().compute().list_domains());
    ASSERT_THAT(listed, Succeeds());
    EXPECT_THAT(*listed, Contains(Field(&drivers::DomainView::id, guest.id)));
}

TEST_P(ComputeContract, ReadsOneDomainAsItListsIt) {
    const auto guest = running();
    const auto one = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(one, Succeeds());
    const auto listed = call(host().compute().list_domains());
    ASSERT_THAT(listed, Succeeds());
    const auto found = std::ranges::find(*listed, guest.id, &drivers::DomainView::id);
    ASSERT_NE(found, listed->end());
    EXPECT_EQ(found->name, one->name);
    EXPECT_EQ(found->state, one->state);
    EXPECT_EQ(found->persistent, one->persistent);
    EXPECT_EQ(found->stamp, one->stamp);
    EXPECT_EQ(found->spec, one->spec);
}

TEST_P(ComputeContract, DefinesADomainThatIsPersistentAndOff) {
    const auto guest = defined();
    const auto view = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->name, guest.name);
    EXPECT_EQ(view->state, DomainState::shut_off);
    EXPECT_TRUE(view->persistent);
    EXPECT_FALSE(view->autostart);
    EXPECT_EQ(view->stamp, guest.stamp);
    EXPECT_EQ(view->balloon, Bytes(0));
    EXPECT_FALSE(view->xml.empty());
    EXPECT_THAT(view->bound_by, ::testing::IsEmpty());
}

TEST_P(ComputeContract, ReadsTheSpecBackAsItWasDefined) {
    auto guest = a_guest();
    guest.spec.vcpus = 2;
    guest.spec.disks.resize(2);
    guest.spec.disks[0].target = "vda";
    guest.spec.disks[0].path = "/var/lib/nowhere/root.qcow2";
    guest.spec.disks[1].target = "sda";
    guest.spec.disks[1].bus = "sata";
    guest.spec.disks[1].format = "raw";
    guest.spec.disks[1].cache = "writeback";
    guest.spec.disks[1].read_only = false;
    guest.spec.disks[1].path = "/var/lib/nowhere/data.raw";
    guest.spec.balloon.stats_period_s = 5;
    guest.spec.balloon.autodeflate = false;
    guest.spec.labels = {};
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    const auto view = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->spec.vcpus, guest.spec.vcpus);
    EXPECT_EQ(view->spec.memory, guest.spec.memory);
    EXPECT_EQ(view->spec.machine, guest.spec.machine);
    EXPECT_EQ(view->spec.cpu_model, guest.spec.cpu_model);
    EXPECT_EQ(view->spec.disks, guest.spec.disks);
    EXPECT_EQ(view->spec.nics, guest.spec.nics);
    EXPECT_EQ(view->spec.boot, guest.spec.boot);
    EXPECT_EQ(view->spec.serial, guest.spec.serial);
    EXPECT_EQ(view->spec.balloon, guest.spec.balloon);
}

TEST_P(ComputeContract, KeepsBallastsOwnWordsOutOfTheDefinition) {
    auto guest = a_guest();
    guest.spec.labels = {{"tier", "web"}};
    guest.spec.anti_affinity = "web";
    guest.spec.autostart = true;
    guest.spec.moves = MovePolicy::never;
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    const auto view = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->spec.labels, VmSpec().labels);
    EXPECT_EQ(view->spec.anti_affinity, VmSpec().anti_affinity);
    EXPECT_EQ(view->spec.autostart, VmSpec().autostart);
    EXPECT_EQ(view->spec.moves, VmSpec().moves);
    EXPECT_FALSE(view->autostart);
}

TEST_P(ComputeContract, FillsInWhatTheSpecLeavesOpen) {
    auto guest = a_guest();
    guest.spec.machine.clear();
    if (!guest.spec.nics.empty()) guest.spec.nics[0].mac.clear();
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    const auto view = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(view, Succeeds());
    if (!harness().abilities().is_mock) EXPECT_FALSE(view->spec.machine.empty());
    for (const auto& nic : view->spec.nics) EXPECT_FALSE(nic.mac.empty());
}

TEST_P(ComputeContract, RefusesADiskWithoutAPath) {
    auto guest = a_guest();
    guest.spec.disks.resize(1);
    EXPECT_THAT(call(host().compute().define(guest)), FailsWith(Code::invalid_argument));
    EXPECT_THAT(call(host().compute().read_domain(guest.id)), FailsWith(Code::not_found));
}

TEST_P(ComputeContract, RefusesANicWithoutANetwork) {
    auto guest = a_guest();
    guest.spec.nics.resize(1);
    guest.spec.nics[0].network.clear();
    EXPECT_THAT(call(host().compute().define(guest)), FailsWith(Code::invalid_argument));
}

TEST_P(ComputeContract, ReplacesADefinitionOfTheSameId) {
    auto guest = defined();
    guest.spec.vcpus += 1;
    guest.stamp.epoch += 1;
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    const auto view = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->spec.vcpus, guest.spec.vcpus);
    EXPECT_EQ(view->stamp, guest.stamp);
}

TEST_P(ComputeContract, RefusesASecondDomainOfTheSameName) {
    const auto guest = defined();
    auto other = a_guest();
    other.name = guest.name;
    EXPECT_THAT(call(host().compute().define(other)), FailsWith(Code::already_exists));
    EXPECT_THAT(call(host().compute().read_domain(other.id)), FailsWith(Code::not_found));
}

TEST_P(ComputeContract, AnswersNotFoundForADomainThatDoesNotExist) {
    EXPECT_THAT(call(host().compute().read_domain(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().undefine(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().start(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().shutdown(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().reboot(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().destroy(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().stamp(nobody, another_stamp())), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().open_console(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().suspend(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().resume(nobody)), FailsWith(Code::not_found));
}

TEST_P(ComputeContract, StartsADomainOnce) {
    const auto guest = running();
    EXPECT_EQ(state_of(guest.id), DomainState::running);
    EXPECT_THAT(call(host().compute().start(guest.id)), Refuses(harness().abilities()));
    const auto view = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_THAT(view->balloon, is_at_first(guest.spec.memory));
    EXPECT_EQ(view->stamp, guest.stamp);
}

TEST_P(ComputeContract, DoesNotStartADomainWithoutItsDisk) {
    if (harness().abilities().is_mock) GTEST_SKIP() << "this host opens no files";
    const auto pools = call(host().storage().list_pools());
    ASSERT_THAT(pools, Succeeds());
    const auto pool = std::ranges::find(*pools, harness().pool(), &drivers::PoolView::name);
    ASSERT_NE(pool, pools->end());
    auto guest = a_guest();
    guest.spec.disks.resize(1);
    guest.spec.disks[0].path = pool->path + "/no-such-volume.qcow2";
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    EXPECT_THAT(call(host().compute().start(guest.id)), FailsWith(Code::not_found));
    EXPECT_EQ(state_of(guest.id), DomainState::shut_off);
}

TEST_P(ComputeContract, EndsADomainAndKeepsItsDefinition) {
    const auto guest = running();
    ASSERT_THAT(call(host().compute().destroy(guest.id)), Succeeds());
    EXPECT_EQ(state_of(guest.id), DomainState::shut_off);
    EXPECT_THAT(call(host().compute().destroy(guest.id)), Refuses(harness().abilities()));
}

TEST_P(ComputeContract, RefusesToUndefineAnActiveDomain) {
    const auto guest = running();
    EXPECT_THAT(call(host().compute().undefine(guest.id)), Refuses(harness().abilities()));
    const auto view = call(host().compute().read_domain(guest.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_TRUE(view->persistent);
    EXPECT_EQ(view->state, DomainState::running);
}

TEST_P(ComputeContract, UndefinesADomainOnce) {
    const auto guest = defined();
    ASSERT_THAT(call(host().compute().undefine(guest.id)), Succeeds());
    EXPECT_THAT(call(host().compute().read_domain(guest.id)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().compute().undefine(guest.id)), FailsWith(Code::not_found));
}

TEST_P(ComputeContract, AsksAGuestToShutDown) {
    const auto guest = running();
    // A guest that boots just now does not hear ACPI yet: ask as a job does, until it is off.
    EXPECT_TRUE(eventually(
        [&] {
            const DomainState state = state_of(guest.id);
            if (state == DomainState::running) static_cast<void>(call(host().compute().shutdown(guest.id)));
            return state == DomainState::shut_off;
        },
        std::chrono::seconds(60)));
    EXPECT_THAT(call(host().compute().shutdown(guest.id)), Refuses(harness().abilities()));
}

TEST_P(ComputeContract, RefusesToRebootWhatIsOff) {
    const auto guest = defined();
    EXPECT_THAT(call(host().compute().reboot(guest.id)), Refuses(harness().abilities()));
}

TEST_P(ComputeContract, StampsADomainThatIsOff) {
    const auto guest = defined();
    ASSERT_THAT(call(host().compute().stamp(guest.id, another_stamp())), Succeeds());
    EXPECT_EQ(call(host().compute().read_domain(guest.id))->stamp, another_stamp());
}

TEST_P(ComputeContract, StampsARunningDomainLiveAndForItsNextStart) {
    const auto guest = running();
    ASSERT_THAT(call(host().compute().stamp(guest.id, another_stamp())), Succeeds());
    EXPECT_EQ(call(host().compute().read_domain(guest.id))->stamp, another_stamp());
    ASSERT_THAT(call(host().compute().destroy(guest.id)), Succeeds());
    EXPECT_EQ(call(host().compute().read_domain(guest.id))->stamp, another_stamp());
}

TEST_P(ComputeContract, ClearsAutostartWhenItStamps) {
    const auto guest = defined();
    if (!harness().set_autostart(address(0).id.str(), guest.name, guest.id))
        GTEST_SKIP() << "nobody but Ballast reaches this host";
    ASSERT_TRUE(call(host().compute().read_domain(guest.id))->autostart);
    ASSERT_THAT(call(host().compute().stamp(guest.id, another_stamp())), Succeeds());
    EXPECT_FALSE(call(host().compute().read_domain(guest.id))->autostart);
}

TEST_P(ComputeContract, PausesAndResumes) {
    const auto guest = running();
    ASSERT_THAT(call(host().migration().suspend(guest.id)), Succeeds());
    EXPECT_EQ(state_of(guest.id), DomainState::paused);
    ASSERT_THAT(call(host().migration().resume(guest.id)), Succeeds());
    EXPECT_EQ(state_of(guest.id), DomainState::running);
    EXPECT_THAT(call(host().migration().resume(guest.id)), Refuses(harness().abilities()));
}

TEST_P(ComputeContract, RefusesToPauseWhatIsOff) {
    const auto guest = defined();
    EXPECT_THAT(call(host().migration().suspend(guest.id)), Refuses(harness().abilities()));
    EXPECT_THAT(call(host().migration().resume(guest.id)), Refuses(harness().abilities()));
}

TEST_P(ComputeContract, TellsOfEachChange) {
    const auto guest = defined();
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id)) << "defined";
    forget_events();
    ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id)) << "started";
    forget_events();
    ASSERT_THAT(call(host().migration().suspend(guest.id)), Succeeds());
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id)) << "suspended";
    forget_events();
    ASSERT_THAT(call(host().migration().resume(guest.id)), Succeeds());
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id)) << "resumed";
    forget_events();
    ASSERT_THAT(call(host().compute().destroy(guest.id)), Succeeds());
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id)) << "stopped";
    forget_events();
    ASSERT_THAT(call(host().compute().undefine(guest.id)), Succeeds());
    EXPECT_TRUE(hears(Kind::domain_removed, guest.id)) << "undefined";
}

TEST_P(ComputeContract, TellsWhatSomebodyElseDid) {
    const auto guest = defined();
    const auto else_ = open(address(0));
    ASSERT_TRUE(eventually([&] { return else_->link() == LinkState::up; }));
    forget_events();
    ASSERT_THAT(call(else_->compute().start(guest.id)), Succeeds());
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id));
    EXPECT_EQ(state_of(guest.id), DomainState::running);
    else_->close();
}

TEST_P(ComputeContract, SweepsStatisticsOfAllDomains) {
    const auto on = running();
    const auto off = defined();
    drivers::HostStats stats;
    // A busy domain is left out of a sweep: a guest that has just started may be.
    ASSERT_TRUE(eventually([&] {
        const auto swept = call(host().statistics().sweep());
        if (!swept) return false;
        stats = *swept;
        return std::ranges::count(stats.domains, on.id, &drivers::DomainStats::id) == 1;
    }));
    const auto one = std::ranges::find(stats.domains, on.id, &drivers::DomainStats::id);
    EXPECT_EQ(one->state, DomainState::running);
    if (!harness().abilities().is_mock) {
        EXPECT_GT(stats.memory_total, Bytes(0));
        EXPECT_EQ(one->vcpus, on.spec.vcpus);
        EXPECT_EQ(one->balloon_maximum, on.spec.memory);
        EXPECT_THAT(one->balloon, is_at_first(on.spec.memory));
    }
    const auto other = std::ranges::find(stats.domains, off.id, &drivers::DomainStats::id);
    if (other != stats.domains.end()) EXPECT_EQ(other->state, DomainState::shut_off);
}

TEST_P(ComputeContract, OpensTheSerialConsole) {
    if (!harness().abilities().has_console) GTEST_SKIP() << "no console behind this host";
    const auto guest = running();
    const auto console = call(host().compute().open_console(guest.id));
    ASSERT_THAT(console, Succeeds());
    const auto text = call((*console)->read());
    ASSERT_THAT(text, Succeeds());
    EXPECT_FALSE(text->empty());
    EXPECT_THAT(call((*console)->write("\n")), Succeeds());
    (*console)->close();
}

TEST_P(ComputeContract, EndsAReadOfTheConsoleThatIsClosed) {
    if (!harness().abilities().has_console) GTEST_SKIP() << "no console behind this host";
    const auto guest = running();
    const auto console = call(host().compute().open_console(guest.id));
    ASSERT_THAT(console, Succeeds());
    (*console)->close();
    EXPECT_TRUE(eventually([&] {
        const auto text = call((*console)->read());
        return text && text->empty();
    }));
}

TEST_P(ComputeContract, RefusesAConsoleOfWhatIsOff) {
    if (!harness().abilities().has_console) GTEST_SKIP() << "no console behind this host";
    const auto guest = defined();
    EXPECT_THAT(call(host().compute().open_console(guest.id)), Refuses(harness().abilities()));
}

TEST_P(ComputeContract, SpeaksItsOwnSchemeOnly) {
    EXPECT_THAT(harness().driver().check_uri(address(0).uri), Succeeds());
    EXPECT_THAT(harness().driver().check_uri(harness().foreign_uri()), FailsWith(Code::invalid_argument));
    EXPECT_THAT(harness().driver().check_uri(""), FailsWith(Code::invalid_argument));
}

TEST_P(ComputeContract, SaysThatAHostCannotBeReached) {
    if (harness().unreachable_uri().empty()) GTEST_SKIP() << "every address of this scheme answers";
    const HostId lost("lost");
    const auto opened = open({lost, harness().unreachable_uri(), "", ""});
    ASSERT_NE(opened, nullptr);
    EXPECT_TRUE(eventually([&] { return opened->link() == LinkState::unreachable; }));
    EXPECT_THAT(call(opened->compute().list_domains()), FailsWith(Code::unavailable));
    opened->close();
}

TEST_P(ComputeContract, AnswersUnavailableOnceItIsClosed) {
    const auto opened = open(address(0));
    ASSERT_TRUE(eventually([&] { return opened->link() == LinkState::up; }));
    opened->close();
    opened->close();
    EXPECT_THAT(call(opened->compute().list_domains()), FailsWith(Code::unavailable));
}

}  // namespace ballast::testing
