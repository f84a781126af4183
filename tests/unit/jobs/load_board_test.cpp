// The load history, and moves that others make: pure bookkeeping, fed by hand.
#include "daemon/jobs/rebalance/load_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/jobs/rebalance/outside_moves.h"
#include "tests/support/builders.h"

namespace ballast::jobs {
namespace {

using namespace ballast::test;
using std::chrono::seconds;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Timestamp midnight{std::chrono::sys_days(std::chrono::year(2026) / 3 / 1)};

/// One sweep of one host with one VM.
reconcile::StatsTable sweep(int second, double cores, Timestamp time) {
    auto sample = std::make_shared<reconcile::HostSample>();
    sample->host = HostId("h1");
    sample->time = time;
    sample->monotonic = std::chrono::steady_clock::time_point(seconds(1'000 + second));
    reconcile::VmSample vm;
    vm.stats.id = VmId("web1");
    vm.stats.balloon = gibibytes(2);
    vm.stats.unused = gibibytes(1);
    vm.cpus_used = cores;
    sample->vms.emplace(vm.stats.id, vm);
    reconcile::StatsTable table;
    table.hosts.emplace(sample->host, sample);
    return table;
}

/// Every 10 s for so long; `cores` by second.
void run_for(LoadBoard& board, int from, int to, const std::function<double(int)>& cores) {
    for (int second = from; second <= to; second += 10)
        board.note(sweep(second, cores(second), midnight + seconds(second)));
}

TEST(LoadBoard, KnowsMeanAndDeviationOfASteadyLoad) {
    LoadBoard board;
    run_for(board, 0, 7'200, [](int) { return 1.5; });
    const auto load = board.load(midnight).vms.at(VmId("web1"));
    EXPECT_THAT(load.cpu_mean, DoubleNear(1.5, 1e-9));
    EXPECT_THAT(load.cpu_deviation, DoubleNear(0, 1e-6));
    EXPECT_EQ(load.working_set, gibibytes(1));
    EXPECT_THAT(load.cpu_by_hour, IsEmpty()) << "no day has been seen yet";
}

TEST(LoadBoard, SharesWhatItKnowsUntilItKnowsMore) {
    LoadBoard board;
    run_for(board, 0, 600, [](int) { return 1.0; });
    const auto first = board.shared_load(midnight);
    EXPECT_EQ(board.shared_load(midnight), first) << "nothing is made anew";
    EXPECT_EQ(first->vms, board.load(midnight).vms);
    board.note(sweep(610, 4.0, midnight));
    const auto second = board.shared_load(midnight);
    EXPECT_GT(second->vms.at(VmId("web1")).cpu_mean, first->vms.at(VmId("web1")).cpu_mean);
    static_cast<void>(board.forget_all_but([](const VmId&) { return false; }));
    EXPECT_THAT(board.shared_load(midnight)->vms, IsEmpty());
}

TEST(LoadBoard, ASawToothHasADeviation) {
    LoadBoard board;
    run_for(board, 0, 14'400, [](int second) { return second / 10 % 2 == 0 ? 0.0 : 2.0; });
    const auto load = board.load(midnight).vms.at(VmId("web1"));
    EXPECT_THAT(load.cpu_mean, DoubleNear(1, 0.02));
    EXPECT_THAT(load.cpu_deviation, DoubleNear(1, 0.02));
}

TEST(LoadBoard, AFewSamplesAreDoubted) {
    LoadBoard board;
    run_for(board, 0, 20, [](int) { return 2.0; });
    EXPECT_GT(board.load(midnight).vms.at(VmId("web1")).cpu_deviation, 1.5);
}

TEST(LoadBoard, ADayGivesAPatternByTheHour) {
    LoadBoard board;
    run_for(board, 0, 2 * 86'400, [](int second) { return second / 3'600 % 24 == 9 ? 4.0 : 0.5; });
    const auto hours = board.load(midnight).vms.at(VmId("web1")).cpu_by_hour;
    ASSERT_THAT(hours, SizeIs(24));
    EXPECT_THAT(hours[9], DoubleNear(4, 0.05));
    EXPECT_THAT(hours[10], DoubleNear(0.5, 0.05));
}

TEST(LoadBoard, AWallClockThatJumpsWeighsNoSampleMore) {
    LoadBoard steady;
    LoadBoard jumping;
    for (int second = 0; second <= 3'600; second += 10) {
        const double cores = second < 1'800 ? 1 : 3;
        steady.note(sweep(second, cores, midnight));
        const auto jump = std::chrono::hours(second == 1'000 ? -20'000 : second == 2'000 ? 90'000 : 0);
        jumping.note(sweep(second, cores, midnight + jump));
    }
    EXPECT_DOUBLE_EQ(jumping.load(midnight).vms.at(VmId("web1")).cpu_mean,
                     steady.load(midnight).vms.at(VmId("web1")).cpu_mean);
}

TEST(LoadBoard, TheSameSampleCountsOnce) {
    LoadBoard board;
    const auto first = sweep(0, 1, midnight);
    const auto second = sweep(10, 3, midnight);
    for (const auto& table : {first, first, second, second, second}) board.note(table);
    EXPECT_DOUBLE_EQ(board.load(midnight).vms.at(VmId("web1")).cpu_mean, 3) << "only the second stands for a time";
}

TEST(LoadBoard, OutlivesARestartAsTexts) {
    LoadBoard board;
    run_for(board, 0, 3'600, [](int) { return 1.5; });
    const auto texts = board.take_changed();
    ASSERT_THAT(texts, SizeIs(1));
    EXPECT_THAT(board.take_changed(), IsEmpty()) << "nothing has changed since";
    LoadBoard after;
    auto with_damage = texts;
    with_damage["broken"] = "{";
    with_damage["negative"] = R"({"seconds":-1})";
    after.restore(with_damage);
    EXPECT_EQ(after.load(midnight), board.load(midnight));
}

TEST(LoadBoard, ForgetsVmsThatAreGone) {
    LoadBoard board;
    run_for(board, 0, 100, [](int) { return 1; });
    EXPECT_THAT(board.forget_all_but([](const VmId&) { return false; }), ElementsAre(VmId("web1")));
    EXPECT_EQ(board.size(), 0U);
}

/// web1 has a definition on h9 as well: only its owner counts.
Event vm_event(Origin origin, Timestamp time, std::string host) {
    Event event;
    auto vm = a_vm("web1");
    if (!host.empty()) vm.on(std::move(host));
    event.after.text = to_json_text(vm.also_defined_on("h9", DomainState::shut_off).build());
    event.subject_kind = "vm";
    event.subject_id = "web1";
    event.origin = origin;
    event.time = time;
    return event;
}

TEST(OutsideMoves, AreThoseOfOthersWithinTheWindow) {
    OutsideMoves moves(seconds(3'600));
    moves.begin(a_cluster().with(a_vm("web1").on("h1").running()).build());
    moves.note(vm_event(Origin::ballast, midnight, "h2"));
    EXPECT_THAT(moves.recent(midnight), IsEmpty()) << "Ballast's own are in its migrations";
    moves.note(vm_event(Origin::outside, midnight, "h2"));
    EXPECT_THAT(moves.recent(midnight), IsEmpty()) << "it did not move";
    moves.note(vm_event(Origin::outside, midnight + seconds(60), "h3"));
    const auto recent = moves.recent(midnight + seconds(120));
    ASSERT_THAT(recent, SizeIs(1));
    EXPECT_EQ(recent[0].from, HostId("h2"));
    EXPECT_EQ(recent[0].to, HostId("h3"));
    EXPECT_FALSE(recent[0].by_ballast);
    EXPECT_THAT(moves.recent(midnight + seconds(60 + 3'601)), IsEmpty());
}

TEST(OutsideMoves, AMoveOfTheFutureCountsAsMadeNow) {
    OutsideMoves moves(seconds(3'600));
    moves.begin(a_cluster().with(a_vm("web1").on("h1").running()).build());
    moves.note(vm_event(Origin::outside, midnight + std::chrono::hours(48), "h3"));
    const auto recent = moves.recent(midnight);
    ASSERT_THAT(recent, SizeIs(1)) << "a clock that was set back hides nothing";
    EXPECT_EQ(recent[0].at, midnight);
}

TEST(OutsideMoves, AVmThatCameBackFromNowhereHasNotMoved) {
    OutsideMoves moves(seconds(3'600));
    moves.begin(a_cluster().with(a_vm("web1").on("h1").running()).build());
    moves.note(vm_event(Origin::outside, midnight, ""));
    moves.note(vm_event(Origin::outside, midnight, "h2"));
    EXPECT_THAT(moves.recent(midnight), IsEmpty());
}

TEST(RecentMoves, AreBallastsMigrationsThenThoseOfOthers) {
    auto cluster = a_cluster().with(a_vm("web1").on("h1").running()).build();
    Migration row;
    row.id = JobId("J1");
    row.vm = VmId("db1");
    row.from = HostId("h1");
    row.to = HostId("h2");
    row.phase = MigrationPhase::succeeded;
    row.finished = midnight;
    cluster.migrations.put(row);
    row.id = JobId("J2");
    row.phase = MigrationPhase::failed;
    cluster.migrations.put(row);
    OutsideMoves outside(seconds(3'600));
    outside.begin(cluster);
    outside.note(vm_event(Origin::outside, midnight, "h3"));
    const auto moves = recent_moves(cluster, outside, seconds(3'600), midnight + seconds(10));
    ASSERT_THAT(moves, SizeIs(2));
    EXPECT_EQ(moves[0].vm, VmId("db1"));
    EXPECT_TRUE(moves[0].by_ballast);
    EXPECT_FALSE(moves[1].by_ballast);
    EXPECT_THAT(recent_moves(cluster, outside, seconds(3'600), midnight + seconds(4'000)), IsEmpty());
}

}  // namespace
}  // namespace ballast::jobs
