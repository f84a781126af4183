// The whole driver on libvirt's own test driver: what it offers works, what it lacks says so.

#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "drivers/libvirt/libvirt_driver.h"
#include "tests/support/run.h"
#include "tests/unit/drivers_libvirt/matchers.h"

namespace ballast::drivers::libvirt {
namespace {

using ballast::testing::Refuses;
using ballast::testing::Succeeds;

class MockHost : public ::testing::Test {
  protected:
    void SetUp() override {
        auto opened =
            make_libvirt_driver()->open({.id = HostId("t1"), .uri = "test:///default"}, [](const DriverEvent&) {});
        ASSERT_THAT(opened, Succeeds());
        host_ = *opened;
        ASSERT_TRUE(ballast::testing::run_until(io_, [&] { return host_->link() == LinkState::up; }));
    }
    void TearDown() override {
        host_.reset();
        io_.poll();
    }
    template <class T>
    T run(boost::asio::awaitable<T> task) {
        return ballast::testing::run(io_, std::move(task));
    }

    boost::asio::io_context io_;
    std::shared_ptr<HostDriver> host_;
};

TEST_F(MockHost, HasItsOneDomainAndItsFacts) {
    const auto facts = run(host_->compute().read_facts());
    ASSERT_THAT(facts, Succeeds());
    EXPECT_GT(facts->cpus, 0);
    EXPECT_FALSE(facts->hostname.empty());
    EXPECT_TRUE(facts->cpu_features.empty()) << "it has no CPU of its own: nothing is known, nothing is refused";
    const auto all = run(host_->compute().list_domains());
    ASSERT_THAT(all, Succeeds());
    EXPECT_TRUE(std::any_of(all->begin(), all->end(),
                            [](const auto& d) { return d.name == "test" && d.state == DomainState::running; }));
}

TEST_F(MockHost, TakesADomainThroughItsLife) {
    DomainDefinition definition;
    definition.id = VmId("0b5c0000-0000-4000-8000-000000000001");
    definition.name = "mock1";
    definition.stamp = {.cluster = "c", .owner = HostId("t1"), .epoch = 1};
    ASSERT_THAT(run(host_->compute().define(definition)), Succeeds());
    ASSERT_THAT(run(host_->compute().start(definition.id)), Succeeds());
    ASSERT_THAT(run(host_->compute().stamp(definition.id, {.cluster = "c", .owner = HostId("t2"), .epoch = 2})),
                Succeeds());
    const auto view = run(host_->compute().read_domain(definition.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->state, DomainState::running);
    ASSERT_TRUE(view->stamp.has_value());
    EXPECT_EQ(view->stamp->epoch, 2U);
    EXPECT_THAT(run(host_->compute().destroy(definition.id)), Succeeds());
    EXPECT_THAT(run(host_->compute().undefine(definition.id)), Succeeds());
    EXPECT_THAT(run(host_->compute().read_domain(definition.id)), Refuses(Code::not_found, "domain"));
}

TEST_F(MockHost, SaysWhatItCannotDo) {
    EXPECT_THAT(run(host_->migration().probe_peer("qemu+tcp://peer/system", "")),
                Refuses(Code::unimplemented, "test driver"));
}

TEST_F(MockHost, ListsPoolsAndSweeps) {
    EXPECT_THAT(run(host_->storage().list_pools()), Succeeds());
    const auto stats = run(host_->statistics().sweep());
    ASSERT_THAT(stats, Succeeds());
    EXPECT_FALSE(stats->domains.empty());
}

TEST(LibvirtDriver, RefusesUrisThatItWouldNotOpen) {
    const auto driver = make_libvirt_driver();
    EXPECT_THAT(driver->check_uri("qemu+ssh://h/system?command=x"), Refuses(Code::invalid_argument, "program"));
    EXPECT_THAT(driver->open({.id = HostId("x"), .uri = "http://h/"}, [](const DriverEvent&) {}),
                Refuses(Code::invalid_argument, "unknown"));
}

}  // namespace
}  // namespace ballast::drivers::libvirt
