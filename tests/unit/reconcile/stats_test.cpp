// Statistics: rates between two sweeps, and immutable tables.
#include "daemon/reconcile/stats.h"

#include <gtest/gtest.h>

namespace ballast::reconcile {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Steady = std::chrono::steady_clock;

drivers::HostStats swept(milliseconds cpu_time, milliseconds busy, milliseconds idle) {
    drivers::HostStats stats;
    stats.cpu_busy = busy;
    stats.cpu_idle = idle;
    drivers::DomainStats domain;
    domain.id = VmId("web1");
    domain.cpu_time = cpu_time;
    stats.domains.push_back(domain);
    return stats;
}

TEST(Samples, CarryRatesSinceTheSweepBefore) {
    const HostId h1("h1");
    const auto first =
        make_sample(h1, swept(seconds(10), seconds(1), seconds(1)), {}, Steady::time_point(seconds(0)), nullptr);
    EXPECT_FALSE(first.cpu_load);
    EXPECT_FALSE(first.vms.at(VmId("web1")).cpus_used);
    const auto second =
        make_sample(h1, swept(seconds(15), seconds(4), seconds(2)), {}, Steady::time_point(seconds(10)), &first);
    EXPECT_DOUBLE_EQ(second.cpu_load.value_or(0), 0.75);
    EXPECT_DOUBLE_EQ(second.vms.at(VmId("web1")).cpus_used.value_or(0), 0.5);
    const auto rebooted =
        make_sample(h1, swept(seconds(1), seconds(0), seconds(0)), {}, Steady::time_point(seconds(20)), &second);
    EXPECT_FALSE(rebooted.cpu_load) << "counters that went back say nothing";
    EXPECT_FALSE(rebooted.vms.at(VmId("web1")).cpus_used);
}

TEST(TheBoard, NeverChangesWhatItGaveOut) {
    StatsBoard board;
    board.publish(make_sample(HostId("h1"), swept(seconds(1), seconds(1), seconds(1)), {}, {}, nullptr));
    const auto before = board.now();
    board.publish(make_sample(HostId("h1"), swept(seconds(2), seconds(1), seconds(1)), {}, {}, nullptr));
    EXPECT_EQ(before->find(HostId("h1"), VmId("web1"))->stats.cpu_time, seconds(1));
    EXPECT_EQ(board.now()->find(HostId("h1"), VmId("web1"))->stats.cpu_time, seconds(2));
    EXPECT_EQ(board.now(), board.now()) << "nothing was published in between";
    EXPECT_EQ(board.find(HostId("h1"))->vms.at(VmId("web1")).stats.cpu_time, seconds(2));
    EXPECT_EQ(board.find(HostId("h2")), nullptr);
    board.forget(HostId("h1"));
    EXPECT_EQ(board.find(HostId("h1")), nullptr);
    EXPECT_EQ(board.now()->find(HostId("h1")), nullptr);
    EXPECT_NE(before->find(HostId("h1")), nullptr);
}

}  // namespace
}  // namespace ballast::reconcile
