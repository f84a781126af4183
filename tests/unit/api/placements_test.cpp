// Decisions with the smallest change, what VMs ask of their place, batches and reservations over HTTP.
#include "daemon/jobs/reservation_keeper.h"
#include "daemon/jobs/reservations.h"
#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using test::a_host;
using test::a_vm;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* placements = "/api/v1/placements";
constexpr const char* batch = "/api/v1/placements/batch";
constexpr const char* reservations = "/api/v1/reservations";

/// VMs of 3 GiB each, by name.
std::string three_gib_each(const std::vector<std::string>& names, const std::string& more = "") {
    std::vector<std::string> vms;
    for (const auto& name : names)
        vms.push_back(fmt::format(R"({{"name":"{}","spec":{{"memory_bytes":3221225472{}}}}})", name, more));
    return fmt::format(R"("vms":[{}])", fmt::join(vms, ","));
}

std::string reservation(const std::string& name, const std::string& rest) {
    return fmt::format(R"({{"name":"{}",{}}})", name, rest);
}

class PlacementsTest : public ApiTest {
  public:
    /// Hosts that each take one VM of 3 GiB.
    void start_with(int hosts) {
        for (int i = 1; i <= hosts; ++i) put(a_host(fmt::format("h{}", i)).memory(gibibytes(4)).build());
        start();
    }
    [[nodiscard]] HttpAnswer reserve(const std::string& name, const std::string& rest) {
        return client().post(reservations, reservation(name, rest));
    }
    [[nodiscard]] std::string refused(const std::string& rest) {
        const auto answer = reserve("shop", rest);
        EXPECT_THAT(answer, IsProblem(400, "invalid_argument")) << rest;
        return answer.body;
    }
    /// One look of the keeper.
    void look() {
        jobs::Services work;
        work.executor = loop.get_executor();
        work.store = services.store;
        work.clock = services.clock;
        const auto keeper = std::make_shared<jobs::ReservationKeeper>(work);
        EXPECT_TRUE(await(keeper->look()));
    }
};

TEST_F(PlacementsTest, NamesTheSmallestChangeOfTheBestRefusedHost) {
    put(a_host("h1").build());
    put(a_host("h2").in_maintenance().build());
    start();
    const auto decision = parsed(client().post(placements, R"({"spec":{"memory_bytes":1073741824}})"));
    EXPECT_EQ(decision["chosen"], "h1");
    EXPECT_EQ(decision["policy"], "spread");
    EXPECT_EQ(decision["nearest"]["text"], "it fits on h2 if the maintenance of h2 ends");
}

TEST_F(PlacementsTest, ComparesHostsByThePoliciesAndLoadsOfTheCluster) {
    scheduler::Preferences preferences;
    preferences.policies.own = {{"quiet", {{"load_left", 1}}}};
    preferences.policies.standard = "quiet";
    auto load = std::make_shared<scheduler::ClusterLoad>();
    load->vms[VmId("busy")].cpu_mean = 6;
    load->vms[VmId("idle")].cpu_mean = 0.1;
    preferences.load = load;
    services.preferences = [preferences] { return preferences; };
    put(a_host("h1").build());
    put(a_host("h2").build());
    put(a_vm("busy").on("h1").running().build());
    put(a_vm("idle").vcpus(8).memory(gibibytes(8)).on("h2").running().build());
    start();
    const auto decision = parsed(client().post(placements, R"({"spec":{}})"));
    EXPECT_EQ(decision["policy"], "quiet");
    EXPECT_EQ(decision["chosen"], "h2") << decision;
    EXPECT_THAT(client().post(placements, R"({"spec":{"placement":{"policy":"loud"}}})").body,
                HasSubstr("there are quiet, spread, pack, latency, power"));
}

TEST_F(PlacementsTest, RefusesWishesThatAreNonsense) {
    put(a_host("h1").build());
    put(a_vm("web1").on("h1").build());
    start();
    const auto refuses = [&](const char* placement, const char* why) {
        const std::string body = fmt::format(R"({{"spec":{{"placement":{}}}}})", placement);
        EXPECT_THAT(client().post(placements, body).body, HasSubstr(why)) << placement;
        EXPECT_THAT(client().patch("/api/v1/vms/web1", body), IsProblem(400, "invalid_argument")) << placement;
        const std::string vm = fmt::format(R"({{"name":"web2","spec":{{"placement":{}}}}})", placement);
        EXPECT_THAT(client().post("/api/v1/vms", vm), IsProblem(400, "invalid_argument")) << placement;
    };
    refuses(R"({"policy":"fastest"})", "there are spread, pack, latency, power");
    refuses(R"({"affinity":[{"group":"a","kind":"together"},{"group":"a","kind":"apart"}]})", "group a");
    refuses(R"({"affinity":[{"group":"a","kind":"near"}]})", "unknown value 'near'");
    refuses(R"({"devices":{"gpu":-1}})", "devices.gpu: -1");
}

TEST_F(PlacementsTest, WishesOfAVmMayBeChangedAndTaintsOfAHost) {
    put(a_host("h1").build());
    put(a_vm("web1").on("h1").build());
    start();
    const char* wishes = R"({"spec":{"placement":{"hosts":["h1"],"policy":"pack"}}})";
    ASSERT_EQ(client().patch("/api/v1/vms/web1", wishes).status, 200);
    EXPECT_EQ(snapshot()->vms.rows().front()->spec.placement.policy, "pack");
    const char* taints = R"({"settings":{"taints":[{"key":"gpu","effect":"evacuate"}]}})";
    ASSERT_EQ(client().patch("/api/v1/hosts/h1", taints).status, 200);
    EXPECT_EQ(snapshot()->hosts.rows().front()->settings.taints.size(), 1U);
    EXPECT_THAT(client().patch("/api/v1/hosts/h1", R"({"settings":{"taints":[{"key":""}]}})").body,
                HasSubstr("settings.taints[0].key"));
    EXPECT_THAT(client().patch("/api/v1/hosts/h1", R"({"settings":{"idle_power_watts":9,"max_power_watts":3}})").body,
                HasSubstr("9 is above max_power_watts"));
}

TEST_F(PlacementsTest, DecidesForSeveralAtOnce) {
    start_with(2);
    const auto decision = parsed(client().post(batch, "{" + three_gib_each({"a", "b"}) + "}"));
    EXPECT_EQ(decision["placed"], true);
    EXPECT_NE(decision["places"][0]["host"], decision["places"][1]["host"]);
    const auto refused = parsed(client().post(batch, "{" + three_gib_each({"a", "b", "c"}) + "}"));
    EXPECT_EQ(refused["placed"], false);
    EXPECT_EQ(refused["places"].size(), 0U);
    EXPECT_THAT(refused["text"].get<std::string>(), HasSubstr("memory_fit"));
    EXPECT_TRUE(snapshot()->claims.empty());
}

TEST_F(PlacementsTest, RefusesABatchThatIsNonsense) {
    start_with(1);
    const auto why = [&](const std::string& vms) { return client().post(batch, "{" + vms + "}").body; };
    EXPECT_THAT(why(R"("vms":[])"), HasSubstr("vms: 0 are not between 1 and 256"));
    EXPECT_THAT(why(three_gib_each({"a", "a"})), HasSubstr("vms[1].name: 'a' stands twice"));
    EXPECT_THAT(why(three_gib_each({"a", "a/b"})), HasSubstr("vms[1].name"));
    EXPECT_THAT(why(R"("vms":[{"name":"a","spec":{"vcpus":0}}])"), HasSubstr("vms[0].spec.vcpus: 0"));
    EXPECT_THAT(why(R"("vms":[{"name":"a","spec":{"placement":{"policy":"fastest"}}}])"), HasSubstr("'fastest'"));
    EXPECT_THAT(why(R"("vms":[{"name":"a","spec":{},"host":"h9"}])"), HasSubstr("h9"));
}

TEST_F(PlacementsTest, ReservesForAllOrForNoneAndLetsGo) {
    start_with(2);
    const auto made = reserve("shop", R"("lasts_s":60,"note":"for Monday",)" + three_gib_each({"a"}));
    ASSERT_EQ(made.status, 201) << made.body;
    EXPECT_EQ(made.header("location"), "/api/v1/reservations/shop");
    EXPECT_EQ(parsed(made)["claims"][0]["name"], "shop/a");
    EXPECT_EQ(snapshot()->claims.size(), 1U);
    const auto full = reserve("more", three_gib_each({"a", "b"}));
    EXPECT_EQ(full.status, 507) << full.body;
    EXPECT_THAT(full.body, AllOf(HasSubstr("reservation more"), HasSubstr("none is placed"), HasSubstr("memory_fit")));
    EXPECT_EQ(snapshot()->claims.size(), 1U);
    EXPECT_EQ(parsed(client().get(reservations))["items"][0]["note"], "for Monday");
    const Json page = parsed(client().get("/api/v1/reservations?limit=1000"));
    EXPECT_EQ(page["items"].size(), 1U);
    EXPECT_TRUE(page["next"].is_null()) << page;
    EXPECT_TRUE(parsed(client().get("/api/v1/reservations?after=shop"))["items"].empty());
    EXPECT_THAT(client().get("/api/v1/reservations?limit=0"), IsProblem(400, "invalid_argument"));
    EXPECT_EQ(client().del("/api/v1/reservations/shop").status, 200);
    EXPECT_EQ(snapshot()->claims.size(), 0U);
    EXPECT_THAT(client().get("/api/v1/reservations/shop"), IsProblem(404, "not_found"));
    EXPECT_THAT(client().del("/api/v1/reservations/shop"), IsProblem(404, "not_found"));
}

TEST_F(PlacementsTest, AReservationCountsAgainstEverybody) {
    start_with(1);
    ASSERT_EQ(reserve("shop", three_gib_each({"a"})).status, 201);
    const auto decision = parsed(client().post(placements, R"({"spec":{"memory_bytes":2147483648}})"));
    EXPECT_TRUE(decision["chosen"].is_null());
    const char* own = R"({"name":"a","reservation":"shop","spec":{"memory_bytes":2147483648}})";
    EXPECT_EQ(parsed(client().post("/api/v1/vms?dry_run=true", own))["chosen"], "h1");
    const char* larger = R"({"name":"a","reservation":"shop","spec":{"memory_bytes":4187593113}})";
    EXPECT_EQ(client().post("/api/v1/vms?dry_run=true", larger).status, 507);
    const char* unknown = R"({"name":"a","reservation":"sale","spec":{}})";
    EXPECT_THAT(client().post("/api/v1/vms", unknown), IsProblem(404, "not_found"));
    EXPECT_TRUE(snapshot()->vms.empty());
}

TEST_F(PlacementsTest, ARepeatedReservationGetsItsFirstAnswer) {
    start_with(1);
    const std::string body = reservation("shop", three_gib_each({"a"}));
    const auto first = client().post(reservations, body, {{"idempotency-key", "k1"}});
    ASSERT_EQ(first.status, 201) << first.body;
    const auto again = client().post(reservations, body, {{"idempotency-key", "k1"}});
    EXPECT_EQ(again.status, 201) << "though its own room is taken now";
    EXPECT_EQ(again.body, first.body);
    EXPECT_THAT(client().post(reservations, body), IsProblem(409, "already_exists"));
    EXPECT_EQ(snapshot()->claims.size(), 1U);
}

TEST_F(PlacementsTest, SaysThatAGroupIsLargerThanTheCluster) {
    start_with(2);
    const auto answer = reserve("shop", three_gib_each({"a", "b", "c"}, R"(,"anti_affinity":"db")"));
    EXPECT_GE(answer.status, 400);
    EXPECT_THAT(answer.body, HasSubstr("group db keeps apart and has 2 VMs already, on 2 hosts"));
    EXPECT_TRUE(snapshot()->claims.empty());
}

TEST_F(PlacementsTest, RefusesAnExpiryThatIsNone) {
    start_with(1);
    const std::string vms = three_gib_each({"a"});
    EXPECT_THAT(refused(R"("lasts_s":0,)" + vms), HasSubstr("lasts_s: 0 is not between 1 and"));
    EXPECT_THAT(refused(R"("lasts_s":-5,)" + vms), HasSubstr("lasts_s: -5"));
    EXPECT_THAT(refused(R"("lasts_s":40000000,)" + vms), HasSubstr("366 days"));
    EXPECT_THAT(refused(R"("expires":"2025-12-31T00:00:00Z",)" + vms), HasSubstr("has passed already"));
    EXPECT_THAT(refused(R"("expires":"2099-12-31T00:00:00Z",)" + vms), HasSubstr("more than 366 days ahead"));
    EXPECT_THAT(refused(R"("expires":"2026-01-02T00:00:00Z","lasts_s":60,)" + vms), HasSubstr("give one of them"));
    EXPECT_THAT(client().post(reservations, reservation("a/b", vms)), IsProblem(400, "invalid_argument"));
    EXPECT_TRUE(snapshot()->claims.empty());
    EXPECT_EQ(reserve("shop", R"("expires":"2026-01-02T00:00:00Z",)" + vms).status, 201);
}

TEST_F(PlacementsTest, AReservationThatExpiresGivesItsRoomBackWithAnEvent) {
    start_with(1);
    ASSERT_EQ(reserve("shop", R"("lasts_s":60,)" + three_gib_each({"a"})).status, 201);
    clock->advance(Milliseconds(59'999));
    look();
    EXPECT_EQ(snapshot()->claims.size(), 1U);
    clock->advance(Milliseconds(1));
    look();
    EXPECT_TRUE(snapshot()->claims.empty());
    const auto events = await(services.store->events({.subject_kind = "claim"}));
    ASSERT_TRUE(events);
    EXPECT_EQ(events->back().kind, "claim.expired");
    EXPECT_EQ(events->back().subject_name, "shop/a");
}

TEST_F(PlacementsTest, WhatHasExpiredDoesNotStandInTheWayOfTheNext) {
    start_with(1);
    ASSERT_EQ(reserve("shop", R"("lasts_s":60,)" + three_gib_each({"a"})).status, 201);
    clock->advance(Milliseconds(60'000));
    EXPECT_EQ(client().post("/api/v1/vms", R"({"name":"a","reservation":"shop","spec":{}})").status, 404);
    look();
    EXPECT_EQ(reserve("shop", three_gib_each({"a"})).status, 201);
}

TEST_F(PlacementsTest, AHostWithReservedRoomIsNotRemoved) {
    start_with(1);
    ASSERT_EQ(reserve("shop", three_gib_each({"a"})).status, 201);
    const auto answer = client().del("/api/v1/hosts/h1");
    EXPECT_GE(answer.status, 400);
    EXPECT_THAT(answer.body, AllOf(HasSubstr("shop"), HasSubstr("ballast reservation delete")));
    ASSERT_EQ(client().del("/api/v1/reservations/shop").status, 200);
    EXPECT_EQ(client().del("/api/v1/hosts/h1").status, 204);
}

TEST_F(PlacementsTest, ReservingNeedsAnOperator) {
    start_with(1);
    auto viewer = client_with(make_token("v", Right::viewer));
    EXPECT_EQ(viewer.post(reservations, reservation("shop", three_gib_each({"a"}))).status, 403);
    EXPECT_EQ(viewer.post(batch, "{" + three_gib_each({"a"}) + "}").status, 200);
    EXPECT_EQ(viewer.get(reservations).status, 200);
}

}  // namespace
}  // namespace ballast::api
