// host.evacuate on simulated hosts: everything that may move is moved, what fails or stays is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/jobs/evacuation.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class Evacuation : public ::testing::Test {
  public:
    void make_vm(const std::string& name, const std::string& host = "h1") {
        const auto job = cluster.do_job(
            "vm.create", "",
            fmt::format(
                R"({{"name":"{}","host":"{}","spec":{{"memory_bytes":268435456,"disks":[{{"size_bytes":67108864}}]}}}})",
                name, host));
        ASSERT_TRUE(job) << job.error().chain();
        ASSERT_EQ(job->state, JobState::succeeded);
    }

    void set_moves(const std::string& name, MovePolicy moves) {
        const auto written = cluster.write([&](store::Transaction& transaction) -> Result<void> {
            Vm vm = *cluster.vm(name);
            vm.spec.moves = moves;
            transaction.put(std::move(vm), {"vm.changed", "by a test"});
            return {};
        });
        ASSERT_TRUE(written) << written.error().chain();
    }

    [[nodiscard]] std::string where(const std::string& name) const {
        const auto vm = cluster.vm(name);
        return vm && vm->host ? host_name(*cluster.snapshot(), *vm->host) : "nowhere";
    }

    static std::vector<std::string> names(const Json& list) {
        std::vector<std::string> out;
        for (const auto& vm : list) out.push_back(vm["name"]);
        return out;
    }

    /// The jobs that the evacuation queued.
    [[nodiscard]] std::vector<JobId> children(const JobId& id) const {
        std::vector<JobId> out;
        const auto job = cluster.snapshot()->jobs.find_ptr(id);
        const auto memo = Json::parse(job->memo.text);
        if (memo.is_object())
            for (const auto& move : memo["moves"]) out.emplace_back(move["job"].get<std::string>());
        return out;
    }

    SimCluster cluster{3};
};

TEST_F(Evacuation, MovesWhatRunsAndNamesWhatStays) {
    for (const char* name : {"web1", "web2", "asks", "pinned", "off"}) make_vm(name);
    set_moves("asks", MovePolicy::ask);
    set_moves("pinned", MovePolicy::never);
    ASSERT_EQ(cluster.do_job("vm.destroy", "off", "{}")->state, JobState::succeeded);
    const auto job = cluster.do_job("host.evacuate", "", R"({"host":"h1","maintenance":true})");
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_EQ(job->state, JobState::succeeded) << (job->error ? job->error->message : "");
    const Json result = Json::parse(job->result.text);
    EXPECT_THAT(names(result["moved"]), UnorderedElementsAre("web1", "web2", "asks"));
    EXPECT_THAT(names(result["left"]), UnorderedElementsAre("pinned", "off"));
    for (const char* name : {"web1", "web2", "asks"}) EXPECT_NE(where(name), "h1");
    EXPECT_EQ(where("pinned"), "h1");
    EXPECT_TRUE(cluster.host("h1")->maintenance);
    for (const auto& vm : result["left"])
        if (vm["name"] == "pinned") EXPECT_THAT(vm["reason"].get<std::string>(), HasSubstr("never"));
}

TEST_F(Evacuation, OneFailureStopsNoOtherAndTheJobSaysWhich) {
    make_vm("web1");
    make_vm("web2");
    const auto written = cluster.write([&](store::Transaction& transaction) -> Result<void> {
        Vm vm = *cluster.vm("web1");
        vm.spec.host_labels["rack"] = "no host has it";
        transaction.put(std::move(vm), {"vm.changed", "by a test"});
        return {};
    });
    ASSERT_TRUE(written);
    const auto job = cluster.do_job("host.evacuate", "", R"({"host":"h1"})");
    ASSERT_TRUE(job) << job.error().chain();
    EXPECT_EQ(job->state, JobState::failed);
    ASSERT_TRUE(job->error);
    EXPECT_THAT(job->error->message, HasSubstr("web1"));
    const Json result = Json::parse(job->result.text);
    EXPECT_THAT(names(result["moved"]), UnorderedElementsAre("web2"));
    EXPECT_THAT(names(result["failed"]), UnorderedElementsAre("web1"));
    EXPECT_EQ(where("web1"), "h1");
    EXPECT_NE(where("web2"), "h1");
    EXPECT_FALSE(cluster.host("h1")->maintenance) << "nobody asked for it";
}

TEST_F(Evacuation, GoesOnAfterARestartOfTheDaemonAndMovesNothingTwice) {
    for (const char* name : {"web1", "web2", "web3"}) make_vm(name);
    const auto job = cluster.queue("host.evacuate", "", R"({"host":"h1"})");
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_TRUE(cluster.until([&] { return children(job->id).size() == 3U; }));
    const auto before = children(job->id);
    cluster.restart();
    const auto ended = cluster.wait(job->id);
    ASSERT_TRUE(ended) << ended.error().chain();
    ASSERT_EQ(ended->state, JobState::succeeded) << (ended->error ? ended->error->message : "");
    EXPECT_EQ(children(job->id), before);
    int migrations = 0;
    cluster.snapshot()->migrations.for_each([&](const Migration&) { ++migrations; });
    EXPECT_EQ(migrations, 3);
    for (const char* name : {"web1", "web2", "web3"}) {
        EXPECT_NE(where(name), "h1");
        EXPECT_THAT(cluster.world->running_copies(cluster.vm(name)->id), SizeIs(1));
    }
}

TEST_F(Evacuation, ACancelStopsThoseThatHaveNotBegun) {
    for (const char* name : {"web1", "web2", "web3", "web4"}) make_vm(name);
    const auto job = cluster.queue("host.evacuate", "", R"({"host":"h1"})");
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_TRUE(cluster.until([&] { return cluster.snapshot()->migrations.size() >= 1U; }));
    const auto asked = cluster.write([&](store::Transaction& transaction) -> Result<void> {
        const auto cancelled = jobs::request_cancel(transaction, job->id);
        return cancelled ? Result<void>{} : std::unexpected(cancelled.error());
    });
    ASSERT_TRUE(asked) << asked.error().chain();
    const auto ended = cluster.wait(job->id);
    ASSERT_TRUE(ended) << ended.error().chain();
    EXPECT_EQ(ended->state, JobState::cancelled);
    const Json result = Json::parse(ended->result.text);
    EXPECT_GE(result["moved"].size(), 1U) << "what had begun was moved to its end";
    EXPECT_GE(result["cancelled"].size(), 1U);
    EXPECT_EQ(result["moved"].size() + result["cancelled"].size(), 4U);
    for (const auto& vm : result["moved"]) EXPECT_NE(where(vm["name"]), "h1");
    for (const auto& vm : result["cancelled"]) EXPECT_EQ(where(vm["name"]), "h1");
}

TEST_F(Evacuation, AHostThatIsOnlyObservedOrBeingEvacuatedIsRefused) {
    make_vm("web1");
    EXPECT_EQ(cluster.queue("host.evacuate", "", R"({"host":"h9"})").error().code(), Code::not_found);
    const auto first = cluster.queue("host.evacuate", "", R"({"host":"h1"})");
    ASSERT_TRUE(first);
    const auto second = cluster.queue("host.evacuate", "", R"({"host":"h1"})");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Code::conflict);
    EXPECT_EQ(cluster.wait(first->id)->state, JobState::succeeded);
}

TEST_F(Evacuation, AHostWithoutVmsIsEvacuatedAtOnce) {
    const auto job = cluster.do_job("host.evacuate", "", R"({"host":"h2","maintenance":true})");
    ASSERT_TRUE(job) << job.error().chain();
    EXPECT_EQ(job->state, JobState::succeeded);
    EXPECT_TRUE(cluster.host("h2")->maintenance);
}

}  // namespace
}  // namespace ballast::testing
