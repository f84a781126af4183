// Decisions with the smallest change, and what VMs ask of their place, over HTTP.
#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using test::a_host;
using test::a_vm;
using testing::HasSubstr;

constexpr const char* placements = "/api/v1/placements";

class PlacementsTest : public ApiTest {};

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

}  // namespace
}  // namespace ballast::api
