// When a VM is started because its host has come back: the rule as a table.
#include "daemon/reconcile/autostart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/reconcile/merge.h"
#include "tests/support/builders.h"

namespace ballast::reconcile {
namespace {

using ballast::test::a_host;
using ::testing::HasSubstr;

const Timestamp now{std::chrono::hours(500'000)};

Definition definition(const std::string& host, DomainState state, bool stale = false) {
    Definition made;
    made.host = HostId(host);
    made.state = state;
    made.stale_view = stale;
    return made;
}

/// A host that was lost while the VM ran, and came back with it off.
struct Scene {
    Host host = a_host("h1").build();
    Vm before;
    Vm after;
    drivers::DomainView view;
    std::optional<Timestamp> booted;
    std::optional<Timestamp> stopped;

    Scene() {
        before.id = VmId("00000000-0000-4000-8000-000000000001");
        before.name = "web1";
        before.managed = before.created_by_ballast = true;
        before.spec.autostart = true;
        before.host = host.id;
        before.state = VmState::unknown;
        before.state_since = now - std::chrono::minutes(3);
        before.definitions = {definition("h1", DomainState::running, true)};
        after = before;
        after.state = VmState::stopped;
        after.definitions = {definition("h1", DomainState::shut_off)};
    }
    /// The host shut its guests down, then booted.
    void reboot(std::chrono::minutes after_stop = std::chrono::minutes(2)) {
        before.state = VmState::stopped;
        before.definitions = after.definitions;
        booted = before.state_since + after_stop;
    }
    [[nodiscard]] std::optional<std::string> verdict() const {
        return reason_to_start(host, {before, after, view, booted, stopped});
    }
};

struct Row {
    std::string name;
    void (*change)(Scene&);
    bool starts;
};

class Autostart : public ::testing::TestWithParam<Row> {};

TEST_P(Autostart, Decides) {
    Scene scene;
    GetParam().change(scene);
    EXPECT_EQ(scene.verdict().has_value(), GetParam().starts) << scene.verdict().value_or("not started");
}

const Row rows[] = {
    {"ItRanWhenItsHostWasLost", [](Scene&) {}, true},
    {"ItRanWhenTheDaemonLastLooked",
     [](Scene& s) {
         s.before.state = VmState::running;
         s.before.definitions = {definition("h1", DomainState::running)};
     },
     true},
    {"ItsQemuWasGone",
     [](Scene& s) {
         s.view.state_reason = "crashed";
         s.after.state = VmState::crashed;
         s.after.definitions = {definition("h1", DomainState::crashed)};
     },
     true},
    {"NotAskedFor", [](Scene& s) { s.after.spec.autostart = false; }, false},
    {"OnlyObserved", [](Scene& s) { s.after.managed = false; }, false},
    {"HostOnlyObserved", [](Scene& s) { s.host.managed = false; }, false},
    {"HostInMaintenance", [](Scene& s) { s.host.maintenance = true; }, false},
    {"HostConfirmedDead", [](Scene& s) { s.host.confirmed_dead = true; }, false},
    {"ReleasedMeanwhile", [](Scene& s) { s.before.host.reset(); }, false},
    {"OwnedByAnotherHostNow", [](Scene& s) { s.after.host = HostId("h2"); }, false},
    {"AnotherDefinitionThatMayRun",
     [](Scene& s) { s.after.definitions.push_back(definition("h2", DomainState::running, true)); }, false},
    {"AnotherDefinitionThatIsOff",
     [](Scene& s) { s.after.definitions.push_back(definition("h2", DomainState::shut_off)); }, false},
    {"AJobWorksOnIt", [](Scene& s) { s.after.job = JobId("j"); }, false},
    {"SomebodyElsesStamp", [](Scene& s) { s.after.alerts = {"observe-only: another cluster"}; }, false},
    {"ItStillRuns",
     [](Scene& s) {
         s.after.state = VmState::running;
         s.after.definitions = {definition("h1", DomainState::running)};
     },
     false},
    {"ItWasDestroyedByHandMeanwhile", [](Scene& s) { s.view.state_reason = "destroyed"; }, false},
    {"ItsGuestWasShutDownMeanwhile", [](Scene& s) { s.view.state_reason = "shut down"; }, false},
    {"ItWasSaved", [](Scene& s) { s.after.definitions.front().bound_by = {"managed save"}; }, false},
    {"ItWasPausedByHand", [](Scene& s) { s.before.definitions = {definition("h1", DomainState::paused, true)}; },
     false},
    {"ItWasOffAndOnlyLibvirtdWasRestarted",
     [](Scene& s) {
         s.reboot();
         s.booted.reset();
     },
     false},
    {"TheHostStoppedItAsItWentDownToBoot", [](Scene& s) { s.reboot(); }, true},
    {"ItWasOffLongBeforeTheBoot", [](Scene& s) { s.reboot(std::chrono::minutes(20)); }, false},
    {"ItWasStoppedAfterTheBoot", [](Scene& s) { s.reboot(std::chrono::minutes(-1)); }, false},
    {"AnOperatorStoppedItJustBeforeTheBoot",
     [](Scene& s) {
         s.reboot();
         s.stopped = s.before.state_since;
     },
     false},
    {"AnOperatorStoppedItOnceBefore",
     [](Scene& s) {
         s.reboot();
         s.stopped = s.before.state_since - std::chrono::hours(1);
     },
     true},
};

INSTANTIATE_TEST_SUITE_P(Table, Autostart, ::testing::ValuesIn(rows), [](const auto& info) { return info.param.name; });

TEST(AutostartReason, NamesVmAndHost) {
    EXPECT_THAT(*Scene().verdict(), HasSubstr("web1 ran on h1"));
}

TEST(BootTime, IsBelievedOnlyWhereItIsCloseAndCounted) {
    drivers::HostStats stats;
    EXPECT_EQ(boot_time(stats, 4, now), std::nullopt);
    stats.cpu_busy = std::chrono::minutes(4);
    stats.cpu_idle = std::chrono::minutes(36);
    EXPECT_EQ(boot_time(stats, 4, now), now - std::chrono::minutes(10));
    EXPECT_EQ(boot_time(stats, 0, now), std::nullopt);
    stats.cpu_idle = std::chrono::hours(400);
    EXPECT_EQ(boot_time(stats, 4, now), std::nullopt) << "100 hours up: its sum is no proof any more";
}

TEST(LastStop, IsTheLatestOfBallastsOwn) {
    const auto job = [](const std::string& id, const std::string& kind, std::chrono::hours at) {
        Job made;
        made.id = JobId(id);
        made.vm = VmId("v");
        made.kind = kind;
        made.finished = Timestamp(at);
        return made;
    };
    Snapshot snapshot;
    EXPECT_EQ(last_stop(snapshot, VmId("v")), std::nullopt);
    for (const auto& one : {job("a", "vm.shutdown", std::chrono::hours(1)),
                            job("b", "vm.destroy", std::chrono::hours(3)), job("c", "vm.start", std::chrono::hours(5))})
        snapshot.jobs.put(std::make_shared<const Job>(one));
    EXPECT_EQ(last_stop(snapshot, VmId("v")), Timestamp(std::chrono::hours(3)));
}

}  // namespace
}  // namespace ballast::reconcile
