// `what-if` on a file (no server is asked), on the live cluster and on a moment of the past.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class WhatIfCommand : public ::testing::Test {
  protected:
    WhatIfCommand()
        : path_((std::filesystem::temp_directory_path() /
                 fmt::format("what-if-{}", ::testing::UnitTest::GetInstance()->current_test_info()->name()))
                    .string()) {}
    ~WhatIfCommand() override {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }

    Ran ask(const std::string& text, std::vector<std::string> words) {
        std::ofstream(path_) << text;
        words.insert(words.begin(), {"what-if", "--snapshot", path_});
        return ballast(script_, words);
    }

    std::string path_;
    Script script_;
};

const std::string two_hosts = R"({"format":"ballast-cluster/1",
"hosts":[{"name":"h1","cpus":8,"memory":"16G"},{"name":"h2","cpus":8,"memory":"16G"}],
"vms":[{"name":"web1","host":"h1","vcpus":2,"memory":"4G"},{"name":"big","host":"h1","vcpus":2,"memory":"11G"},
{"name":"db1","host":"h2","vcpus":2,"memory":"8G"}]})";

TEST_F(WhatIfCommand, NamesWhatWouldNotRestartAndHowFullTheFullestHostGets) {
    const Ran ran = ask(two_hosts, {"--lose", "h1"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::no_capacity)) << ran.err;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("web1"), HasSubstr("would not restart: big"), HasSubstr("fullest host h2")));
    EXPECT_THAT(ran.err, HasSubstr("1 VM would not restart"));
    EXPECT_TRUE(script_.requests.empty()) << "no ballastd is asked";
}

TEST_F(WhatIfCommand, EverythingThatIsAskedHoldsTogether) {
    const Ran ran = ask(two_hosts, {"--lose", "h1", "--add-hosts", "h2:2", "-o", "json"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    const Json answer = Json::parse(ran.out);
    EXPECT_EQ(answer["plan"]["steps"].size(), 2U);
    EXPECT_TRUE(answer["not_restarted"].empty());
}

TEST_F(WhatIfCommand, ASnapshotOfAnotherVersionIsRefusedWithBothNumbers) {
    const Ran ran = ask(R"({"format":99})", {"--lose", "h1"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::usage));
    EXPECT_THAT(ran.err, AllOf(HasSubstr(path_), HasSubstr("format 99"), HasSubstr("reads format 1")));
}

TEST_F(WhatIfCommand, AsksTheDaemonForTheLiveClusterOrAMoment) {
    const std::string snapshot =
        R"({"format":1,"seq":5,"cluster":"c","hosts":[{"id":"A","name":"h1","uri":"u","managed":true,"state":"up","facts":{"cpus":8,"memory_bytes":17179869184}},
{"id":"B","name":"h2","uri":"v","managed":true,"state":"up","facts":{"cpus":8,"memory_bytes":17179869184}}]})";
    script_.on("GET /api/v1/snapshot", snapshot)
        .on("GET /api/v1/snapshot?at=2026-11-22T03%3A00%3A00Z", snapshot)
        .on("POST /api/v1/what-if",
            R"({"plan":{"verdict":"1 VM would not restart"},"not_restarted":[)"
            R"({"name":"web1","host":"h1","reason":"working sets of 2 GiB leave h2"}],"losses_tried":64,"losses_left":436})");
    const Ran live = ballast(script_, {"what-if", "--lose", "h1", "--add-vms", "web1:3"});
    EXPECT_EQ(live.exit, static_cast<int>(Exit::no_capacity)) << "as the daemon says, by what it measured";
    EXPECT_THAT(live.out, HasSubstr("would not restart: web1 on h1: working sets of 2 GiB leave h2"));
    EXPECT_THAT(live.out, HasSubstr("the loss of each of the 64 fullest hosts was tried, not that of the other 436\n"
                                    "afterwards the loss of any one of them can be absorbed\n"));
    const Json asked = Json::parse(script_.requests.back().body);
    EXPECT_EQ(asked["lose"], Json::parse(R"(["h1"])"));
    EXPECT_EQ(asked["add_vms"][0]["count"], 3);
    EXPECT_EQ(ballast(script_, {"what-if", "--at", "2026-11-22T03:00:00Z", "--lose", "h1"}).exit, 0);
    EXPECT_EQ(ballast(script_, {"snapshot"}).out, dump(Json::parse(snapshot)) + "\n");
}

TEST_F(WhatIfCommand, WhatCanNotBeMeantIsAUsageError) {
    EXPECT_EQ(ask(two_hosts, {}).exit, static_cast<int>(Exit::usage));
    EXPECT_EQ(ask(two_hosts, {"--live", "--lose", "h1"}).exit, static_cast<int>(Exit::usage));
    EXPECT_EQ(ask(two_hosts, {"--add-vms", "web1:none"}).exit, static_cast<int>(Exit::usage));
    EXPECT_EQ(ask(two_hosts, {"--lose", "h9"}).exit, static_cast<int>(Exit::not_found));
    EXPECT_EQ(ask("{", {"--lose", "h1"}).exit, static_cast<int>(Exit::usage));
    EXPECT_THAT(ask(two_hosts, {"--add-vms", ":3"}).err, HasSubstr("--add-vms"));
}

}  // namespace
}  // namespace ballast::cli::testing
