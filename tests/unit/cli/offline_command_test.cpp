// `ballast rebalance --offline` and `ballast place --offline`: files in, files out, no server is asked.

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Four nodes; all twelve VMs are on the first.
std::string uneven_cluster() {
    std::string text = "g1|uuid-g1|preferred||\n\nn1|65536|1024|52224|1048576|1048576|32|M|uuid-g1|2\n";
    for (int n = 2; n <= 4; ++n) text += fmt::format("n{}|65536|1024|64512|1048576|1048576|32|N|uuid-g1|2\n", n);
    text += "\n";
    for (int i = 0; i < 12; ++i) text += fmt::format("vm{}|1024|0|1|running|Y|n1||ext||1\n", i);
    return text + "\n\n|1,1,1,1,1,1|1,1,1,1,1,1;9,9,9,9,9,9|ext|4.0|64.0\n";
}

class OfflineCommand : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = std::filesystem::path(::testing::TempDir()) /
                  fmt::format("offline-{}-{}", ::testing::UnitTest::GetInstance()->current_test_info()->name(),
                              ::testing::UnitTest::GetInstance()->random_seed());
        std::filesystem::create_directories(folder_);
        write("in.data", uneven_cluster());
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
    void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
    [[nodiscard]] std::string read(const std::string& name) const {
        std::ostringstream text;
        text << std::ifstream(path(name)).rdbuf();
        return text.str();
    }
    Ran rebalance(std::vector<std::string> more) {
        std::vector<std::string> words{"rebalance", "--offline", path("in.data")};
        words.insert(words.end(), more.begin(), more.end());
        return ballast(script_, words);
    }

    Script script_;
    std::filesystem::path folder_;
};

TEST_F(OfflineCommand, RebalanceLevelsAClusterAndASecondRunFindsNothing) {
    const Ran ran = rebalance({"--out", path("out.data")});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("STEP  VM"), HasSubstr("9 moves: score 21.02"),
                               HasSubstr("-> 0.00000000, lower bound 0.00000000")));
    EXPECT_THAT(read("out.data"), HasSubstr("\nn1|65536|1024|61440|"));
    const Ran again = ballast(script_, {"rebalance", "--offline", path("out.data")});
    EXPECT_THAT(again.out, HasSubstr("Nothing worth moving: score 0.00000000"));
    EXPECT_THAT(script_.requests, IsEmpty());
}

TEST_F(OfflineCommand, TheSameSeedGivesTheSameFileWhateverTheThreads) {
    for (const std::string threads : {"1", "2", "3"})
        ASSERT_EQ(rebalance({"--seed", "7", "--threads", threads, "--out", path("out" + threads)}).exit, 0);
    EXPECT_EQ(read("out1"), read("out2"));
    EXPECT_EQ(read("out1"), read("out3"));
}

TEST_F(OfflineCommand, MaxMovesIsKept) {
    const Json plan = Json::parse(rebalance({"--max-moves", "4", "-o", "json"}).out);
    EXPECT_EQ(plan["moves"].size(), 4U);
    EXPECT_EQ(plan["moves"][3]["score_after"], plan["score_after"]);
    EXPECT_LT(plan["score_after"], plan["score_before"]);
    EXPECT_THAT(rebalance({"--max-moves", "0"}).out, HasSubstr("Nothing worth moving"));
}

TEST_F(OfflineCommand, ABudgetOfZeroChangesNothing) {
    const Ran ran = rebalance({"--budget", "0", "--out", path("out.data")});
    EXPECT_EQ(ran.exit, 0);
    EXPECT_THAT(ran.out, HasSubstr("Nothing worth moving: score 21.02"));
    EXPECT_EQ(read("out.data"), uneven_cluster());
}

TEST_F(OfflineCommand, WhatIsNoBudgetNoCountAndNoObjectiveIsRefused) {
    for (const auto& words : std::vector<std::vector<std::string>>{{"--budget", "-1"},
                                                                   {"--budget", "nan"},
                                                                   {"--budget", "soon"},
                                                                   {"--max-moves", "-3"},
                                                                   {"--objective", "x"}}) {
        const Ran ran = rebalance(words);
        EXPECT_EQ(ran.exit, 2) << words[0] << " " << words[1];
        EXPECT_THAT(ran.err, HasSubstr(words[0]));
    }
}

TEST_F(OfflineCommand, ABrokenLineIsNamedAndNothingIsWritten) {
    auto text = uneven_cluster();
    text.replace(text.find("vm3|1024"), 8, "vm3|much");
    write("in.data", text);
    const Ran ran = rebalance({"--out", path("out.data")});
    EXPECT_EQ(ran.exit, 2);
    EXPECT_THAT(ran.err, HasSubstr(path("in.data") + ":11: instance 'vm3': the memory is 'much'"));
    EXPECT_FALSE(std::filesystem::exists(path("out.data")));
}

TEST_F(OfflineCommand, AFileThatIsNotThereIsNamed) {
    const Ran ran = ballast(script_, {"rebalance", "--offline", path("none")});
    EXPECT_EQ(ran.exit, 2);
    EXPECT_THAT(ran.err, HasSubstr("none' can't be read"));
}

TEST_F(OfflineCommand, PlaceNamesTheBestNode) {
    const std::vector<std::string> words{"place", "--offline", path("in.data"), "--vm", "web1:2:4096:10240"};
    const Ran ran = ballast(script_, words);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("web1 -> n"), Not(HasSubstr("-> n1")), HasSubstr("best of 4 nodes")));
}

TEST_F(OfflineCommand, PlaceSaysWhyNoNodeTakesIt) {
    const Ran ran = ballast(script_, {"place", "--offline", path("in.data"), "--vm", "big:2:1TiB:10GiB"});
    EXPECT_EQ(ran.exit, 7);
    EXPECT_THAT(ran.err, HasSubstr("none of 4 nodes can take 'big': 0 offline, 4 without the memory, 0 without"));
    EXPECT_EQ(ballast(script_, {"place", "--offline", path("in.data"), "--vm", "big:2"}).exit, 2);
}

}  // namespace
}  // namespace ballast::cli::testing
