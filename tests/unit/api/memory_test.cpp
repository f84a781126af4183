// What is said of the memory of hosts and VMs over HTTP, and what may be set.
#include "daemon/api/memory_metrics.h"
#include "daemon/overcommit/history.h"
#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using overcommit::HostPicture;
using overcommit::PictureBoard;
using overcommit::VmPicture;
using test::a_host;
using test::a_vm;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

VmPicture a_vm_picture(const std::string& name) {
    VmPicture vm;
    vm.vm = VmId(name);
    vm.name = name;
    vm.maximum = gibibytes(4);
    vm.minimum = gibibytes(1);
    vm.balloon = gibibytes(3);
    vm.target = gibibytes(2);
    vm.resident = gibibytes(3);
    vm.overhead = mebibytes(100);
    vm.policy = MemoryPolicy::balanced;
    vm.working_set.trust = memory::Trust::trusted;
    vm.working_set.size = mebibytes(1536);
    vm.working_set.idle = 0.5;
    return vm;
}

/// 16 GiB, of which 1 MiB is not explained.
HostPicture a_picture(const std::string& host, Timestamp at) {
    HostPicture picture;
    picture.host = HostId(host);
    picture.at = at;
    picture.policy = MemoryPolicy::balanced;
    picture.level = memory::Level::tight;
    picture.level_since = at - Seconds(60);
    picture.level_why = "1 GiB is available of 1.3 GiB that are kept";
    picture.ledger = {.total = gibibytes(16),
                      .guest_in_use = gibibytes(6),
                      .page_cache = gibibytes(2),
                      .guest_unused = gibibytes(1),
                      .shared = mebibytes(512),
                      .overhead = mebibytes(512),
                      .host_cache = gibibytes(1),
                      .host_own = gibibytes(2),
                      .reserve = gibibytes(1),
                      .free = gibibytes(2) - mebibytes(1),
                      .unexplained = mebibytes(1),
                      .saved = gibibytes(1),
                      .promised = gibibytes(24),
                      .ballooned = gibibytes(8),
                      .never_touched = gibibytes(4)};
    picture.risk.risk = 0.000'2;
    picture.risk.words = "p99 demand leaves 3.8 GiB; 0.02 %";
    picture.ksm.state = memory::KsmState::scanning;
    picture.ksm.pages_to_scan = 500;
    picture.ksm.cpu_share = 0.1;
    picture.merging = {.now = drivers::KsmSettings{.pages_to_scan = 250, .sleep_ms = 20, .merge_across_nodes = false},
                       .found = memory::KsmFound{.pages_to_scan = 100, .merge_across_nodes = true},
                       .set = 500,
                       .set_across = false,
                       .managed = true,
                       .stands_back_until = {}};
    picture.unmet = mebibytes(200);
    picture.vms = {a_vm_picture("web1")};
    return picture;
}

class MemoryTest : public ApiTest {
  public:
    MemoryTest() {
        services.memory = [this] { return board.all(); };
        put(a_host("h1").build());
        put(a_host("h2").build());
        put(a_vm("web1").on("h1").running().build());
    }
    [[nodiscard]] Json get(const std::string& path) const {
        const auto answer = client().get(path);
        EXPECT_EQ(answer.status, 200) << answer.body;
        return parsed(answer);
    }
    PictureBoard board;
};

TEST_F(MemoryTest, ShowsEveryHostInALineAndTheSumsOfThoseThatWereRead) {
    board.publish(a_picture("h1", clock->now()));
    start();
    const Json memory = get("/api/v1/memory");
    ASSERT_EQ(memory["hosts"].size(), 2U);
    const Json h1 = memory["hosts"][0];
    EXPECT_EQ(h1["name"], "h1");
    EXPECT_EQ(h1["policy"], "balanced");
    EXPECT_EQ(h1["now"]["level"], "tight");
    EXPECT_EQ(h1["now"]["promised_bytes"], gibibytes(24).count());
    EXPECT_EQ(h1["now"]["risk"], 0.000'2);
    EXPECT_EQ(h1["now"]["vms"], 1);
    EXPECT_TRUE(memory["hosts"][1]["now"].is_null()) << "h2 was not read yet";
    EXPECT_EQ(memory["sums"]["hosts"], 2);
    EXPECT_EQ(memory["sums"]["hosts_read"], 1);
    EXPECT_EQ(memory["sums"]["total_bytes"], gibibytes(16).count());
    EXPECT_EQ(memory["sums"]["worst_level"], "tight");
}

TEST_F(MemoryTest, TheSumsAddUpAndTakeTheWorst) {
    board.publish(a_picture("h1", clock->now()));
    HostPicture other = a_picture("h2", clock->now());
    other.level = memory::Level::pressed;
    other.risk.risk = 0.03;
    board.publish(other);
    board.publish(a_picture("gone", clock->now()));  // not in the inventory any more
    start();
    const Json sums = get("/api/v1/memory")["sums"];
    EXPECT_EQ(sums["ballooned_bytes"], gibibytes(16).count());
    EXPECT_EQ(sums["worst_level"], "pressed");
    EXPECT_EQ(sums["highest_risk"], 0.03);
    EXPECT_EQ(sums["vms"], 2);
}

TEST_F(MemoryTest, ThePartsOfAHostSumExactlyToItsMemory) {
    board.publish(a_picture("h1", clock->now()));
    start();
    const Json host = get("/api/v1/hosts/h1/memory");
    std::int64_t sum = 0;
    for (const auto& part : host["parts"]) sum += part["size_bytes"].get<std::int64_t>();
    EXPECT_EQ(sum, host["total_bytes"]);
    EXPECT_EQ(host["parts"].front()["part"], "guest in use");
    EXPECT_EQ(host["parts"].back()["part"], "unexplained");
    EXPECT_EQ(host["parts"].back()["size_bytes"], mebibytes(1).count());
    const Json promises = host["promises"];
    EXPECT_EQ(promises["promised_bytes"], promises["resident_guest_bytes"].get<std::int64_t>() +
                                              promises["ballooned_bytes"].get<std::int64_t>() +
                                              promises["never_touched_bytes"].get<std::int64_t>());
}

TEST_F(MemoryTest, AHostSaysWhyItIsWhereItIs) {
    HostPicture picture = a_picture("h1", clock->now());
    picture.sight = overcommit::Sight::unreadable;
    picture.sight_why = "it can't be reached";
    board.publish(picture);
    Host host = *snapshot()->hosts.find(HostId("h1"));
    host.settings.exporter = "http://h1:9100/metrics";
    put(host);
    start();
    const Json seen = get("/api/v1/hosts/h1/memory");
    EXPECT_EQ(seen["level"], "tight");
    EXPECT_EQ(seen["level_why"], "1 GiB is available of 1.3 GiB that are kept");
    EXPECT_EQ(seen["risk"]["words"], "p99 demand leaves 3.8 GiB; 0.02 %");
    EXPECT_EQ(seen["ksm"]["state"], "scanning");
    EXPECT_EQ(seen["ksm"]["estimated_cpu_share"], 0.1);
    EXPECT_EQ(seen["exporter"]["sight"], "unreadable");
    EXPECT_EQ(seen["exporter"]["url"], "http://h1:9100/metrics");
    EXPECT_EQ(seen["exporter"]["why"], "it can't be reached");
    EXPECT_EQ(seen["vms"][0]["working_set"]["size_bytes"], mebibytes(1536).count());
}

TEST_F(MemoryTest, TheSettingsOfPageMergingAreShownAsReadAsSetAndAsFound) {
    board.publish(a_picture("h1", clock->now()));
    start();
    const Json ksm = get("/api/v1/hosts/h1/memory")["ksm"];
    EXPECT_EQ(ksm["now"], Json::parse(R"({"pages_to_scan":250,"sleep_ms":20,"merge_across_nodes":false})"));
    EXPECT_EQ(ksm["set"], Json::parse(R"({"pages_to_scan":500,"merge_across_nodes":false})"));
    EXPECT_EQ(ksm["found"], Json::parse(R"({"pages_to_scan":100,"merge_across_nodes":true})"));
    EXPECT_EQ(ksm["managed"], true);
    EXPECT_EQ(ksm["foreign"], "");
    EXPECT_TRUE(ksm["stands_back_until"].is_null());
}

TEST_F(MemoryTest, SomebodyElseAtPageMergingIsNamedWithHowLongBallastStandsBack) {
    HostPicture picture = a_picture("h1", clock->now());
    picture.ksm.state = memory::KsmState::foreign;
    picture.ksm.why = "scans 250 pages at a time where 500 were set: somebody else tunes it";
    picture.merging.managed = false;
    picture.merging.stands_back_until = clock->now() + Seconds(3'600);
    board.publish(picture);
    HostPicture none = a_picture("h2", clock->now());
    none.ksm = {};
    none.merging = {};
    board.publish(none);
    start();
    const Json ksm = get("/api/v1/hosts/h1/memory")["ksm"];
    EXPECT_EQ(ksm["managed"], false);
    EXPECT_EQ(ksm["foreign"], picture.ksm.why);
    EXPECT_EQ(ksm["stands_back_until"], to_string(picture.merging.stands_back_until));
    const Json absent = get("/api/v1/hosts/h2/memory")["ksm"];
    EXPECT_TRUE(absent["now"].is_null() && absent["set"].is_null() && absent["found"].is_null());
}

TEST_F(MemoryTest, WhatWasNotReadYetIsUnavailableWithTheReason) {
    put(a_host("h3").state(HostState::unreachable).build());
    put(a_vm("db1").build());
    start();
    EXPECT_THAT(client().get("/api/v1/hosts/h2/memory"), IsProblem(503, "unavailable"));
    EXPECT_THAT(client().get("/api/v1/hosts/h3/memory").body, HasSubstr("it is unreachable"));
    EXPECT_THAT(client().get("/api/v1/vms/db1/memory"), IsProblem(503, "unavailable"));
    EXPECT_THAT(client().get("/api/v1/hosts/h9/memory"), IsProblem(404, "not_found"));
}

TEST_F(MemoryTest, WithoutAControllerTheRoutesSaySo) {
    services.memory = nullptr;
    start();
    EXPECT_THAT(client().get("/api/v1/memory"), IsProblem(503, "unavailable"));
    EXPECT_EQ(client().get("/metrics").status, 200);
}

TEST_F(MemoryTest, AVmIsShownOnItsOwnHostWhileTwoShowIt) {
    board.publish(a_picture("h0", clock->now()));  // sorts before its own
    HostPicture own = a_picture("h1", clock->now());
    own.level = memory::Level::critical;
    board.publish(own);
    start();
    const Json vm = get("/api/v1/vms/web1/memory");
    EXPECT_EQ(vm["host"], "h1");
    EXPECT_EQ(vm["host_level"], "critical");
    EXPECT_EQ(vm["now"]["balloon_bytes"], gibibytes(3).count());
    EXPECT_EQ(vm["now"]["target_bytes"], gibibytes(2).count());
    EXPECT_EQ(vm["overcommit"]["shares"], 1000);
    EXPECT_EQ(vm["pending"], "");
}

TEST_F(MemoryTest, TheHistoryIsGivenInRowsThatSumToTheTotal) {
    start();
    for (int i = 0; i < 7; ++i) {
        ASSERT_TRUE(
            await(services.store->memory_history().note({overcommit::point_of(a_picture("h1", clock->now()))})));
        clock->advance(Seconds(10));
    }
    const Json history = get("/api/v1/hosts/h1/memory/history");
    EXPECT_EQ(history["resolution"], "10s");
    ASSERT_EQ(history["items"].size(), 6U);
    const Json row = history["items"][0];
    EXPECT_EQ(row["level"], "tight");
    EXPECT_EQ(row["watched_s"], 10);
    EXPECT_EQ(row["most_unmet_bytes"], mebibytes(200).count());
    std::int64_t sum = 0;
    for (const auto& part : row["parts"]) sum += part["size_bytes"].get<std::int64_t>();
    EXPECT_EQ(sum, row["total_bytes"]);
    EXPECT_EQ(row["parts"].back()["size_bytes"], mebibytes(1).count());
    EXPECT_EQ(get("/api/v1/hosts/h1/memory/history?resolution=1m")["items"].size(), 1U);
    EXPECT_EQ(get("/api/v1/hosts/h1/memory/history?limit=2")["items"][1]["at"], history["items"][5]["at"]);
    EXPECT_THAT(get("/api/v1/hosts/h2/memory/history")["items"], IsEmpty());
    EXPECT_THAT(get("/api/v1/hosts/h1/memory/history?to=2025-01-01T00:00:00Z")["items"], IsEmpty());
    const auto third = history["items"][2]["at"].get<std::string>();
    EXPECT_EQ(get("/api/v1/hosts/h1/memory/history?from=" + third)["items"].size(), 4U);
    EXPECT_EQ(get("/api/v1/hosts/h1/memory/history?to=" + third)["items"].size(), 2U);
}

TEST_F(MemoryTest, TheHistoryOfAVmIsGivenByTheMinuteWithForHowLongItLackedMemory) {
    start();
    HostPicture own = a_picture("h1", clock->now());
    own.vms[0].working_set.page_cache = mebibytes(512);
    HostPicture target = a_picture("h2", clock->now());  // it moves there, and is not there yet
    target.vms[0].balloon = gibibytes(4);
    for (int i = 0; i < 13; ++i) {
        own.vms[0].working_set.lacks = i == 2;
        std::vector<store::VmMemoryPoint> points;
        for (const auto& picture : {own, target}) overcommit::add_vm_points(picture, *snapshot(), points);
        ASSERT_TRUE(await(services.store->vm_memory_history().note(points)));
        clock->advance(Seconds(10));
    }
    const Json history = get("/api/v1/vms/web1/memory/history");
    EXPECT_EQ(history["name"], "web1");
    EXPECT_EQ(history["resolution"], "1m");
    ASSERT_GE(history["items"].size(), 2U);
    const Json first = history["items"][0];
    EXPECT_EQ(first["balloon_bytes"], gibibytes(3).count()) << "of the host that it is on";
    EXPECT_EQ(first["working_set_bytes"], mebibytes(1536).count());
    EXPECT_EQ(first["page_cache_bytes"], mebibytes(512).count());
    EXPECT_EQ(first["resident_bytes"], gibibytes(3).count());
    EXPECT_EQ(first["lacked_s"], 10);
    EXPECT_EQ(first["believed"], true);
    EXPECT_EQ(get("/api/v1/vms/web1/memory/history?limit=1")["items"].size(), 1U);
    EXPECT_THAT(get("/api/v1/vms/web1/memory/history?to=2025-01-01T00:00:00Z")["items"], IsEmpty());
    EXPECT_THAT(client().get("/api/v1/vms/web1/memory/history?resolution=10s"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get("/api/v1/vms/nobody/memory/history"), IsProblem(404, "not_found"));
}

TEST_F(MemoryTest, RefusesAHistoryThatCanNotBe) {
    start();
    const std::string path = "/api/v1/hosts/h1/memory/history";
    EXPECT_THAT(client().get(path + "?resolution=5m"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get(path + "?from=yesterday"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get(path + "?limit=0"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get(path + "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"),
                IsProblem(400, "invalid_argument"));
}

TEST_F(MemoryTest, AHostsPolicyAndExporterAreSetAndTheUrlIsChecked) {
    start();
    const auto answer = client().patch("/api/v1/hosts/h1",
                                       R"({"settings":{"memory_policy":"dense","exporter":"http://h1:9100/metrics"}})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["settings"]["memory_policy"], "dense");
    EXPECT_EQ(snapshot()->hosts.find(HostId("h1"))->settings.exporter, "http://h1:9100/metrics");
    ASSERT_EQ(client().patch("/api/v1/hosts/h1", R"({"settings":{"memory_policy":null}})").status, 200);
    EXPECT_FALSE(snapshot()->hosts.find(HostId("h1"))->settings.memory_policy);
    for (const char* wrong : {"https://h1:9100/metrics", "h1:9100", "http://", "http://h1/m?x=1", "http://u@h1/"})
        EXPECT_THAT(client().patch("/api/v1/hosts/h1", fmt::format(R"({{"settings":{{"exporter":"{}"}}}})", wrong)),
                    IsProblem(400, "invalid_argument"))
            << wrong;
}

TEST_F(MemoryTest, WhatAVmAsksOfTheControllerIsPatchedOneByOne) {
    start();
    ASSERT_EQ(client().patch("/api/v1/vms/web1", R"({"spec":{"overcommit":{"priority":7}}})").status, 200);
    const auto answer = client().patch(
        "/api/v1/vms/web1", R"({"spec":{"memory_policy":"gentle","overcommit":{"shares":2000,"may_suspend":true}}})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    const Json spec = parsed(answer)["spec"];
    EXPECT_EQ(spec["memory_policy"], "gentle");
    EXPECT_EQ(spec["overcommit"]["shares"], 2000);
    EXPECT_EQ(spec["overcommit"]["priority"], 7) << "what is absent stays";
    EXPECT_EQ(spec["overcommit"]["may_suspend"], true);
    EXPECT_THAT(parsed(answer)["alerts"], IsEmpty());
    EXPECT_THAT(client().patch("/api/v1/vms/web1", R"({"spec":{"overcommit":{"shares":0}}})"),
                IsProblem(400, "invalid_argument"));
}

TEST_F(MemoryTest, MergingWaitsForTheNextStartAndSaysSo) {
    board.publish(a_picture("h1", clock->now()));
    start();
    const auto answer = client().patch("/api/v1/vms/web1", R"({"spec":{"overcommit":{"merge":false}}})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_THAT(parsed(answer)["alerts"].dump(), HasSubstr("next start: page merging is to be off"));
    EXPECT_THAT(get("/api/v1/vms/web1/memory")["pending"].get<std::string>(), HasSubstr("is to be off"));
    const auto back = client().patch("/api/v1/vms/web1", R"({"spec":{"overcommit":{"merge":true}}})");
    EXPECT_THAT(parsed(back)["alerts"], IsEmpty()) << "the definition never took it on";
}

TEST_F(MemoryTest, MergingOfAnAdoptedVmIsRefusedWithTheWayOut) {
    Vm vm = a_vm("old").on("h1").build();
    vm.created_by_ballast = false;
    put(vm);
    start();
    const auto answer = client().patch("/api/v1/vms/old", R"({"spec":{"overcommit":{"merge":false}}})");
    EXPECT_THAT(answer, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(answer.body, HasSubstr("virsh edit old"));
    EXPECT_EQ(client().patch("/api/v1/vms/old", R"({"spec":{"overcommit":{"shares":500}}})").status, 200);
}

TEST_F(MemoryTest, MetricsHaveTheLedgerTheDangerAndEveryVm) {
    board.publish(a_picture("h1", clock->now()));
    board.publish(a_picture("gone", clock->now()));
    start();
    const std::string text = client().get("/metrics").body;
    EXPECT_THAT(text, AllOf(HasSubstr(R"(ballast_host_memory_part_bytes{host="h1",part="guest_in_use"} 6442450944)"),
                            HasSubstr(R"(ballast_host_memory_level{host="h1"} 1)"),
                            HasSubstr(R"(ballast_host_memory_risk{host="h1"} 0.0002)"),
                            HasSubstr(R"(ballast_host_ksm_saved_pages{host="h1"} 262144)"),
                            HasSubstr(R"(ballast_host_ksm_state{host="h1",state="scanning"} 1)"),
                            HasSubstr(R"(ballast_host_ksm_state{host="h1",state="off"} 0)"),
                            HasSubstr(R"(ballast_vm_memory_idle_ratio{vm="web1",id="web1",host="h1"} 0.5)"),
                            HasSubstr(R"(ballast_vm_memory_trusted{vm="web1",id="web1",host="h1"} 1)"),
                            HasSubstr("ballast_vm_memory_left_out 0"), Not(HasSubstr("gone"))));
}

TEST_F(MemoryTest, TheNumberOfVmsWithSeriesIsBoundedAndTheRestIsCounted) {
    HostPicture picture = a_picture("h1", clock->now());
    for (int i = 0; i < 5; ++i) picture.vms.push_back(a_vm_picture(fmt::format("x{}", i)));
    board.publish(picture);
    const std::string text = memory_metrics(*snapshot(), *board.all(), 2);
    EXPECT_THAT(text, AllOf(HasSubstr("vm=\"web1\""), HasSubstr("vm=\"x0\""), Not(HasSubstr("vm=\"x1\"")),
                            HasSubstr("ballast_vm_memory_left_out 4")));
}

}  // namespace
}  // namespace ballast::api
