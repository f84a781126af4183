// Hosts that hang and hosts that die.

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>

#include "tests/integration/drivers_libvirt/fixture.h"

namespace ballast::testing {
namespace {

using namespace drivers;
using Clock = std::chrono::steady_clock;

class LabTrouble : public LabDriver {
  protected:
    [[nodiscard]] Milliseconds median_latency(std::size_t index, int calls) {
        std::vector<Clock::duration> times;
        for (int i = 0; i < calls; ++i) {
            const auto begun = Clock::now();
            EXPECT_TRUE(run(host(index).compute().list_domains()).has_value());
            times.push_back(Clock::now() - begun);
        }
        std::nth_element(times.begin(), times.begin() + calls / 2, times.end());
        return std::chrono::ceil<Milliseconds>(times[static_cast<std::size_t>(calls) / 2]);
    }
};

TEST_F(LabTrouble, AHungLibvirtdDelaysNobodyElseAndComesBack) {
    const auto before = median_latency(1, 41);
    lab().stop(0);
    // Several calls at once, so that threads really hang in the stopped host.
    std::vector<std::optional<Result<std::vector<DomainView>>>> stuck(6);
    const auto begun = Clock::now();
    for (auto& one : stuck)
        boost::asio::co_spawn(io_, host(0).compute().list_domains(),
                              [&one](std::exception_ptr, auto result) { one = std::move(result); });
    const auto during = median_latency(1, 41);
    EXPECT_LT(during.count(), std::max<std::int64_t>(2 * before.count(), before.count() + 5))
        << "the other host must keep its latency";

    EXPECT_TRUE(until([&] { return events_[0]->has_link(LinkState::slow); })) << "first it is slow";
    ASSERT_TRUE(
        until([&] { return std::all_of(stuck.begin(), stuck.end(), [](auto& one) { return one.has_value(); }); }));
    EXPECT_LT(Clock::now() - begun, Seconds(25)) << "bounded by deadline and keepalive";
    for (const auto& one : stuck) {
        ASSERT_FALSE((*one).has_value());
        EXPECT_THAT((*one).error().code(), ::testing::AnyOf(Code::deadline_exceeded, Code::unavailable));
    }
    EXPECT_TRUE(until([&] { return host(0).link() == LinkState::unreachable; })) << "then keepalive gives it up";
    const auto at_once = Clock::now();
    const auto refused = run(host(0).compute().list_domains());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), Code::unavailable);
    EXPECT_LT(Clock::now() - at_once, Milliseconds(500)) << "an unreachable host is refused at once";

    lab().cont(0);
    EXPECT_TRUE(until([&] { return host(0).link() == LinkState::up; })) << "and it comes back";
    EXPECT_TRUE(run(host(0).compute().list_domains()).has_value());
}

TEST_F(LabTrouble, ADeadLibvirtdIsNoticedAndItsReturnToo) {
    const auto definition = guest("survivor");
    make_running(0, definition);
    const auto listed = [&] {
        const auto all = events_[0]->all();
        return std::count_if(all.begin(), all.end(), [](const auto& e) {
            return e.kind == DriverEvent::Kind::inventory_changed && e.vm.empty() &&
                   e.detail.find("list everything") != std::string::npos;
        });
    };
    ASSERT_TRUE(until([&] { return listed() == 1; }));
    lab().crash_libvirtd(0);
    EXPECT_TRUE(until([&] { return host(0).link() == LinkState::unreachable; }, Seconds(5)));
    lab().revive(0);
    EXPECT_TRUE(until([&] { return host(0).link() == LinkState::up; }));
    EXPECT_TRUE(until([&] { return listed() == 2; })) << "after a reconnect everything is to be listed again";
    EXPECT_EQ(state_on(0, definition.id), DomainState::running) << "QEMU outlives libvirtd";
    static_cast<void>(lab().virsh(0, "destroy survivor"));
    EXPECT_TRUE(until([&] { return events_[0]->has(DriverEvent::Kind::domain_changed, definition.id, "destroyed"); }))
        << "events are registered again";
}

TEST_F(LabTrouble, ClosedHostsLeaveNoConnectionBehind) {
    const auto open_files = [] {
        const std::filesystem::directory_iterator all("/proc/self/fd");
        return std::distance(begin(all), end(all));
    };
    const auto before = open_files();
    const auto driver = libvirt::make_libvirt_driver();
    for (int i = 0; i < 8; ++i) {
        auto opened = driver->open({.id = HostId("again"), .uri = lab().host(0).uri}, [](const DriverEvent&) {});
        ASSERT_TRUE(opened.has_value());
        ASSERT_TRUE(until([&] { return (*opened)->link() == LinkState::up; }));
        EXPECT_TRUE(run((*opened)->compute().list_domains()).has_value());
        (*opened)->close();
    }
    EXPECT_TRUE(until([&] { return open_files() <= before; }, Seconds(20))) << before << " became " << open_files();
}

}  // namespace
}  // namespace ballast::testing
