// Ganeti's text format: what is read, what is refused with file and line, hbal's metrics against values counted by
// hand, and that what is written is consistent.

#include "scheduler/balance/htools.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::scheduler::balance {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Two hosts on line and one off, a replicated VM, one on local disk.
const std::string cluster_text =
    "g1|uuid-g1|preferred||\n"
    "\n"
    "n1|10000|1000|6000|2000|1000|10|M|uuid-g1|2\n"
    "n2|20000|1000|17000|2000|2000|20|N|uuid-g1|2\n"
    "n3|10000|1000|8500|2000|2000|10|Y|uuid-g1|2\n"
    "\n"
    "a|2000|0|3|running|Y|n1||ext||1\n"
    "b|1000|100|1|running|Y|n1|n2|drbd||1\n"
    "c|2000|100|4|running|Y|n2||plain||2\n"
    "d|500|0|2|running|Y|n3||ext||1\n"
    "\n"
    "sometag\n"
    "\n"
    "|1,1,1,1,1,1|1,1,1,1,1,1;9,9,9,9,9,9|ext,drbd,plain|4.0|8.0\n"
    "g1|1,1,1,1,1,1|1,1,1,1,1,1;9,9,9,9,9,9|ext,drbd,plain|4.0|16.0\n";

HtoolsCluster cluster() {
    return parse_htools(cluster_text, "in.data").value();
}

double metric(const std::vector<HtoolsMetric>& metrics, std::string_view name) {
    for (const auto& one : metrics)
        if (one.name == name) return one.value;
    ADD_FAILURE() << "no metric " << name;
    return -1;
}

TEST(Htools, EachMetricIsWhatOneCountsByHand) {
    const auto read = cluster();
    const auto metrics = htools_metrics(read, placements(read));
    // The deviation of two values is half of their distance.
    EXPECT_NEAR(metric(metrics, "free_mem_cv"), (0.85 - 0.6) / 2, 1e-12);
    EXPECT_NEAR(metric(metrics, "free_disk_cv"), (1.0 - 0.5) / 2, 1e-12);
    EXPECT_EQ(metric(metrics, "n1_cnt"), 0);
    EXPECT_NEAR(metric(metrics, "reserved_mem_cv"), (1000.0 / 20000) / 2, 1e-12);
    EXPECT_EQ(metric(metrics, "offline_all_cnt"), 1);
    EXPECT_EQ(metric(metrics, "offline_pri_cnt"), 1);
    EXPECT_NEAR(metric(metrics, "vcpu_ratio_cv"), (5 / 10.0 - 5 / 20.0) / 2, 1e-12);
    EXPECT_NEAR(metric(metrics, "cpu_load_cv"), (2 - 1) / 2.0, 1e-12);
    EXPECT_NEAR(metric(metrics, "disk_load_cv"), 0, 1e-12);
    EXPECT_NEAR(metric(metrics, "spindles_cv"), (3 / 32.0 - 1 / 32.0) / 2, 1e-12);
    EXPECT_NEAR(metric(metrics, "reserved_mem_rtotal"), 1000.0 / 20000, 1e-12);
    const double expected = 0.125 + 0.25 + 0.025 + 4 + 16 + 0.125 + 3 * 0.5 + 2 / 64.0 + 0.25 * 0.05;
    EXPECT_NEAR(htools_score(read, placements(read)), expected, 1e-12);
}

TEST(Htools, AHostThatCannotRestartItsPeersCountsItsVms) {
    auto read = cluster();
    read.nodes[1].free_memory = 1000;  // n2 keeps 1000 for b
    EXPECT_EQ(metric(htools_metrics(read, placements(read)), "n1_cnt"), 2);
}

TEST(Htools, TheProblemScoresAsHbalDoesWhereverVmsGo) {
    const auto read = cluster();
    const auto problem = htools_problem(read);
    auto at = placements(read);
    EXPECT_NEAR(full_score(problem, at), htools_score(read, at), 1e-12);
    for (const Index a : {0, 1, 2}) {
        for (const Index d : {0, 1, 2}) {
            at[0] = a;
            at[3] = d;
            EXPECT_NEAR(full_score(problem, at), htools_score(read, at), 1e-12) << a << " " << d;
        }
    }
}

TEST(Htools, OnlyVmsWithoutLocalDisksMayMove) {
    const auto problem = htools_problem(cluster());
    EXPECT_TRUE(problem.vms[0].movable);
    EXPECT_FALSE(problem.vms[1].movable);
    EXPECT_FALSE(problem.vms[2].movable);
    EXPECT_TRUE(problem.vms[3].movable);
    EXPECT_FALSE(problem.hosts[2].counted);
}

TEST(Htools, WhatDidNotMoveIsWrittenAsItWasRead) {
    const auto read = cluster();
    EXPECT_EQ(write_htools(read, placements(read)), cluster_text);
}

TEST(Htools, WhatIsWrittenReadsBackWithTheFreeMemoryThatFollows) {
    const auto read = cluster();
    auto at = placements(read);
    at[0] = 1;
    at[3] = 0;
    const auto text = write_htools(read, at);
    EXPECT_THAT(text, HasSubstr("\nn1|10000|1000|7500|"));
    EXPECT_THAT(text, HasSubstr("\nn2|20000|1000|15000|"));
    EXPECT_THAT(text, HasSubstr("\nn3|10000|1000|9000|"));
    EXPECT_THAT(text, HasSubstr("\na|2000|0|3|running|Y|n2||ext||1\n"));
    const auto back = parse_htools(text, "out.data");
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(placements(*back), at);
    EXPECT_NEAR(htools_score(*back, at), htools_score(read, at), 1e-12);
}

struct Broken {
    std::string what;
    std::string with;
    std::string says;
    Code code = Code::invalid_argument;
};

class BrokenHtools : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenHtools, IsRefusedWithFileAndLine) {
    auto text = cluster_text;
    const auto at = text.find(GetParam().what);
    ASSERT_NE(at, std::string::npos);
    text.replace(at, GetParam().what.size(), GetParam().with);
    const auto read = parse_htools(text, "in.data");
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message(), StartsWith("in.data:"));
    EXPECT_THAT(read.error().message(), HasSubstr(GetParam().says));
    EXPECT_EQ(read.error().code(), GetParam().code);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, BrokenHtools,
    ::testing::Values(
        Broken{"n2|20000|1000", "n2|2000x|1000", "in.data:4: node 'n2': the total memory is '2000x'"},
        Broken{"n2|20000|1000", "n2|0|1000", "in.data:4: node 'n2': the total memory is '0'"},
        Broken{"n2|20000|1000|17000|2000|2000|20|N|uuid-g1|2", "n2|20000", "in.data:4: a node has 9 fields"},
        Broken{"|20|N|", "|20|X|", "in.data:4: node 'n2': the offline field is 'X'"},
        Broken{"|20|N|uuid-g1", "|20|N|uuid-g9", "in.data:4: node 'n2': there is no group with the id 'uuid-g9'"},
        Broken{"\nn2|", "\nn1|", "in.data:4: node 'n1' is there twice"},
        Broken{"a|2000|0|3", "a|-1|0|3", "in.data:7: instance 'a': the memory is '-1'"},
        Broken{"a|2000|0|3", "a|99999999999999999999|0|3", "in.data:7: instance 'a': the memory"},
        Broken{"|n1||ext", "|n7||ext", "in.data:7: instance 'a': there is no node 'n7'"},
        Broken{"|n1|n2|drbd", "|n1|n1|drbd", "in.data:8: instance 'b': 'n1' is its primary and its secondary node"},
        Broken{"||plain||", "||paper||", "in.data:9: instance 'c': there is no disk template 'paper'"},
        Broken{"\nb|", "\na|", "in.data:8: instance 'a': it is there twice"},
        Broken{"|4.0|16.0", "|nan|16.0", "in.data:15: the vCPU ratio is 'nan'"},
        Broken{"g1|uuid-g1|preferred||\n", "g1|uuid-g1|preferred||\ng2|uuid-g2|preferred||\n",
               "in.data:2: group 'g2' is a second node group", Code::unimplemented},
        Broken{"sometag", "htools:iextags:db", "in.data:12: the cluster tag 'htools:iextags:db'",
               Code::unimplemented}));

TEST(Htools, AFileThatIsNoClusterIsRefused) {
    for (const std::string text : {"", "\n\n\n", "hello\n", "g1|u|preferred|\n\n\n\n"}) {
        const auto read = parse_htools(text, "x");
        ASSERT_FALSE(read) << text;
        EXPECT_THAT(read.error().message(), StartsWith("x:"));
    }
}

}  // namespace
}  // namespace ballast::scheduler::balance
