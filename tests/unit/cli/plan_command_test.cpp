// `rebalance`, `plan`, `host maintenance` and `what-if`: what is asked of the server, what is printed, and the exit
// codes that cron relies on.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string steps(bool asks) {
    return R"([{"number":1,"vm":"v1","name":"web1","from":"A","to":"B","from_name":"h1","to_name":"h2","after":[],
"temporary":false,"asks":false,"reason":"h1 is busy","gain_s":410.4,"cost_s":2.25,"expected_ms":1600},
{"number":2,"vm":"v2","name":"db1","from":"A","to":"C","from_name":"h1","to_name":"h3","after":[1],"temporary":false,"asks":)" +
           std::string(asks ? "true" : "false") +
           R"(,"reason":"h1 is busy","gain_s":30,"cost_s":1,"expected_ms":900}])";
}

std::string row(const std::string& id, int moves, const std::string& list, const std::string& verdict,
                const std::string& stays = "[]") {
    return R"({"id":")" + id + R"(","goal":"level","state":"advised","moves":)" + std::to_string(moves) +
           R"(,"verdict":")" + verdict + R"(","plan":{"goal":"level","steps":)" + list + R"(,"stays":)" + stays +
           R"(,"before":{"contention_s":500,"lower_bound_s":40,"fullest_memory":0.8,"fullest_cpu":1.2,"fullest_host":"h1"},
"after":{"contention_s":59.5,"lower_bound_s":40,"fullest_memory":0.6,"fullest_cpu":0.7,"fullest_host":"h2"},
"expected_ms":2500,"emptied":[],"cut":false,"verdict":")" +
           verdict + "\"}}";
}

std::string job(const std::string& state, const std::string& result) {
    return R"({"id":"J1","kind":"cluster.rebalance","subject":"level","state":")" + state + R"(","result":)" + result +
           R"(,"error":{"code":"failed_precondition","message":"not every move was made"}})";
}

const std::string all_moved =
    R"({"moved":[{"name":"web1","to":"h2"},{"name":"db1","to":"h3"}],"failed":[],"cancelled":[],"skipped":[],"replans":0,"may_power_off":[]})";
const std::string two = "2 moves gain 440 s for 3 s";

Script with_plan(bool asks = false) {
    Script script;
    script.on("POST /api/v1/plans", row("P1", 2, steps(asks), two), 201);
    return script;
}

Script& applies(Script& script, const std::string& state, const std::string& result) {
    script.on("POST /api/v1/plans/P1/approve", row("P1", 2, "[]", two))
        .accepts("POST /api/v1/plans/P1/apply", "J1")
        .on("GET /api/v1/jobs/J1", job(state, result));
    script.streams = {{}};
    return script;
}

bool asked(const Script& script, const std::string& target) {
    return std::ranges::any_of(script.requests, [&](const HttpRequest& one) { return one.target == target; });
}

TEST(RebalanceCommand, APlanIsPrintedWithReasonGainCostAndOrder) {
    Script script = with_plan();
    const Ran ran = ballast(script, {"rebalance"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::plan_made)) << ran.err;
    EXPECT_EQ(ran.err, "");
    EXPECT_EQ(script.requests.front().body, R"({"goal":"level"})");
    EXPECT_EQ(ran.out,
              "STEP  VM    FROM  TO  AFTER    GAIN   COST   TAKES  REASON\n"
              "   1  web1  h1    h2  -       410 s  2.2 s   1.6 s  h1 is busy\n"
              "   2  db1   h1    h3  1      30.0 s  1.0 s  900 ms  h1 is busy\n"
              "2 moves gain 440 s for 3 s\n"
              "before: contention 500 s an hour (no placement has less than 40.0 s), fullest host h1: 80 % of its "
              "memory, 120 % of its cores\n"
              "after:  contention 59.5 s an hour (no placement has less than 40.0 s), fullest host h2: 60 % of its "
              "memory, 70 % of its cores\n"
              "takes about 2.5 s in all\n"
              "next: `ballast plan approve P1` carries it out\n");
}

TEST(RebalanceCommand, NothingWorthMovingHasAnExitCodeOfItsOwn) {
    Script script;
    script.on("POST /api/v1/plans", row("", 0, "[]", "nothing worth moving: the best move gains 3 s and costs 4 s"));
    for (const auto& words : std::vector<std::vector<std::string>>{{"rebalance"}, {"rebalance", "--apply"}}) {
        const Ran ran = ballast(script, words);
        EXPECT_EQ(ran.exit, static_cast<int>(Exit::nothing_to_do));
        EXPECT_EQ(ran.out, "nothing worth moving: the best move gains 3 s and costs 4 s\n");
        EXPECT_EQ(ran.err, "");
    }
}

TEST(RebalanceCommand, AppliedIsExitZeroAndNamesWhatMoved) {
    Script script = with_plan();
    applies(script, "succeeded", all_moved);
    const Ran ran = ballast(script, {"rebalance", "--apply"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, AllOf(HasSubstr("STEP  VM"), HasSubstr("moved: web1 to h2, db1 to h3\n")));
    EXPECT_FALSE(asked(script, "/api/v1/plans/P1/approve")) << "no VM asks";
}

TEST(RebalanceCommand, AFailureIsExitOneWithEachReason) {
    Script script = with_plan();
    applies(
        script, "failed",
        R"({"moved":[{"name":"web1","to":"h2"}],"failed":[{"name":"db1","to":"h3","reason":"no room"}],"cancelled":[],"skipped":[],"replans":2,"may_power_off":["h1"]})");
    const Ran ran = ballast(script, {"rebalance", "--apply"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::failed));
    EXPECT_THAT(ran.out, HasSubstr("failed: db1 to h3: no room\nmoved: web1 to h2\nthe rest was planned again 2 "
                                   "times\nh1 is empty: it may be powered off\n"));
    EXPECT_THAT(ran.err, HasSubstr("not every move was made"));
}

TEST(RebalanceCommand, VmsThatAskAreMovedOnlyAfterAYes) {
    for (const bool yes : {true, false}) {
        Script script = with_plan(true);
        applies(script, "succeeded", all_moved);
        auto words = std::vector<std::string>{"rebalance", "--apply"};
        if (yes) words.emplace_back("--yes");
        EXPECT_EQ(ballast(script, words).exit, 0);
        EXPECT_EQ(asked(script, "/api/v1/plans/P1/approve"), yes) << "cron has nobody to ask";
    }
    Script script = with_plan(true);
    applies(script, "succeeded", all_moved);
    Terminal terminal;
    terminal.is_terminal = true;
    terminal.typed = "y";
    const Ran ran = ballast(script, {"rebalance", "--apply"}, terminal);
    EXPECT_THAT(ran.err, HasSubstr("db1 asks before moving. Move it, too? [y/N]"));
    EXPECT_TRUE(asked(script, "/api/v1/plans/P1/approve"));
}

TEST(RebalanceCommand, ASecondRunSaysWhichOneRuns) {
    Script script = with_plan();
    script.refuses("POST /api/v1/plans/P1/apply", 409, "conflict", "job J0 carries out a plan (level) already");
    const Ran ran = ballast(script, {"rebalance", "--apply"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::conflict));
    EXPECT_THAT(ran.err, HasSubstr("job J0 carries out a plan"));
}

TEST(RebalanceCommand, EveryOptionReachesTheApi) {
    Script script;
    script.on("POST /api/v1/plans?dry_run=true", row("", 2, steps(false), two));
    const Ran ran = ballast(script, {"rebalance", "--goal", "defragment", "--host", "h1", "--host", "h2", "--max-moves",
                                     "5", "--budget", "10s", "--seed", "7", "--fits", "4:16G", "--dry-run"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::plan_made)) << ran.err;
    EXPECT_EQ(script.requests.front().body,
              R"({"goal":"defragment","hosts":["h1","h2"],"max_moves":5,"seed":7,"budget_ms":10000,)"
              R"("big":{"vcpus":4,"memory_bytes":17179869184}})");
    EXPECT_THAT(ran.out, Not(HasSubstr("next:"))) << "a dry run keeps nothing that could be approved";
}

TEST(RebalanceCommand, ForScriptsThePlanIsOneDocument) {
    Script script = with_plan();
    const Ran ran = ballast(script, {"rebalance", "-o", "json"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::plan_made));
    EXPECT_EQ(Json::parse(ran.out)["plan"]["steps"].size(), 2U);
}

TEST(RebalanceCommand, WhatCanNotBeMeantIsAUsageError) {
    Script script;
    for (const auto& words : std::vector<std::vector<std::string>>{{"--apply", "--dry-run"},
                                                                   {"--goal", "tidy"},
                                                                   {"--budget", "soon"},
                                                                   {"--fits", "16G"},
                                                                   {"--max-moves", "-1"},
                                                                   {"--out", "x"},
                                                                   {"--offline", "x", "--apply"}}) {
        auto all = words;
        all.insert(all.begin(), "rebalance");
        const Ran ran = ballast(script, all);
        EXPECT_EQ(ran.exit, static_cast<int>(Exit::usage)) << words[0];
        EXPECT_NE(ran.err, "") << words[0];
    }
    EXPECT_TRUE(script.requests.empty());
}

TEST(PlanCommand, ApproveSaysYesAndCarriesItOut) {
    Script script;
    applies(script, "succeeded", all_moved);
    EXPECT_EQ(ballast(script, {"plan", "approve", "P1"}).exit, 0);
    EXPECT_TRUE(asked(script, "/api/v1/plans/P1/approve"));
    EXPECT_TRUE(asked(script, "/api/v1/plans/P1/apply"));
    Script only;
    only.on("POST /api/v1/plans/P1/approve", row("P1", 2, "[]", two));
    EXPECT_EQ(ballast(only, {"plan", "approve", "P1", "--only"}).exit, 0);
}

TEST(PlanCommand, ListShowAndCancel) {
    Script script;
    script.on("GET /api/v1/plans?sort=-id&limit=50", R"({"items":[)" + row("P1", 2, "[]", two) + R"(],"next":null})")
        .on("GET /api/v1/plans/P1", row("P1", 2, steps(false), two))
        .on("POST /api/v1/plans/P1/cancel", row("P1", 2, "[]", two));
    EXPECT_THAT(ballast(script, {"plan", "list"}).out, AllOf(HasSubstr("P1"), HasSubstr("advised"), HasSubstr(two)));
    EXPECT_THAT(ballast(script, {"plan", "show", "P1"}).out,
                AllOf(HasSubstr("plan P1: level, advised\n"), HasSubstr("h1 is busy")));
    EXPECT_EQ(ballast(script, {"plan", "cancel", "P1"}).out, "plan P1 is called off\n");
}

TEST(MaintenanceCommand, EmptiesTheHostThroughAPlanAndBringsItBack) {
    Script script;
    script.on("POST /api/v1/hosts/h1/maintenance", R"({"name":"h1","maintenance":true})")
        .on("POST /api/v1/plans", row("P1", 2, steps(true), two), 201)
        .on("POST /api/v1/hosts/h1/maintenance-end", R"({"name":"h1","maintenance":false})");
    applies(script, "succeeded", all_moved);
    const Ran ran = ballast(script, {"host", "maintenance", "h1"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(script.requests[1].body, R"({"goal":"evacuate","hosts":["h1"]})");
    EXPECT_TRUE(asked(script, "/api/v1/plans/P1/approve")) << "whoever empties a host is the yes";
    EXPECT_THAT(ran.out, AllOf(HasSubstr("moved: web1 to h2, db1 to h3\n"), HasSubstr("h1 is in maintenance")));
    EXPECT_EQ(ballast(script, {"host", "maintenance", "h1", "--off"}).out, "h1 takes new work again\n");
}

TEST(MaintenanceCommand, NamesWhatStaysAndFails) {
    Script script;
    script.on("POST /api/v1/hosts/h1/maintenance", R"({"name":"h1","maintenance":true})")
        .on("POST /api/v1/plans",
            row("", 0, "[]", "nothing can leave h1",
                R"([{"vm":"v","name":"pinned","host":"h1","reason":"its policy `moves` is never"}])"));
    const Ran ran = ballast(script, {"host", "maintenance", "h1"});
    EXPECT_EQ(ran.exit, static_cast<int>(Exit::conflict));
    EXPECT_THAT(ran.out, HasSubstr("stays: pinned on h1: its policy `moves` is never\n"));
}

TEST(MaintenanceCommand, KeepLeavesTheVmsWhereTheyAre) {
    Script script;
    script.on("POST /api/v1/hosts/h1/maintenance", R"({"name":"h1","maintenance":true})");
    EXPECT_EQ(ballast(script, {"host", "maintenance", "h1", "--keep"}).out, "nothing new is placed on h1\n");
}

}  // namespace
}  // namespace ballast::cli::testing
