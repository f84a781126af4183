// What if: hosts lost, drained and added, VMs added, ratios changed; and clusters that are described by hand.
#include "scheduler/plan/what_if.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "scheduler/plan/cluster_file.h"
#include "tests/support/builders.h"
#include "tests/unit/scheduler/share_of_maximum.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

MoveCost cheap(const Vm&, const HostId&, const HostId&) {
    return {.total = Milliseconds(1'000), .downtime = {}, .brown_out = {}, .bytes = {}, .possible = true, .reason = {}};
}

Result<WhatIfAnswer> ask(const Snapshot& snapshot, const WhatIfAsk& question) {
    return what_if(snapshot, {}, cheap, question, Timestamp{});
}

WhatIfAsk losing(std::vector<std::string> hosts) {
    WhatIfAsk question;
    question.lose = std::move(hosts);
    return question;
}

/// Three hosts of 16 GiB in two racks; two VMs on h1, one on h2.
ClusterBuilder racks() {
    auto cluster = a_cluster();
    cluster.with(a_host("h1").label("rack", "r1")).with(a_host("h2").label("rack", "r1"));
    cluster.with(a_host("h3").label("rack", "r2"));
    for (const char* from : {"h1", "h2", "h3"})
        for (const char* to : {"h1", "h2", "h3"})
            if (std::string(from) != to) cluster.with(a_pair(from, to));
    cluster.with(a_vm("big").memory(gibibytes(8)).on("h1").running());
    cluster.with(a_vm("small").memory(gibibytes(2)).on("h1").running());
    return cluster.with(a_vm("other").memory(gibibytes(8)).on("h2").running());
}

/// Two hosts of 8 GiB that overcommit, each with two VMs of 4 GiB that are guaranteed 1 GiB.
Snapshot overcommitted() {
    auto cluster = a_cluster();
    for (const char* host : {"h1", "h2"})
        cluster.with(a_host(host).memory(gibibytes(8)).memory_policy(MemoryPolicy::balanced));
    const auto elastic = [&](const char* name, const char* host) {
        cluster.with(a_vm(name).memory(gibibytes(4)).minimum(gibibytes(1)).on(host).running());
    };
    elastic("a", "h1");
    elastic("b", "h1");
    elastic("c", "h2");
    elastic("d", "h2");
    cluster.with(a_pair("h1", "h2")).with(a_pair("h2", "h1"));
    return cluster.build();
}

std::vector<std::string> names(const std::vector<PlanStay>& stays) {
    std::vector<std::string> out;
    for (const auto& stay : stays) out.push_back(stay.name);
    return out;
}

TEST(WhatIf, ALostHostsVmsRestartTheLargestFirst) {
    const auto answer = ask(racks().build(), losing({"h1"}));
    ASSERT_TRUE(answer) << answer.error().chain();
    ASSERT_THAT(answer->plan.steps, SizeIs(2));
    EXPECT_EQ(answer->plan.steps[0].name, "big");
    EXPECT_EQ(answer->plan.steps[0].from_name, "h1");
    EXPECT_EQ(answer->plan.steps[0].to_name, "h3") << "h2 has no room for it";
    EXPECT_THAT(answer->plan.steps[0].reason, HasSubstr("h1 is lost"));
    EXPECT_THAT(answer->not_restarted, IsEmpty());
    EXPECT_THAT(answer->plan.verdict, HasSubstr("everything would run"));
    EXPECT_GT(answer->plan.after.fullest_memory, answer->plan.before.fullest_memory - 1e-9);
}

TEST(WhatIf, AnOvercommittedHostTakesWhatItsMeasuredDemandLeaves) {
    const auto lost = [](double share) {
        return *what_if(overcommitted(), {}, cheap, losing({"h1"}), Timestamp{},
                        std::make_shared<ShareOfMaximum>(share));
    };
    EXPECT_THAT(lost(0.3).not_restarted, IsEmpty()) << "all four want 5 GiB of 8";
    EXPECT_THAT(names(lost(0.6).not_restarted), SizeIs(1)) << "three of them are all that fits";
    const WhatIfAnswer busy = lost(1.0);
    EXPECT_THAT(names(busy.not_restarted), ElementsAre("a", "b"));
    EXPECT_THAT(busy.not_restarted[0].reason, HasSubstr("working_set_fit"));
    EXPECT_THAT(ask(overcommitted(), losing({"h1"}))->not_restarted, SizeIs(2)) << "by the crude guess";
}

TEST(WhatIf, WhatWasMeasuredOfAVmIsKnownAlsoWhenItsHostIsLost) {
    const auto memory = std::make_shared<ShareOfMaximum>(0.1);
    ASSERT_TRUE(what_if(overcommitted(), {}, cheap, losing({"h1"}), Timestamp{}, memory));
    EXPECT_THAT(memory->fresh, AllOf(Contains("a"), Contains("b")));
    EXPECT_THAT(memory->fresh, Each(testing::Not("")));
}

TEST(WhatIf, ADrainIsPlannedByTheMeasuredDemandToo) {
    WhatIfAsk drain;
    drain.drain = {"h1"};
    const auto stays = [&](double share) {
        return what_if(overcommitted(), {}, cheap, drain, Timestamp{}, std::make_shared<ShareOfMaximum>(share))
            ->not_drained.size();
    };
    EXPECT_EQ(stays(0.1), 0U);
    EXPECT_GT(stays(1.0), 0U);
}

TEST(WhatIf, NewVmsComeAsLongAsTheMeasuredDemandOfAllIsBorne) {
    WhatIfAsk more;
    more.add_vms = {{.like = "a", .spec = {}, .count = 6}};
    const auto without_room = [&](double share) {
        return what_if(overcommitted(), {}, cheap, more, Timestamp{}, std::make_shared<ShareOfMaximum>(share))
            ->not_placed.size();
    };
    EXPECT_EQ(without_room(0.1), 0U);
    EXPECT_EQ(without_room(0.6), 4U) << "one more on each host";
}

TEST(WhatIf, ALostRackKeepsWhatFindsNoRoomFromRunning) {
    const auto answer = ask(racks().build(), losing({"rack=r1"}));
    ASSERT_TRUE(answer) << answer.error().chain();
    EXPECT_THAT(names(answer->not_restarted), SizeIs(1)) << "h3 takes one of the two large ones";
    EXPECT_THAT(answer->not_restarted[0].reason, HasSubstr("h3"));
    EXPECT_THAT(answer->plan.verdict, HasSubstr("1 VM would not restart"));
}

TEST(WhatIf, NamesTheHostWhoseLossWouldHurtNext) {
    const auto safe = ask(racks().build(), losing({"h3"}));
    ASSERT_TRUE(safe) << safe.error().chain();
    EXPECT_FALSE(safe->weakest_host.empty()) << "with h3 gone the loss of either leaves a large one without room";
    EXPECT_GE(safe->weakest_loses, 1);
}

TEST(WhatIf, SaysOfHowManyHostsTheLossWasTriedWhereThereIsNoTimeForAll) {
    const auto all = ask(racks().build(), losing({"h1"}));
    EXPECT_EQ(all->losses_tried, 2) << "those that are left";
    EXPECT_EQ(all->losses_left, 0);
    int asked = 0;
    const auto some = what_if(racks().build(), {}, cheap, losing({"h1"}), Timestamp{}, {}, [&] { return ++asked > 1; });
    EXPECT_EQ(some->losses_tried, 1);
    EXPECT_EQ(some->losses_left, 1);
}

TEST(WhatIf, NewVmsAreLikeOneThatIsThereUntilNoRoomIsLeft) {
    WhatIfAsk question;
    question.add_vms = {{.like = "big", .spec = {}, .count = 4}};
    const auto answer = ask(racks().build(), question);
    ASSERT_TRUE(answer) << answer.error().chain();
    EXPECT_THAT(answer->plan.steps, SizeIs(1)) << "only h3 has room for one more of 8 GiB and QEMU's own need";
    EXPECT_THAT(answer->not_placed, SizeIs(3));
    question.add_hosts = {{.like = "h3", .count = 3}};
    const auto with_hosts = ask(racks().build(), question);
    ASSERT_TRUE(with_hosts) << with_hosts.error().chain();
    EXPECT_THAT(with_hosts->not_placed, IsEmpty());
    EXPECT_THAT(with_hosts->plan.steps, SizeIs(4));
}

TEST(WhatIf, AnotherPolicyPlacesElsewhere) {
    WhatIfAsk question;
    question.add_vms = {{.like = "small", .spec = {}, .count = 1}};
    const auto spread = ask(racks().build(), question);
    ASSERT_TRUE(spread) << spread.error().chain();
    EXPECT_EQ(spread->plan.steps.at(0).to_name, "h3") << "nothing runs there";
    question.policy = "pack";
    const auto packed = ask(racks().build(), question);
    ASSERT_TRUE(packed) << packed.error().chain();
    EXPECT_EQ(packed->plan.steps.at(0).to_name, "h1") << "the fullest that has room";
}

TEST(WhatIf, ADrainedHostIsEmptiedByLiveMoves) {
    WhatIfAsk question;
    question.drain = {"h1"};
    const auto answer = ask(racks().build(), question);
    ASSERT_TRUE(answer) << answer.error().chain();
    EXPECT_EQ(answer->plan.goal, Goal::evacuate);
    EXPECT_THAT(answer->plan.steps, SizeIs(2));
    for (const auto& step : answer->plan.steps) EXPECT_EQ(step.from_name, "h1");
    EXPECT_THAT(answer->not_drained, IsEmpty());
}

TEST(WhatIf, AnotherRatioMakesHostsOverfull) {
    WhatIfAsk question;
    question.reserved_memory = gibibytes(10);
    const auto answer = ask(racks().build(), question);
    ASSERT_TRUE(answer) << answer.error().chain();
    ASSERT_THAT(answer->overfull, SizeIs(2));
    EXPECT_EQ(answer->overfull[0].host, "h1");
    EXPECT_GT(answer->overfull[0].missing_memory, gibibytes(4));
    question.reserved_memory.reset();
    question.cpu_overcommit = 0.1;
    EXPECT_THAT(ask(racks().build(), question)->overfull, SizeIs(2)) << "0.8 vCPUs are none";
}

TEST(WhatIf, TheSnapshotItIsAskedAboutStaysAsItIs) {
    const auto snapshot = racks().build();
    const std::string before = dump(to_json(snapshot));
    ASSERT_TRUE(ask(snapshot, losing({"h1", "h2"})));
    EXPECT_EQ(dump(to_json(snapshot)), before);
}

TEST(WhatIf, TheSameSeedGivesTheSameAnswer) {
    EXPECT_EQ(ask(racks().build(), losing({"h1"})).value(), ask(racks().build(), losing({"h1"})).value());
}

TEST(WhatIf, WhatCanNotBeAskedIsNamed) {
    const auto snapshot = racks().build();
    EXPECT_THAT(ask(snapshot, {}).error().message(), HasSubstr("nothing is asked"));
    EXPECT_EQ(ask(snapshot, losing({"h9"})).error().code(), Code::not_found);
    EXPECT_THAT(ask(snapshot, losing({"rack=r9"})).error().message(), HasSubstr("no host has the label rack=r9"));
    WhatIfAsk question;
    question.cpu_overcommit = -1;
    EXPECT_THAT(ask(snapshot, question).error().message(), HasSubstr("cpu_overcommit"));
    question = {};
    question.add_vms = {{.like = "nope", .spec = {}, .count = 1}};
    EXPECT_EQ(ask(snapshot, question).error().code(), Code::not_found);
    question.add_vms = {{.like = "big", .spec = {}, .count = 0}};
    EXPECT_THAT(ask(snapshot, question).error().message(), HasSubstr("add_vms: 0"));
    question = losing({"h1"});
    question.policy = "pakc";
    EXPECT_THAT(ask(snapshot, question).error().message(), AllOf(HasSubstr("pakc"), HasSubstr("spread")));
}

Result<DescribedCluster> read(const std::string& text) {
    return read_any_cluster(Json::parse(text));
}

TEST(ClusterFile, BecomesASnapshotAndALoad) {
    const auto cluster = read(R"({"format":"ballast-cluster/1",
"hosts":[{"name":"h1","cpus":8,"memory":"16G","labels":{"rack":"r1"}},{"name":"h2","cpus":8,"memory":"16G"}],
"vms":[{"name":"web1","host":"h1","vcpus":2,"memory":"4G","cpu_mean":1.5,"anti_affinity":"web"},{"name":"off","vcpus":1,"memory":"1G"}]})");
    ASSERT_TRUE(cluster) << cluster.error().chain();
    EXPECT_EQ(cluster->snapshot.hosts.size(), 2U);
    EXPECT_EQ(cluster->snapshot.pairs.size(), 2U);
    const auto web1 = find_vm(cluster->snapshot, "web1").value();
    EXPECT_EQ(web1->host, HostId("h1"));
    EXPECT_EQ(web1->state, VmState::running);
    EXPECT_EQ(cluster->load.vms.at(web1->id).cpu_mean, 1.5);
    EXPECT_EQ(find_vm(cluster->snapshot, "off").value()->state, VmState::stopped);
    const auto answer = what_if(cluster->snapshot, cluster->load, cheap, losing({"h1"}), Timestamp{});
    ASSERT_TRUE(answer) << answer.error().chain();
    ASSERT_THAT(answer->plan.steps, SizeIs(1));
    EXPECT_EQ(answer->plan.steps[0].to_name, "h2");
}

TEST(ClusterFile, NamesThePlaceOfWhatIsWrong) {
    const auto error = [](const std::string& hosts, const std::string& vms) {
        return read(R"({"format":"ballast-cluster/1","hosts":[)" + hosts + R"(],"vms":[)" + vms + "]}")
            .error()
            .message();
    };
    const std::string h1 = R"({"name":"h1","cpus":8,"memory":"16G"})";
    EXPECT_THAT(error(h1, R"({"name":"a","host":"h9","vcpus":1,"memory":"1G"})"),
                HasSubstr("vms[0].host: no host is named 'h9'"));
    EXPECT_THAT(error(h1 + "," + h1, ""), HasSubstr("hosts[1].name: 'h1' is there twice"));
    EXPECT_THAT(error(R"({"name":"h1","memory":"16G"})", ""), HasSubstr("hosts[0].cpus: 0 is below 1"));
    EXPECT_THAT(error(h1, R"({"name":"a","memory":"1G","cpu_by_hour":[1,2]})"),
                HasSubstr("vms[0].cpu_by_hour: 2 values"));
    EXPECT_THAT(error(h1, R"({"name":"a","memroy":"1G"})"), HasSubstr("memroy"));
    EXPECT_THAT(error(h1, R"({"name":"a","memory":"1G","cpu_mean":-1})"), HasSubstr("vms[0]"));
}

TEST(ClusterFile, ASnapshotOfAnotherVersionSaysBothNumbers) {
    EXPECT_THAT(read(R"({"format":7})").error().message(), AllOf(HasSubstr("format 7"), HasSubstr("reads format 1")));
    EXPECT_THAT(read(R"({"format":"ballast-cluster/2"})").error().message(), HasSubstr("ballast-cluster/1"));
    EXPECT_THAT(read("[]").error().message(), HasSubstr("not a snapshot"));
}

}  // namespace
}  // namespace ballast::scheduler
