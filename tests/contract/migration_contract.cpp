// MigrationRole: what every driver promises of a move.
#include "tests/contract/suite.h"

namespace ballast::testing {

using Kind = DriverEvent::Kind;
using drivers::MigrationProgress;
using drivers::MigrationRequest;
using drivers::MigrationStatus;

void MigrationContract::SetUp() {
    DriverContract::SetUp();
    if (!harness().abilities().migrates) GTEST_SKIP() << "this kind of hosts moves nothing";
    ASSERT_GE(host_count(), 2U);
}

MigrationRequest MigrationContract::a_move(const VmId& vm, std::size_t to) const {
    MigrationRequest request;
    request.vm = vm;
    request.peer_uri = address(to).peer_uri;
    request.migration_uri = address(to).migration_uri;
    return request;
}

MigrationRequest MigrationContract::a_slow_move(const VmId& vm, std::size_t to) const {
    MigrationRequest request = a_move(vm, to);
    request.bandwidth = BytesPerSecond(mebibytes(2).count());
    request.downtime_limit = Milliseconds(100);
    return request;
}

bool MigrationContract::flows(const VmId& vm) {
    return eventually([&] {
        const auto progress = call(host().migration().progress(vm));
        return progress && progress->status == MigrationStatus::active && progress->sent > Bytes(0);
    });
}

TEST_P(MigrationContract, MovesARunningDomainWithItsStampAndLeavesNoDefinition) {
    const auto guest = running();
    ASSERT_THAT(call(host().migration().migrate(a_move(guest.id))), Succeeds());
    EXPECT_THAT(call(host(0).compute().read_domain(guest.id)), FailsWith(Code::not_found));
    const auto there = call(host(1).compute().read_domain(guest.id));
    ASSERT_THAT(there, Succeeds());
    EXPECT_EQ(there->state, DomainState::running);
    EXPECT_TRUE(there->persistent);
    EXPECT_FALSE(there->autostart);
    EXPECT_EQ(there->stamp, guest.stamp);
    EXPECT_EQ(there->name, guest.name);
    // libvirt tells of the stop, not of the undefining: who hears it must look again.
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id, 0, "stopped: migrated")) << heard_of(guest.id);
    EXPECT_TRUE(hears(Kind::domain_changed, guest.id, 1, "resumed: migrated")) << heard_of(guest.id);
    EXPECT_TRUE(hears(Kind::job_completed, guest.id, 0)) << heard_of(guest.id);
    EXPECT_FALSE(has_heard(Kind::domain_removed, guest.id, 0));
}

TEST_P(MigrationContract, ReportsWhatACompletedMoveTookOnTheTarget) {
    const auto guest = running();
    ASSERT_THAT(call(host().migration().migrate(a_move(guest.id))), Succeeds());
    const auto completed = call(host(1).migration().completed(guest.id));
    ASSERT_THAT(completed, Succeeds());
    EXPECT_EQ(completed->status, MigrationStatus::completed);
    EXPECT_GT(completed->sent, Bytes(0));
    EXPECT_GT(completed->elapsed, Milliseconds(0));
    ASSERT_TRUE(completed->downtime);
    EXPECT_LE(*completed->downtime, completed->elapsed);
    EXPECT_TRUE(completed->setup);
    EXPECT_GT(completed->normal_pages, 0);
    EXPECT_GT(completed->constant_pages, 0) << "a guest that has just begun has pages of zeros";
    EXPECT_GT(completed->total, Bytes(0));
}

TEST_P(MigrationContract, KeepsAPausedDomainPaused) {
    const auto guest = running();
    ASSERT_THAT(call(host().migration().suspend(guest.id)), Succeeds());
    ASSERT_THAT(call(host().migration().migrate(a_move(guest.id))), Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::paused);
}

TEST_P(MigrationContract, ShowsTheTargetsCopyAsIncomingWhileItPushes) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    EXPECT_EQ(state_of(guest.id, 0), DomainState::running);
    EXPECT_EQ(state_of(guest.id, 1), DomainState::incoming);
    EXPECT_FALSE(call(host(1).compute().read_domain(guest.id))->persistent);
    ASSERT_THAT(call(host().migration().abort(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
}

TEST_P(MigrationContract, CountsUpWhileItMoves) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    Bytes sent;
    Milliseconds elapsed{0};
    int advances = 0;
    EXPECT_TRUE(eventually([&] {
        const auto progress = call(host().migration().progress(guest.id));
        if (!progress || progress->status != MigrationStatus::active) return moved->has_value();
        EXPECT_GE(progress->sent, sent);
        EXPECT_GE(progress->elapsed, elapsed);
        EXPECT_GT(progress->total, Bytes(0));
        if (progress->sent > sent) ++advances;
        sent = progress->sent;
        elapsed = progress->elapsed;
        return advances >= 3;
    }));
    EXPECT_GE(advances, 1);
    static_cast<void>(call(host().migration().abort(guest.id)));
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
}

TEST_P(MigrationContract, LeavesTheSourceRunningWhenItIsAborted) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    ASSERT_THAT(call(host().migration().abort(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, FailsWith(Code::cancelled));
    EXPECT_TRUE(becomes(guest.id, DomainState::running));
    EXPECT_TRUE(eventually([&] { return !call(host(1).compute().read_domain(guest.id)).has_value(); }));
    EXPECT_TRUE(call(host().compute().read_domain(guest.id))->persistent);
}

TEST_P(MigrationContract, ForgetsAnAbortedMove) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    ASSERT_THAT(call(host().migration().abort(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    const auto progress = call(host().migration().progress(guest.id));
    ASSERT_THAT(progress, Succeeds());
    EXPECT_EQ(progress->status, MigrationStatus::none);
    EXPECT_THAT(call(host().migration().migrate(a_move(guest.id))), Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
}

TEST_P(MigrationContract, EndsWithTheSourcesQemu) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    ASSERT_THAT(call(host().compute().destroy(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_FALSE(**moved);
    EXPECT_EQ(state_of(guest.id), DomainState::shut_off);
    EXPECT_TRUE(eventually([&] { return !call(host(1).compute().read_domain(guest.id)).has_value(); }));
}

TEST_P(MigrationContract, LeavesTheSourceRunningWhenTheIncomingCopyEnds) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    ASSERT_THAT(call(host(1).compute().destroy(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, FailsWith(Code::failed_precondition));
    EXPECT_TRUE(becomes(guest.id, DomainState::running));
    EXPECT_THAT(call(host(1).compute().read_domain(guest.id)), FailsWith(Code::not_found));
}

// To libvirt a suspend on the way only hastens the move: what was running when it began runs when it arrives.
TEST_P(MigrationContract, ArrivesRunningEvenWhenItIsPausedOnTheWay) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    ASSERT_THAT(call(host().migration().suspend(guest.id)), Succeeds());
    ASSERT_THAT(call(host().migration().set_bandwidth(guest.id, BytesPerSecond(gibibytes(1).count()), false)),
                Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
}

TEST_P(MigrationContract, StopsAndCopies) {
    const auto guest = running();
    auto request = a_move(guest.id);
    request.mode = MigrationMode::stop_and_copy;
    ASSERT_THAT(call(host().migration().migrate(request)), Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
    EXPECT_THAT(call(host(0).compute().read_domain(guest.id)), FailsWith(Code::not_found));
}

TEST_P(MigrationContract, RefusesToMoveADiskThatTheTargetDoesNotHave) {
    auto volume = a_volume(a_volume_name(), mebibytes(8));
    volume.pool = harness().local_pool();
    const auto made = call(host().storage().create_volume(volume));
    ASSERT_THAT(made, Succeeds());
    auto guest = a_guest();
    guest.spec.disks.resize(1);
    guest.spec.disks[0].path = made->path;
    guest.spec.disks[0].format = "raw";
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
    auto request = a_move(guest.id);
    request.allow_unsafe = true;
    EXPECT_THAT(call(host().migration().migrate(request)), FailsWith(Code::not_found));
    EXPECT_EQ(state_of(guest.id), DomainState::running);
    EXPECT_THAT(call(host(1).compute().read_domain(guest.id)), FailsWith(Code::not_found));
    static_cast<void>(call(host().compute().destroy(guest.id)));
    EXPECT_THAT(call(host().storage().delete_volume(volume.pool, volume.name)), Succeeds());
}

TEST_P(MigrationContract, TakesNewLimitsWhileItMoves) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    EXPECT_THAT(call(host().migration().set_downtime_limit(guest.id, Milliseconds(500))), Succeeds());
    EXPECT_THAT(call(host().migration().set_bandwidth(guest.id, BytesPerSecond(gibibytes(1).count()), false)),
                Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
}

TEST_P(MigrationContract, MovesWithEachKnob) {
    const auto guest = running();
    auto there = a_move(guest.id, 1);
    there.knobs.auto_converge = true;
    there.knobs.throttle_initial = 30;
    there.knobs.throttle_increment = 15;
    ASSERT_THAT(call(host(0).migration().migrate(there)), Succeeds());
    auto back = a_move(guest.id, 0);
    back.knobs.xbzrle = true;
    back.knobs.xbzrle_cache = mebibytes(16);
    ASSERT_THAT(call(host(1).migration().migrate(back)), Succeeds());
    auto again = a_move(guest.id, 1);
    again.knobs.parallel = 2;
    ASSERT_THAT(call(host(0).migration().migrate(again)), Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
}

TEST_P(MigrationContract, CopiesADiskAlongThatTheTargetDoesNotHave) {
    auto volume = a_volume(a_volume_name(), mebibytes(32));
    volume.pool = harness().local_pool();
    const auto made = call(host().storage().create_volume(volume));
    ASSERT_THAT(made, Succeeds());
    auto guest = a_guest();
    guest.spec.disks.resize(1);
    guest.spec.disks[0].path = made->path;
    guest.spec.disks[0].format = "raw";
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
    auto request = a_move(guest.id);
    request.knobs.copy_disks = DiskCopy::full;
    EXPECT_THAT(call(host().migration().migrate(request)), Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
    EXPECT_THAT(call(host(1).storage().refresh(volume.pool)), Succeeds());
    EXPECT_THAT(call(host(1).storage().read_volume(volume.pool, volume.name)), Succeeds());
    EXPECT_THAT(call(host(0).storage().read_volume(volume.pool, volume.name)), Succeeds())
        << "the source's copy is the caller's to delete";
    static_cast<void>(call(host(1).compute().destroy(guest.id)));
    for (std::size_t at : {0U, 1U})
        EXPECT_THAT(call(host(at).storage().delete_volume(volume.pool, volume.name)), Succeeds());
}

TEST_P(MigrationContract, MeasuresTheDirtyRateAndMovesMeanwhile) {
    const auto guest = running();
    const auto before = call(host().migration().dirty_rate(guest.id));
    ASSERT_THAT(before, Succeeds());
    EXPECT_EQ(before->status, drivers::DirtyRate::Status::unstarted);
    ASSERT_THAT(call(host().migration().start_dirty_rate(guest.id, Seconds(1))), Succeeds());
    EXPECT_EQ(call(host().migration().dirty_rate(guest.id))->status, drivers::DirtyRate::Status::measuring);
    drivers::DirtyRate rate;
    ASSERT_TRUE(eventually([&] {
        rate = call(host().migration().dirty_rate(guest.id)).value_or(drivers::DirtyRate{});
        return rate.status == drivers::DirtyRate::Status::measured;
    }));
    EXPECT_EQ(rate.window, Seconds(1));
    EXPECT_GE(rate.resolution, mebibytes(1));
    EXPECT_GE(rate.rate, BytesPerSecond(0));
    ASSERT_THAT(call(host().migration().start_dirty_rate(guest.id, Seconds(5))), Succeeds());
    EXPECT_THAT(call(host().migration().migrate(a_move(guest.id))), Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
}

TEST_P(MigrationContract, MeasuresNoDirtyRateOfWhatDoesNotRun) {
    const auto guest = defined();
    EXPECT_THAT(call(host().migration().start_dirty_rate(guest.id, Seconds(1))), FailsWith(Code::failed_precondition));
    const VmId nobody("11111111-2222-4333-8444-555555555555");
    EXPECT_THAT(call(host().migration().start_dirty_rate(nobody, Seconds(1))), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().dirty_rate(nobody)), FailsWith(Code::not_found));
}

TEST_P(MigrationContract, TellsOfItsRounds) {
    const auto guest = running();
    ASSERT_THAT(call(host().migration().migrate(a_move(guest.id))), Succeeds());
    EXPECT_TRUE(hears(Kind::migration_round, guest.id, 0));
}

TEST_P(MigrationContract, GoesOnAtTheTargetAfterTheSwitchToPostCopy) {
    const auto guest = running();
    auto request = a_slow_move(guest.id);
    request.mode = MigrationMode::hybrid;
    const auto moved = begin(host().migration().migrate(request));
    ASSERT_TRUE(flows(guest.id));
    ASSERT_THAT(call(host().migration().start_post_copy(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
    EXPECT_THAT(**moved, Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
    EXPECT_THAT(call(host(0).compute().read_domain(guest.id)), FailsWith(Code::not_found));
}

TEST_P(MigrationContract, RefusesPostCopyForAMoveThatWasNotStartedForIt) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    EXPECT_THAT(call(host().migration().start_post_copy(guest.id)), FailsWith(Code::failed_precondition));
    ASSERT_THAT(call(host().migration().abort(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
}

TEST_P(MigrationContract, RefusesASecondMoveOfTheSameDomain) {
    const auto guest = running();
    const auto moved = begin(host().migration().migrate(a_slow_move(guest.id)));
    ASSERT_TRUE(flows(guest.id));
    EXPECT_THAT(call(host().migration().migrate(a_move(guest.id))), FailsWith(Code::failed_precondition));
    EXPECT_EQ(call(host().migration().progress(guest.id))->status, MigrationStatus::active);
    ASSERT_THAT(call(host().migration().abort(guest.id)), Succeeds());
    ASSERT_TRUE(eventually([&] { return moved->has_value(); }));
}

TEST_P(MigrationContract, AnswersNotFoundForADomainThatDoesNotExist) {
    const VmId nobody("11111111-2222-4333-8444-555555555555");
    EXPECT_THAT(call(host().migration().migrate(a_move(nobody))), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().progress(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().completed(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().abort(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().start_post_copy(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().pause_post_copy(nobody)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().migration().set_downtime_limit(nobody, Milliseconds(100))), FailsWith(Code::not_found));
}

TEST_P(MigrationContract, RefusesToSteerWhatDoesNotMove) {
    const auto guest = running();
    EXPECT_THAT(call(host().migration().abort(guest.id)), FailsWith(Code::failed_precondition));
    EXPECT_THAT(call(host().migration().start_post_copy(guest.id)), FailsWith(Code::failed_precondition));
    EXPECT_THAT(call(host().migration().pause_post_copy(guest.id)), FailsWith(Code::failed_precondition));
    const auto progress = call(host().migration().progress(guest.id));
    ASSERT_THAT(progress, Succeeds());
    EXPECT_EQ(progress->status, MigrationStatus::none);
}

TEST_P(MigrationContract, RefusesToMoveWhatIsOff) {
    const auto guest = defined();
    EXPECT_THAT(call(host().migration().migrate(a_move(guest.id))), FailsWith(Code::failed_precondition));
    EXPECT_EQ(state_of(guest.id), DomainState::shut_off);
}

TEST_P(MigrationContract, RefusesToMoveToTheSameHost) {
    const auto guest = running();
    EXPECT_THAT(call(host().migration().migrate(a_move(guest.id, 0))), FailsWith(Code::failed_precondition));
    EXPECT_EQ(state_of(guest.id), DomainState::running);
}

TEST_P(MigrationContract, LeavesTheSourceRunningWhenThePeerDoesNotAnswer) {
    const auto guest = running();
    auto request = a_move(guest.id);
    request.peer_uri = harness().unreachable_uri();
    request.migration_uri.clear();
    EXPECT_THAT(call(host().migration().migrate(request)), FailsWith(Code::unavailable));
    EXPECT_EQ(state_of(guest.id), DomainState::running);
}

TEST_P(MigrationContract, RefusesToReplaceAnotherDomainOfTheSameName) {
    const auto guest = running();
    auto other = a_guest();
    other.name = guest.name;
    ASSERT_THAT(call(host(1).compute().define(other)), Succeeds());
    EXPECT_THAT(call(host().migration().migrate(a_move(guest.id))), FailsWith(Code::already_exists));
    EXPECT_EQ(state_of(guest.id), DomainState::running);
    EXPECT_EQ(state_of(other.id, 1), DomainState::shut_off);
}

TEST_P(MigrationContract, MovesADiskOnlyWithEvidenceOfSharedStorage) {
    auto volume = a_volume(a_volume_name(), mebibytes(8));
    volume.format = "qcow2";
    const auto made = call(host().storage().create_volume(volume));
    ASSERT_THAT(made, Succeeds());
    ASSERT_THAT(call(host(1).storage().refresh(harness().pool())), Succeeds());
    auto guest = a_guest();
    guest.spec.disks.resize(1);
    guest.spec.disks[0].path = made->path;
    ASSERT_THAT(call(host().compute().define(guest)), Succeeds());
    ASSERT_THAT(call(host().compute().start(guest.id)), Succeeds());
    auto request = a_move(guest.id);
    EXPECT_THAT(call(host().migration().migrate(request)), FailsWith(Code::failed_precondition));
    EXPECT_EQ(state_of(guest.id), DomainState::running);
    request.allow_unsafe = true;
    EXPECT_THAT(call(host().migration().migrate(request)), Succeeds());
    EXPECT_EQ(state_of(guest.id, 1), DomainState::running);
}

TEST_P(MigrationContract, MovesThereAndBack) {
    const auto guest = running();
    ASSERT_THAT(call(host(0).migration().migrate(a_move(guest.id, 1))), Succeeds());
    ASSERT_THAT(call(host(1).migration().migrate(a_move(guest.id, 0))), Succeeds());
    EXPECT_EQ(state_of(guest.id, 0), DomainState::running);
    EXPECT_THAT(call(host(1).compute().read_domain(guest.id)), FailsWith(Code::not_found));
}

TEST_P(MigrationContract, FindsAPeerThatItCanReach) {
    const auto checks = call(host().migration().probe_peer(address(1).peer_uri, ""));
    ASSERT_THAT(checks, Succeeds());
    EXPECT_FALSE(checks->empty());
    for (const auto& check : *checks) EXPECT_NE(check.verdict, CheckVerdict::refused) << check.name << check.detail;
}

TEST_P(MigrationContract, NamesTheWayOutWhereAPeerCannotBeReached) {
    const auto checks = call(host().migration().probe_peer(harness().unreachable_uri(), ""));
    ASSERT_THAT(checks, Succeeds());
    const auto refused = std::ranges::find(*checks, CheckVerdict::refused, &PairCheck::verdict);
    ASSERT_NE(refused, checks->end()) << checks->front().name << ": " << checks->front().detail;
    EXPECT_FALSE(refused->detail.empty());
    EXPECT_FALSE(refused->way_out.empty());
}

}  // namespace ballast::testing
