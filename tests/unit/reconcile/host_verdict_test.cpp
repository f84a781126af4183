// The state of a host from what its connection shows.
#include "daemon/reconcile/host_verdict.h"

#include <gmock/gmock.h>

#include "tests/support/builders.h"

namespace ballast::reconcile {
namespace {

using ballast::test::a_cluster;
using ballast::test::a_host;
using ballast::test::a_vm;
using drivers::LinkState;
using ::testing::HasSubstr;

struct Case {
    HostState before;
    bool maintenance;
    HostSight sight;
    HostState after;
};

class HostVerdictTable : public ::testing::TestWithParam<Case> {};

TEST_P(HostVerdictTable, Holds) {
    Host row = a_host().state(GetParam().before).build();
    row.maintenance = GetParam().maintenance;
    EXPECT_EQ(judge_host(row, GetParam().sight).state, GetParam().after);
}

INSTANTIATE_TEST_SUITE_P(
    Table, HostVerdictTable,
    ::testing::Values(
        Case{HostState::up, false, {LinkState::connecting, "", false, ""}, HostState::connecting},
        Case{HostState::unreachable, false, {LinkState::connecting, "", false, ""}, HostState::unreachable},
        Case{HostState::connecting, false, {LinkState::unreachable, "refused", false, ""}, HostState::unreachable},
        Case{HostState::connecting, false, {LinkState::up, "", false, ""}, HostState::connecting},
        Case{HostState::unreachable, false, {LinkState::up, "", false, ""}, HostState::connecting},
        Case{HostState::connecting, false, {LinkState::up, "", true, ""}, HostState::up},
        Case{HostState::up, false, {LinkState::slow, "overdue", true, ""}, HostState::slow},
        Case{HostState::slow, false, {LinkState::up, "", true, ""}, HostState::up},
        Case{HostState::up, true, {LinkState::up, "", true, ""}, HostState::maintenance},
        Case{HostState::maintenance, true, {LinkState::slow, "", true, ""}, HostState::slow},
        Case{HostState::maintenance, false, {LinkState::up, "", true, ""}, HostState::up},
        Case{HostState::connecting, false, {LinkState::up, "", false, "same as h1"}, HostState::quarantined},
        Case{HostState::quarantined, false, {LinkState::unreachable, "", false, ""}, HostState::unreachable},
        Case{HostState::removed, false, {LinkState::up, "", true, ""}, HostState::removed}));

TEST(HostChanges, AreEventsWithTheirCause) {
    const auto snapshot = a_cluster().with(a_host("h1")).build();
    const auto change = change_host(snapshot, *snapshot.hosts.find(HostId("h1")),
                                    {LinkState::unreachable, "connection refused", false, ""}, Timestamp{});
    ASSERT_TRUE(change);
    EXPECT_EQ(change->kind, "host.unreachable");
    EXPECT_EQ(change->message, "host h1 is unreachable: connection refused");
    EXPECT_EQ(change->row.state_reason, "connection refused");
}

TEST(HostChanges, AreSilentWhenNothingChanged) {
    const auto snapshot = a_cluster().with(a_host("h1")).build();
    EXPECT_FALSE(change_host(snapshot, *snapshot.hosts.find(HostId("h1")), {LinkState::up, "again", true, ""}, {}));
}

TEST(ADuplicate, NamesTheFirstHost) {
    const auto snapshot = a_cluster().with(a_host("h1")).with(a_host("h2")).build();
    const HostFacts facts = a_host("h1").build().facts;
    EXPECT_THAT(duplicate_of(snapshot, HostId("h2"), facts), HasSubstr("the same host as h1"));
    EXPECT_EQ(duplicate_of(snapshot, HostId("h1"), facts), "");
    EXPECT_EQ(duplicate_of(snapshot, HostId("h2"), HostFacts{}), "") << "a host without a UUID is nobody's duplicate";
}

TEST(AHostConfirmedDead, StaysInQuarantineWhileItRunsWhatMovedOn) {
    const auto snapshot = a_cluster()
                              .with(a_host("h1").confirmed_dead())
                              .with(a_host("h2"))
                              .with(a_vm("web1").on("h2").running().also_defined_on("h1", DomainState::running))
                              .build();
    const auto change =
        change_host(snapshot, *snapshot.hosts.find(HostId("h1")), {LinkState::up, "", true, ""}, Timestamp{});
    ASSERT_TRUE(change);
    EXPECT_EQ(change->row.state, HostState::quarantined);
    EXPECT_TRUE(change->row.confirmed_dead);
    EXPECT_THAT(change->message, HasSubstr("still runs web1 (owned by h2)"));
}

TEST(AHostConfirmedDead, IsBackWhenItHoldsNoActiveCopyOfWhatMovedOn) {
    const auto snapshot = a_cluster()
                              .with(a_host("h1").confirmed_dead().state(HostState::unreachable))
                              .with(a_host("h2"))
                              .with(a_vm("web1").on("h2").running().also_defined_on("h1", DomainState::shut_off))
                              .with(a_vm("web2").on("h1").running())
                              .build();
    const auto change =
        change_host(snapshot, *snapshot.hosts.find(HostId("h1")), {LinkState::up, "", true, ""}, Timestamp{});
    ASSERT_TRUE(change);
    EXPECT_EQ(change->row.state, HostState::up);
    EXPECT_FALSE(change->row.confirmed_dead);
}

TEST(AHostConfirmedDead, IsNotJudgedBeforeItWasListed) {
    const auto snapshot = a_cluster().with(a_host("h1").confirmed_dead().state(HostState::unreachable)).build();
    const auto change =
        change_host(snapshot, *snapshot.hosts.find(HostId("h1")), {LinkState::up, "", false, ""}, Timestamp{});
    ASSERT_TRUE(change);
    EXPECT_EQ(change->row.state, HostState::connecting);
    EXPECT_TRUE(change->row.confirmed_dead);
}

}  // namespace
}  // namespace ballast::reconcile
