// Post-copy: the switch, its cap, what can no longer be done, and how a broken pull goes on.
#include <cstdlib>

#include "tests/contract/suite.h"

namespace ballast::testing {

using drivers::MigrationRequest;
using drivers::MigrationStatus;

namespace {

constexpr BytesPerSecond per_second(Bytes bytes) {
    return BytesPerSecond(bytes.count());
}

}  // namespace

MigrationRequest MigrationContract::a_pull(const VmId& vm) const {
    MigrationRequest request = a_slow_move(vm);
    request.mode = MigrationMode::hybrid;
    request.post_copy_bandwidth = per_second(mebibytes(4));
    return request;
}

std::shared_ptr<std::optional<Result<void>>> MigrationContract::begin_pull(const drivers::DomainDefinition& guest) {
    auto moved = begin(host().migration().migrate(a_pull(guest.id)));
    EXPECT_TRUE(flows(guest.id));
    EXPECT_THAT(call(host().migration().start_post_copy(guest.id)), Succeeds());
    EXPECT_TRUE(becomes(guest.id, DomainState::postcopy_target, 1));
    EXPECT_TRUE(becomes(guest.id, DomainState::postcopy_source));
    return moved;
}

TEST_P(MigrationContract, SwitchesToPostCopyOnlyOnceBytesHaveFlowed) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_pull(guest.id)));
    int refusals = 0;
    EXPECT_TRUE(eventually([&] {
        const auto switched = call(host().migration().start_post_copy(guest.id));
        if (switched) return true;
        EXPECT_THAT(switched, FailsWith(Code::failed_precondition));
        ++refusals;
        return moved->has_value();
    }));
    EXPECT_GT(refusals, 0) << "at its very beginning nothing has been sent";
    EXPECT_FALSE(moved->has_value());
    EXPECT_TRUE(becomes(guest.id, DomainState::postcopy_target, 1));
    EXPECT_THAT(call(host().migration().set_bandwidth(guest.id, per_second(gibibytes(1)), true)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
}

TEST_P(MigrationContract, HoldsThePostCopyCapAndCanNoLongerBeAborted) {
    const auto guest = running();
    const auto moved = begin_pull(guest);
    EXPECT_THAT(call(host().migration().abort(guest.id)), FailsWith(Code::failed_precondition));
    const auto first = call(host().migration().progress(guest.id));
    ASSERT_THAT(first, Succeeds());
    EXPECT_EQ(first->status, MigrationStatus::post_copy);
    auto last = *first;
    EXPECT_TRUE(eventually([&] {
        last = call(host().migration().progress(guest.id)).value_or(last);
        return last.elapsed >= first->elapsed + Seconds(2);
    }));
    const double took = std::chrono::duration<double>(last.elapsed - first->elapsed).count();
    const double rate = (last.sent - first->sent) / mebibytes(1) / took;
    EXPECT_LT(rate, 6.0) << "MiB/s, of 4 allowed";
    EXPECT_GT(rate, 1.0);
    EXPECT_THAT(call(host().migration().set_bandwidth(guest.id, per_second(gibibytes(1)), true)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, Succeeds());
}

// A stall that nobody reports: it is paused, and once the wire is mended both sides show it and it is taken up again.
// What libvirt 9.0 does was watched: the first call goes on waiting for the target, and until it has returned, taking
// up is refused; without the pause the source shows the failure only after its peer's keepalive (25 to 30 s).
TEST_P(MigrationContract, TakesUpAPullThatStalledAndLosesNothingOfTheGuest) {
    // On real hosts a resume can be refused for long, or hang libvirtd 9.0: it failed here once
    // (docs/SPECIFICATION.md).
    if (GetParam().name == "lab" && std::getenv("BALLAST_FULL") == nullptr) GTEST_SKIP() << "with scripts/test --full";
    const auto guest = busy();
    auto moved = begin_pull(guest);
    auto again = a_pull(guest.id);
    again.resume_post_copy = true;
    for (const bool silent : {true, false}) {
        harness().cut(1, silent);
        ASSERT_THAT(call(host().migration().pause_post_copy(guest.id)), Succeeds()) << "silent: " << silent;
        EXPECT_TRUE(becomes(guest.id, DomainState::postcopy_failed)) << "silent: " << silent;
        EXPECT_EQ(call(host().migration().progress(guest.id))->status, MigrationStatus::post_copy_paused);
        EXPECT_THAT(call(host().migration().abort(guest.id)), FailsWith(Code::failed_precondition));
        harness().heal(1);
        ASSERT_TRUE(eventually([&] { return moved->has_value(); }, std::chrono::seconds(60)));
        EXPECT_FALSE(**moved);
        EXPECT_EQ(state_of(guest.id, 0), DomainState::postcopy_failed);
        EXPECT_TRUE(becomes(guest.id, DomainState::postcopy_failed, 1)) << "both copies are kept";
        moved = begin(host().migration().migrate(again));
        const auto taken_up = [&] {
            if (moved->has_value())
                moved = begin(host().migration().migrate(again));  // refused: asked again, as jobs do
            return state_of(guest.id, 1) == DomainState::postcopy_target;
        };
        ASSERT_TRUE(eventually(taken_up, std::chrono::seconds(60))) << "silent: " << silent;
    }
    EXPECT_THAT(call(host().migration().set_bandwidth(guest.id, per_second(gibibytes(1)), true)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
    EXPECT_THAT(call(host(0).compute().read_domain(guest.id)), FailsWith(Code::not_found));
    EXPECT_TRUE(beats_on(guest.id)) << harness().beats(guest.id);
}

TEST_P(MigrationContract, RefusesToTakeUpWhatIsNotPaused) {
    const auto guest = running();
    auto again = a_pull(guest.id);
    again.resume_post_copy = true;
    EXPECT_THAT(call(host().migration().migrate(again)), FailsWith(Code::failed_precondition));
    EXPECT_EQ(state_of(guest.id), DomainState::running);
}

}  // namespace ballast::testing
