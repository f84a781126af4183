// The guests of many hosts get their memory back before a stop, though some of the hosts do not answer.
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "daemon/overcommit/memory_desk.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using overcommit::MemoryDesk;
using overcommit::MemorySettings;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int hosts = 6;

/// Six hosts with two idle guests each, which a desk has squeezed.
class GivingBack : public ::testing::Test {
  protected:
    GivingBack() {
        settings.read_interval = Milliseconds(1);
        settings.give_back_on_stop = true;
    }
    void squeeze(std::size_t at_once, Milliseconds time) {
        for (int i = 1; i <= hosts; ++i) {
            cluster.world->faults().set_memory(host(i), gibibytes(2));
            ASSERT_TRUE(run(*cluster.io, cluster.registry->refresh(cluster.host(host(i))->id)));
            ASSERT_NO_FATAL_FAILURE(keep_by(MemoryPolicy::balanced, i));  // else it has no room for the second guest
            for (const char* guest : {"a", "b"}) ASSERT_NO_FATAL_FAILURE(make_guest(i, guest));
        }
        settings.give_back = {.at_once = at_once, .time = time};
        start_desk();
        ASSERT_TRUE(cluster.until([this] {
            for (int i = 1; i <= hosts; ++i)
                if (squeezed_at(i) < 2) return false;
            return true;
        }));
    }
    void start_desk() {
        jobs::Services services;
        services.executor = cluster.io->get_executor();
        services.store = cluster.store;
        services.hosts = cluster.registry;
        services.clock = cluster.world;
        board = std::make_shared<overcommit::PictureBoard>();
        desk = std::make_shared<MemoryDesk>(services, board, settings);
        desk->start();
    }
    [[nodiscard]] std::int64_t pages_to_scan(int i) {
        const auto driver = cluster.registry->reachable(cluster.host(host(i))->id);
        const auto stats = run(*cluster.io, (*driver)->memory().read());
        return stats->ksm->settings.pages_to_scan;
    }
    static std::string host(int i) { return "h" + std::to_string(i); }
    static std::string name(int i, const std::string& guest) { return guest + std::to_string(i); }

    void keep_by(MemoryPolicy policy, int i) {
        ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
            Host row = *cluster.host(host(i));
            row.memory_policy = policy;
            transaction.put(std::move(row), {"host.changed", "by a test"});
            return {};
        }));
    }
    void make_guest(int i, const std::string& guest) {
        const auto made =
            cluster.do_job("vm.create", "",
                           fmt::format(R"({{"name":"{}","host":"{}","start":false,"spec":{{"memory_bytes":1073741824,)"
                                       R"("memory_minimum_bytes":268435456,"disks":[{{"size_bytes":67108864}}]}}}})",
                                       name(i, guest), host(i)));
        ASSERT_TRUE(made && made->state == JobState::succeeded);
        drivers::simulated::GuestLoad load;
        load.memory.emplace().wants = mebibytes(200);
        load.memory->cache = mebibytes(50);
        cluster.world->set_load(cluster.vm(name(i, guest))->id, load);
        const auto started = cluster.do_job("vm.start", name(i, guest), "{}");
        ASSERT_TRUE(started && started->state == JobState::succeeded);
    }
    /// The target of its balloon, whatever the guest has made of it yet.
    [[nodiscard]] bool is_squeezed(int i, const std::string& guest) const {
        const auto memory = cluster.world->memory_of(host(i), cluster.vm(name(i, guest))->id);
        return memory->target < memory->maximum - 100.0 * 1024 * 1024;
    }
    [[nodiscard]] int squeezed_at(int i) const { return (is_squeezed(i, "a") ? 1 : 0) + (is_squeezed(i, "b") ? 1 : 0); }
    [[nodiscard]] std::vector<std::string> told() {
        const auto events = run(*cluster.io, cluster.store->events({.after = 0, .limit = 10'000}));
        std::vector<std::string> all;
        for (const auto& event : *events)
            if (event.kind == "host.memory_not_given_back") all.push_back(event.subject_name + ": " + event.message);
        return all;
    }

    SimCluster cluster{hosts};
    std::shared_ptr<overcommit::PictureBoard> board;
    MemorySettings settings;
    std::shared_ptr<MemoryDesk> desk;
};

TEST_F(GivingBack, ReachesEveryHostThatAnswersThoughOthersHangAndNamesThose) {
    ASSERT_NO_FATAL_FAILURE(squeeze(hosts, Milliseconds(300)));
    for (const int i : {1, 2, 3}) cluster.world->faults().hang(host(i));
    ASSERT_TRUE(run(*cluster.io, desk->stop()));
    for (const int i : {4, 5, 6}) EXPECT_EQ(squeezed_at(i), 0) << host(i);
    for (const int i : {1, 2, 3}) EXPECT_EQ(squeezed_at(i), 2) << host(i);
    EXPECT_THAT(told(), AllOf(SizeIs(3), Each(HasSubstr("within 300 ms: ")), Each(HasSubstr("of 1 GiB"))));
    for (const int i : {1, 2, 3}) {
        EXPECT_THAT(told().at(static_cast<std::size_t>(i - 1)),
                    AllOf(HasSubstr(host(i) + ": "), HasSubstr(name(i, "a") + " keeps "), HasSubstr(name(i, "b"))));
    }
}

TEST_F(GivingBack, BeginsNoMoreThanSoManyHostsAtOnce) {
    ASSERT_NO_FATAL_FAILURE(squeeze(2, Milliseconds(300)));
    for (const int i : {1, 2}) cluster.world->faults().hang(host(i));
    ASSERT_TRUE(run(*cluster.io, desk->stop()));
    EXPECT_THAT(told(), SizeIs(hosts)) << "two that hang take both places, and those that had no turn are named too";
    for (int i = 1; i <= hosts; ++i) EXPECT_EQ(squeezed_at(i), 2) << host(i);
}

TEST_F(GivingBack, TellsNothingWhereAllIsGivenBack) {
    ASSERT_NO_FATAL_FAILURE(squeeze(2, Milliseconds(30'000)));
    ASSERT_TRUE(run(*cluster.io, desk->stop()));
    for (int i = 1; i <= hosts; ++i) EXPECT_EQ(squeezed_at(i), 0) << host(i);
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(GivingBack, BeginsWithTheHostsThatAnswer) {
    ASSERT_NO_FATAL_FAILURE(squeeze(2, Milliseconds(300)));
    for (const int i : {1, 2}) {
        cluster.world->faults().hang(host(i));
        ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
            Host row = *cluster.host(host(i));
            row.state = HostState::slow;
            transaction.put(std::move(row), {"host.slow", "it does not answer in time"});
            return {};
        }));
    }
    ASSERT_TRUE(run(*cluster.io, desk->stop()));
    for (const int i : {3, 4, 5, 6}) EXPECT_EQ(squeezed_at(i), 0) << host(i);
    EXPECT_THAT(told(), SizeIs(2));
}

/// The first minute is one in which all of them may still fill what they have: there is room for nobody.
TEST_F(GivingBack, AsksForAVmThatComesNoMoreRoomThanForWhatItBrings) {
    ASSERT_NO_FATAL_FAILURE(squeeze(2, Milliseconds(30'000)));
    const auto brought = [this] {
        const auto picture = board->find(cluster.host("h1")->id);
        return overcommit::brought_by(picture->vms.front());
    };
    const VmId vm = board->find(cluster.host("h1")->id)->vms.front().vm;
    const auto moved = run(*cluster.io, desk->room_for(vm, cluster.host("h2")->id));
    ASSERT_TRUE(moved) << moved.error().chain();
    EXPECT_LT(brought(), mebibytes(500));
    EXPECT_THAT(*moved, HasSubstr(fmt::format("it may fill {} before", brought())));
    ASSERT_TRUE(run(*cluster.io, desk->stop()));
}

/// What a daemon that was killed left in the store: the first to come, before all that is read, is an event of a host.
TEST_F(GivingBack, KnowsWhatADaemonBeforeItFoundThoughAHostChangesWhileItBegins) {
    const std::int64_t found = pages_to_scan(1);
    settings.give_back_on_stop = false;
    ASSERT_NO_FATAL_FAILURE(squeeze(2, Milliseconds(30'000)));
    ASSERT_TRUE(run(*cluster.io, desk->stop()));
    ASSERT_NE(pages_to_scan(1), found);
    settings.give_back_on_stop = true;
    start_desk();
    boost::asio::io_context meanwhile;
    ASSERT_TRUE(run(meanwhile, cluster.store->write({}, [this](store::Transaction& transaction) -> Result<void> {
        Host row = *cluster.host(host(1));
        row.state_reason = "by a test";
        transaction.put(std::move(row), {"host.changed", "by a test"});
        return {};
    })));
    ASSERT_TRUE(cluster.until([this] { return board->find(cluster.host(host(1))->id) != nullptr; }));
    ASSERT_TRUE(run(*cluster.io, desk->stop()));
    EXPECT_EQ(pages_to_scan(1), found);
}

}  // namespace
}  // namespace ballast::testing
