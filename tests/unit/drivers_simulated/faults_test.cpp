// Faults of the simulated cluster as a driver's user meets them.
#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/drivers_simulated/cluster.h"

namespace ballast::testing {
namespace {

using std::chrono::seconds;

class FaultyHost : public ::testing::Test {
  protected:
    template <class T>
    std::shared_ptr<std::optional<Result<T>>> begin(boost::asio::awaitable<Result<T>> call) {
        auto result = std::make_shared<std::optional<Result<T>>>();
        boost::asio::co_spawn(cluster.io, std::move(call),
                              [result](std::exception_ptr, Result<T> value) { *result = std::move(value); });
        cluster.settle();
        return result;
    }

    SimCluster cluster;
    VmId vm = cluster.run_vm("h1", 1, mebibytes(256), {});
};

TEST_F(FaultyHost, UnreachableAnswersUnavailableAndSaysSo) {
    cluster.world->faults().make_unreachable("h1");
    const auto read = cluster.now(cluster.at("h1").compute().read_domain(vm));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), Code::unavailable);
    EXPECT_EQ(cluster.at("h1").link(), drivers::LinkState::unreachable);
    EXPECT_EQ(cluster.events.back().link, drivers::LinkState::unreachable);
    cluster.world->faults().make_reachable("h1");
    EXPECT_EQ(cluster.events.back().kind, DriverEvent::Kind::inventory_changed);
    EXPECT_TRUE(cluster.now(cluster.at("h1").compute().read_domain(vm)));
}

TEST_F(FaultyHost, HungEndsTheWaitingAtTheDeadlineButNotTheCall) {
    cluster.world->faults().hang("h1");
    const auto destroyed = begin(cluster.at("h1").compute().destroy(vm));
    cluster.world->advance(Milliseconds(14'999));
    cluster.settle();
    EXPECT_FALSE(*destroyed);
    cluster.world->advance(Milliseconds(1));
    cluster.settle();
    ASSERT_TRUE(*destroyed);
    EXPECT_EQ((*destroyed)->error().code(), Code::deadline_exceeded);
    EXPECT_EQ(cluster.at("h1").link(), drivers::LinkState::slow);
    EXPECT_EQ(cluster.world->find_domain("h1", vm)->state, DomainState::running);
    cluster.world->faults().release("h1");
    EXPECT_EQ(cluster.world->find_domain("h1", vm)->state, DomainState::shut_off);
    EXPECT_EQ(cluster.at("h1").link(), drivers::LinkState::up);
}

TEST_F(FaultyHost, HungRefusesFurtherCallsOfADomainWithAnOverdueOneAtOnce) {
    cluster.world->faults().hang("h1");
    const auto overdue = begin(cluster.at("h1").compute().reboot(vm));
    cluster.world->advance(seconds(15));
    cluster.settle();
    const auto further = begin(cluster.at("h1").compute().destroy(vm));
    ASSERT_TRUE(*further);
    EXPECT_EQ((*further)->error().code(), Code::unavailable);
}

TEST_F(FaultyHost, HungDoesNotDelayAnother) {
    cluster.world->faults().hang("h1");
    const auto waiting = begin(cluster.at("h1").compute().list_domains());
    EXPECT_TRUE(cluster.now(cluster.at("h2").compute().list_domains()));
    EXPECT_FALSE(*waiting);
}

TEST_F(FaultyHost, CrashedHasNoQemusButItsDefinitionsWhenItIsBack) {
    cluster.world->faults().crash("h1");
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::IsEmpty());
    EXPECT_EQ(cluster.now(cluster.at("h1").compute().list_domains()).error().code(), Code::unavailable);
    cluster.world->faults().revive("h1");
    const auto listed = cluster.now(cluster.at("h1").compute().list_domains());
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().state, DomainState::shut_off);
}

TEST_F(FaultyHost, CrashEndsTheCallsThatWaitedOnAHang) {
    cluster.world->faults().hang("h1");
    const auto waiting = begin(cluster.at("h1").compute().destroy(vm));
    cluster.world->faults().crash("h1");
    cluster.settle();
    ASSERT_TRUE(*waiting);
    EXPECT_EQ((*waiting)->error().code(), Code::unavailable);
}

TEST_F(FaultyHost, FailsTheNextCallBeforeItsEffect) {
    cluster.world->faults().fail_next("h1", sim::Call::destroy, Error(Code::internal, "no"));
    EXPECT_FALSE(cluster.now(cluster.at("h1").compute().destroy(vm)));
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h1"));
    EXPECT_TRUE(cluster.now(cluster.at("h1").compute().destroy(vm)));
}

TEST_F(FaultyHost, FailsTheNextCallAfterItsEffect) {
    cluster.world->faults().fail_next("h1", sim::Call::destroy, Error(Code::deadline_exceeded, "late"),
                                      sim::When::after_effect);
    EXPECT_EQ(cluster.now(cluster.at("h1").compute().destroy(vm)).error().code(), Code::deadline_exceeded);
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::IsEmpty());
}

TEST_F(FaultyHost, DropsEventsOnCommand) {
    cluster.world->faults().drop_events("h1", true);
    cluster.events.clear();
    ASSERT_TRUE(cluster.now(cluster.at("h1").compute().destroy(vm)));
    EXPECT_THAT(cluster.events, ::testing::IsEmpty());
}

TEST_F(FaultyHost, HasNoSpaceInAFullPool) {
    cluster.world->faults().fill_pool("h1", "default");
    drivers::NewVolume volume;
    volume.pool = "default";
    volume.name = "a";
    volume.format = "qcow2";
    volume.capacity = mebibytes(1);
    EXPECT_EQ(cluster.now(cluster.at("h1").storage().create_volume(volume)).error().code(), Code::resource_exhausted);
    cluster.world->faults().drain_pool("h1", "default");
    EXPECT_TRUE(cluster.now(cluster.at("h1").storage().create_volume(volume)));
}

TEST_F(FaultyHost, ClosedEndsWhatWaits) {
    cluster.world->faults().hang("h1");
    const auto waiting = begin(cluster.at("h1").compute().destroy(vm));
    cluster.at("h1").close();
    cluster.settle();
    ASSERT_TRUE(*waiting);
    EXPECT_EQ((*waiting)->error().code(), Code::unavailable);
}

TEST_F(FaultyHost, GuestThatIgnoresAcpiStaysUp) {
    cluster.world->set_load(vm, {.answers_acpi = false});
    EXPECT_TRUE(cluster.now(cluster.at("h1").compute().shutdown(vm)));
    cluster.world->run_until_idle();
    EXPECT_THAT(cluster.world->running_copies(vm), ::testing::ElementsAre("h1"));
}

TEST(SharedPool, ShowsAnotherHostsVolumeAfterARefresh) {
    const auto world = sim::World::make();
    for (const std::string name : {"h1", "h2"}) {
        sim::HostModel host;
        host.name = name;
        host.pools = {{.name = "shared", .path = "/srv/shared", .store = "nfs"}};
        ASSERT_TRUE(world->add_host(host));
    }
    boost::asio::io_context io;
    const auto driver = sim::make_simulated_driver(world);
    const auto h1 = *driver->open({.id = HostId("1"), .uri = "sim://h1"}, nullptr);
    const auto h2 = *driver->open({.id = HostId("2"), .uri = "sim://h2"}, nullptr);
    drivers::NewVolume nonce;
    nonce.pool = "shared";
    nonce.name = "nonce";
    nonce.format = "raw";
    nonce.capacity = Bytes(16);
    ASSERT_TRUE(run(io, h1->storage().create_volume(nonce)));
    EXPECT_EQ(run(io, h2->storage().read_head("shared", "nonce", Bytes(16))).error().code(), Code::not_found);
    ASSERT_TRUE(run(io, h2->storage().refresh("shared")));
    EXPECT_TRUE(run(io, h2->storage().read_head("shared", "nonce", Bytes(16))));
}

TEST(RealTime, LetsAMigrationEndByItself) {
    SimCluster cluster;
    const VmId vm = cluster.run_vm("h1", 1, gibibytes(64), {});
    cluster.world->follow_real_time(cluster.io.get_executor(), 1000);
    EXPECT_TRUE(cluster.now(cluster.at("h1").migration().migrate(a_move(vm, "h2"))));
    EXPECT_GT(cluster.world->now(), sim::World::make()->now() + seconds(10));
}

TEST(Threads, MayCallOneWorldAtOnce) {
    const auto world = sim::World::make();
    for (const std::string name : {"h1", "h2"}) ASSERT_TRUE(world->add_host({.name = name, .facts = {}}));
    const auto driver = sim::make_simulated_driver(world);
    std::atomic<int> heard{0};
    std::atomic<int> started{0};
    const auto work = [&](const std::string& name, int first) {
        boost::asio::io_context io;
        const auto host =
            *driver->open({.id = HostId(name), .uri = "sim://" + name}, [&](const DriverEvent&) { ++heard; });
        for (int i = first; i < first + 50; ++i) {
            drivers::DomainDefinition definition;
            definition.id = VmId(fmt::format("00000000-0000-4000-8000-{:012}", i));
            definition.name = fmt::format("vm{}", i);
            const bool defined = run(io, host->compute().define(definition)).has_value();
            if (defined && run(io, host->compute().start(definition.id))) ++started;
        }
        host->close();
    };
    {
        const std::jthread one(work, "h1", 0);
        const std::jthread two(work, "h2", 100);
        for (int i = 0; i < 200; ++i) world->advance(Milliseconds(1));
    }
    EXPECT_EQ(started, 100);
    // Of each domain "defined", "resumed" and "started", of each host "link" and "list me": but what is on its way
    // when a driver is closed is dropped.
    EXPECT_GT(heard, 250);
    EXPECT_LE(heard, 304);
}

TEST(Seed, GivesTheSameRunTwice) {
    const auto run_once = [] {
        SimCluster cluster(3);
        const VmId vm = cluster.run_vm("h1", 1, gibibytes(1),
                                       {.working_set = mebibytes(100), .dirty_rate = BytesPerSecond(900'000'000)});
        EXPECT_TRUE(cluster.later(cluster.at("h1").migration().migrate(a_move(vm, "h2"))));
        std::string log = to_string(cluster.world->now());
        for (const auto& event : cluster.events) log += fmt::format("{} {} {}\n", event.host, event.vm, event.detail);
        return log + cluster.now(cluster.at("h3").compute().read_facts())->host_uuid;
    };
    EXPECT_EQ(run_once(), run_once());
}

}  // namespace
}  // namespace ballast::testing
