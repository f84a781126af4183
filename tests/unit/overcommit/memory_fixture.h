#pragma once
// One simulated host whose memory is kept: guests with a model of their memory, virtual time, and a keeper that looks
// every two seconds. Everything else is the real daemon less its API.

#include <gtest/gtest.h>

#include "daemon/overcommit/keeper.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {

using overcommit::HostPicture;
using overcommit::Keeper;
using overcommit::Sight;
using overcommit::Surroundings;

class MemoryFixture : public ::testing::Test {
  public:
    MemoryFixture() {
        cluster.world->faults().set_memory("h1", gibibytes(4));
        set_policy(MemoryPolicy::balanced);
        begin();
    }

    /// What an exporter of the host would say.
    [[nodiscard]] std::optional<overcommit::Seen> seen() const {
        const auto pressure = cluster.world->pressure_of("h1");
        if (!pressure) return std::nullopt;
        overcommit::Seen seen;
        seen.strain = {.pressure = pressure->some, .swap_in = pressure->swap_in};
        return seen;
    }

    /// A new keeper, as after a restart of the daemon.
    void begin(const std::string& kept = "") {
        around = std::make_shared<Surroundings>(Surroundings{.executor = cluster.io->get_executor(),
                                                             .store = cluster.store,
                                                             .hosts = cluster.registry,
                                                             .clock = cluster.world,
                                                             .board = std::make_shared<overcommit::PictureBoard>(),
                                                             .settings = {}});
        around->see = [this](const HostId&) { return see ? see() : seen(); };
        around->ask_for_a_move = [this](HostId, std::string why) -> store::Task<> {
            asked_for_moves.push_back(std::move(why));
            co_return Result<void>{};
        };
        keeper = std::make_shared<Keeper>(host_id(), around);
        if (!kept.empty()) keeper->restore(kept);
    }

    [[nodiscard]] HostId host_id() const { return HostId("id-h1"); }

    void change_host(const std::function<void(Host&)>& change) {
        ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
            Host host = *transaction.snapshot().hosts.find(host_id());
            change(host);
            transaction.put(std::move(host), {"host.changed", "by a test"});
            return {};
        }));
    }
    void set_policy(MemoryPolicy policy) {
        change_host([policy](Host& host) { host.memory_policy = policy; });
    }

    /// A running guest of 1 GiB at most and 256 MiB at least, with this model of its memory.
    VmId make_guest(const std::string& name, drivers::simulated::MemoryLoad load, const std::string& more = "") {
        const auto made =
            cluster.do_job("vm.create", "",
                           fmt::format(R"({{"name":"{}","host":"h1","start":false,"spec":{{"memory_bytes":1073741824,)"
                                       R"("memory_minimum_bytes":268435456{},"disks":[{{"size_bytes":67108864}}]}}}})",
                                       name, more));
        EXPECT_TRUE(made && made->state == JobState::succeeded) << name;
        const VmId id = cluster.vm(name)->id;
        drivers::simulated::GuestLoad guest;
        guest.memory = load;
        guest.sharing = sharing;
        guest.shared = shared;
        cluster.world->set_load(id, guest);
        const auto started = cluster.do_job("vm.start", name, "{}");
        EXPECT_TRUE(started && started->state == JobState::succeeded) << name;
        return id;
    }

    /// Looks every two seconds of virtual time.
    void look_for(Seconds time) {
        for (Seconds passed{0}; passed < time; passed += Seconds(2)) {
            cluster.world->advance(Seconds(2));
            const auto looked = run(*cluster.io, keeper->look());
            EXPECT_TRUE(looked) << looked.error().chain();
        }
    }
    [[nodiscard]] std::shared_ptr<const HostPicture> picture() const { return around->board->find(host_id()); }
    [[nodiscard]] const overcommit::VmPicture& picture_of(const std::string& name) const {
        const auto all = picture();
        for (const auto& vm : all->vms)
            if (vm.name == name) return vm;
        throw std::runtime_error("no picture of " + name);
    }
    [[nodiscard]] drivers::simulated::GuestMemory guest(const std::string& name) const {
        return cluster.world->memory_of("h1", cluster.vm(name)->id).value();
    }
    [[nodiscard]] std::vector<std::string> told(const std::string& kind) {
        const auto events = run(*cluster.io, cluster.store->events({.after = 0, .limit = 10'000}));
        std::vector<std::string> messages;
        for (const auto& event : *events)
            if (event.kind == kind) messages.push_back(event.message);
        return messages;
    }

    SimCluster cluster{1};
    std::shared_ptr<Surroundings> around;
    std::shared_ptr<Keeper> keeper;
    std::function<std::optional<overcommit::Seen>()> see;  ///< the test's own
    std::vector<std::string> asked_for_moves;
    std::string sharing;
    Bytes shared;
};

}  // namespace ballast::testing
