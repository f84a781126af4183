// Whole command lines against a scripted server: what is printed, what is asked, how it ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* hosts =
    R"({"items":[{"id":"H1","name":"h1","state":"up","managed":true,"uri":"qemu+tcp://h1/system",
"settings":{"memory_capacity_bytes":2147483648},"facts":{"cpus":2,"qemu_version":7002000,"libvirt_version":9000000}}],"next":null})";
constexpr const char* vms = R"({"items":[
{"id":"v-1","name":"web1","state":"running","host":"H1","managed":true,"balloon_bytes":268435456,"spec":{"vcpus":1,"memory_bytes":268435456}},
{"id":"v-2","name":"old","state":"unknown","host":null,"managed":false,"alerts":["defined on h1 and h2"],"spec":{"vcpus":2,"memory_bytes":1073741824}}],"next":null})";

const std::string vm_list = "GET /api/v1/vms?sort=name&limit=1000";
const std::string host_list = "GET /api/v1/hosts?limit=1000";

Script with_vms() {
    Script script;
    script.on(vm_list, vms).on(host_list, hosts);
    return script;
}

TEST(Command, AListIsATableWithNamesForIdsAndReadableUnits) {
    Script script = with_vms();
    const Ran ran = ballast(script, {"vm", "list"});
    EXPECT_EQ(ran.exit, 0);
    EXPECT_EQ(ran.out,
              "NAME  STATE    HOST  VCPUS   MEMORY      NOW  MANAGED  SINCE  NOTE\n"
              "web1  running  h1        1  256 MiB  256 MiB  yes          -  -\n"
              "old   unknown  -         2    1 GiB        -  no           -  defined on h1 and h2\n");
    EXPECT_EQ(ran.err, "");
}

TEST(Command, HostsAreListedByName) {
    Script script;
    script.on("GET /api/v1/hosts?sort=name&limit=1000", hosts);
    EXPECT_EQ(ballast(script, {"host", "list", "-o", "name"}).out, "h1\n");
}

TEST(Command, OutputAsNamesIsOnePerLine) {
    Script script = with_vms();
    EXPECT_EQ(ballast(script, {"vm", "list", "-o", "name"}).out, "web1\nold\n");
}

TEST(Command, OutputAsJsonIsTheRowsThemselves) {
    Script script = with_vms();
    const Json json = Json::parse(ballast(script, {"-o", "json", "vm", "list"}).out);
    ASSERT_EQ(json.size(), 2U);
    EXPECT_EQ(json[0]["spec"]["memory_bytes"], 268435456);
}

TEST(Command, OutputAsYamlHoldsTheSame) {
    Script script;
    script.on("GET /api/v1/vms/web1", R"({"name":"web1","labels":{"a":"true"},"disks":[{"target":"vda"}],"nics":[]})");
    EXPECT_EQ(ballast(script, {"vm", "show", "web1", "-o", "yaml"}).out,
              "name: web1\nlabels:\n  a: \"true\"\ndisks:\n  - target: vda\nnics: []\n");
}

TEST(Command, AllPagesOfAListAreRead) {
    Script script;
    script.on("GET /api/v1/images?limit=1000", R"({"items":[{"name":"a"}],"next":"c/1"})");
    script.on("GET /api/v1/images?limit=1000&after=c%2F1", R"({"items":[{"name":"b"}],"next":null})");
    EXPECT_EQ(ballast(script, {"image", "list", "-o", "name"}).out, "a\nb\n");
}

TEST(Command, ShowPrintsUnitsAndLeavesOutWhatIsEmpty) {
    Script script;
    script.on(host_list, hosts);
    script.on(
        "GET /api/v1/vms/web1",
        R"({"name":"web1","host":"H1","state":"running","state_reason":"","balloon_bytes":268435456,"spec":{"memory_bytes":536870912,"disks":[{"target":"vda","size_bytes":1073741824}]},"managed":true})");
    const Ran ran = ballast(script, {"vm", "show", "web1"});
    EXPECT_EQ(ran.out,
              "name:                web1\n"
              "host:                h1\n"
              "state:               running\n"
              "balloon:             256 MiB\n"
              "spec:\n"
              "  memory:            512 MiB\n"
              "  disks:\n"
              "    -\n"
              "      target:        vda\n"
              "      size:          1 GiB\n"
              "managed:             yes\n");
}

TEST(Command, EveryWriteCarriesTheTokenAndAFreshIdempotencyKey) {
    Script script;
    script.on("POST /api/v1/hosts?wait=true", R"({"name":"node1","state":"up"})", 201);
    const Ran ran = ballast(script, {"host", "add", "qemu+tls://node1.example.org/system", "--memory", "2G"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    ASSERT_EQ(script.requests.size(), 1U);
    const auto& request = script.requests.front();
    EXPECT_EQ(request.headers.at("authorization"), "Bearer blt_secret");
    EXPECT_EQ(request.headers.at("idempotency-key"), "key-1");
    EXPECT_EQ(request.body, R"({"name":"node1","uri":"qemu+tls://node1.example.org/system","managed":false,)"
                            R"("settings":{"memory_capacity_bytes":2147483648}})");
    EXPECT_THAT(ran.out, HasSubstr("node1 was added as observed: nothing on it is changed; it is up"));
}

TEST(Command, OnlyTheSettingsThatWereNamedGoOut) {
    Script script;
    script.on("PATCH /api/v1/hosts/h1", R"({"name":"h1"})");
    EXPECT_EQ(ballast(script, {"host", "set", "h1", "--label", "b=", "--label", "c=3", "--reserved-cpus", "0"}).exit,
              0);
    EXPECT_EQ(script.requests.back().body, R"({"settings":{"labels":{"b":null,"c":"3"},"reserved_cpus":0}})");
    EXPECT_EQ(ballast(script, {"host", "set", "h1"}).exit, 2);
}

TEST(Command, ADecisionNamesEveryHostWithItsReasonAndTheWayOut) {
    Script script;
    script.on(
        "POST /api/v1/vms?dry_run=true",
        R"({"chosen":null,"hosts":[{"host":"H1","name":"h1","accepted":false,"rules":[{"rule":"host_ready","accepted":true},{"rule":"memory_fit","accepted":false,"about_room":true,"detail":"needs 8 GiB, has 2 GiB","fits_if":"6 GiB leave"}]},{"host":"H2","name":"h2","accepted":false,"rules":[{"rule":"cpu_fit","accepted":false,"detail":"needs 64 vCPUs"}]}],"nearest":{"text":"it fits on h1 if db2 is moved away from h1"}})");
    const Ran ran = ballast(script, {"vm", "create", "a", "--memory", "8G", "--dry-run"});
    EXPECT_EQ(ran.exit, 7);
    EXPECT_EQ(ran.out,
              "None of 2 hosts takes it; it fits on h1 if db2 is moved away from h1.\n"
              "HOST  VERDICT  SCORE  WHY\n"
              "h1    refused      -  memory_fit: needs 8 GiB, has 2 GiB (fits if 6 GiB leave)\n"
              "h2    refused      -  cpu_fit: needs 64 vCPUs\n");
    EXPECT_THAT(ran.err, HasSubstr("no host has room for it"));
}

TEST(Command, ExplainOfAVmThatExistsAsksWhereItCouldGo) {
    Script script;
    script.on(
        "GET /api/v1/vms/web1/placement?to=h2",
        R"({"chosen":"H2","policy":"spread","hosts":[{"host":"H2","name":"h2","accepted":true,"score":0.75,)"
        R"("terms":[{"name":"memory_left","value":0.8,"weight":1},{"name":"vcpus_left","value":0.7,"weight":1}]}]})");
    const Ran ran = ballast(script, {"vm", "explain", "web1", "--host", "h2"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("h2 is the best of 1 hosts that take it, of 1, by the policy spread.\n"));
    EXPECT_THAT(ran.out, HasSubstr("h2    chosen    0.75  memory_left 0.80, vcpus_left 0.70"));
}

TEST(Command, WishesAboutThePlaceGoOutAsTheSpecHasThem) {
    Script script;
    script.accepts("POST /api/v1/vms", "J1");
    const Ran ran = ballast(script, {"vm",           "create",
                                     "db1",          "--no-wait",
                                     "--affinity",   "apart=db,zone",
                                     "--affinity",   "limit=lic,2",
                                     "--affinity",   "together=web,should",
                                     "--tolerate",   "gpu=a100:no_place",
                                     "--device",     "gpu=2",
                                     "--hugepages",  "2M",
                                     "--numa-cells", "1",
                                     "--on-host",    "h1",
                                     "--policy",     "pack"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(script.requests.front().body,
                HasSubstr(R"("placement":{"affinity":[{"kind":"apart","group":"db","scope":"zone"},)"
                          R"({"kind":"limit","group":"lic","limit":2},)"
                          R"({"kind":"together","group":"web","strength":"should"}],"hosts":["h1"],)"
                          R"("tolerations":[{"effect":"no_place","key":"gpu","value":"a100"}],"devices":{"gpu":2},)"
                          R"("hugepage_size_bytes":2097152,"numa":{"cells":1,"pinned":false},"policy":"pack"})"));
}

TEST(Command, AWishThatMakesNoSenseIsRefusedBeforeItIsSent) {
    Script script;
    EXPECT_THAT(ballast(script, {"vm", "create", "a", "--affinity", "near=db"}).err, HasSubstr("kinds are together"));
    EXPECT_THAT(ballast(script, {"vm", "create", "a", "--affinity", "apart=db,often"}).err,
                HasSubstr("'often' is no count"));
    EXPECT_THAT(ballast(script, {"vm", "create", "a", "--tolerate", "gpu:later"}).err, HasSubstr("unknown effect"));
    EXPECT_THAT(ballast(script, {"host", "set", "h1", "--device", "gpu=some"}).err, HasSubstr("'some' is no count"));
    EXPECT_TRUE(script.requests.empty());
}

TEST(Command, TaintsDevicesAndPowerOfAHostGoOut) {
    Script script;
    script.on("PATCH /api/v1/hosts/h1", R"({"name":"h1"})");
    EXPECT_EQ(ballast(script, {"host", "set", "h1", "--taint", "gpu=a100:evacuate", "--device", "gpu=4", "--idle-power",
                               "80", "--max-power", "300"})
                  .exit,
              0);
    EXPECT_EQ(script.requests.back().body,
              R"({"settings":{"taints":[{"effect":"evacuate","key":"gpu","value":"a100"}],"devices":{"gpu":4},)"
              R"("idle_power_watts":80,"max_power_watts":300}})");
    EXPECT_EQ(ballast(script, {"host", "set", "h1", "--no-taints"}).exit, 0);
    EXPECT_EQ(script.requests.back().body, R"({"settings":{"taints":[]}})");
}

TEST(Command, ExplainOfSeveralAsksForAllOfThemAtOnce) {
    Script script;
    script.on("POST /api/v1/placements/batch",
              R"({"placed":true,"places":[{"name":"vm-1","host_name":"h1"},{"name":"vm-2","host_name":"h2"}]})");
    const Ran ran = ballast(script, {"vm", "explain", "--count", "2", "--memory", "1G", "--anti-affinity", "db"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(script.requests.front().body, HasSubstr(R"({"vms":[{"name":"vm-1","spec":{)"));
    EXPECT_EQ(ran.out, "All 2 VMs find a host.\nVM    HOST\nvm-1  h1\nvm-2  h2\n");
    EXPECT_EQ(ballast(script, {"vm", "explain", "--count", "0"}).exit, 2);
    EXPECT_EQ(ballast(script, {"vm", "explain", "--count", "2", "--file", "x.yaml"}).exit, 2);
}

TEST(Command, ExplainOfSeveralNamesTheOneThatFindsNoHost) {
    Script script;
    script.on(
        "POST /api/v1/placements/batch",
        R"({"placed":false,"places":[],"failed":"vm-2","why":{"chosen":null,"hosts":[{"host":"H1","name":"h1","accepted":false,"rules":[{"rule":"anti_affinity","accepted":false,"detail":"vm-1 is there"}]}],"conflict":{"text":"anti_affinity alone leaves no host"}}})");
    const Ran refused = ballast(script, {"vm", "explain", "--count", "2", "--anti-affinity", "db"});
    EXPECT_EQ(refused.exit, 4);
    EXPECT_THAT(refused.out, HasSubstr("vm-2 finds no host beside the others: none is placed.\n"
                                       "None of 1 hosts takes it: anti_affinity alone leaves no host.\n"));
}

TEST(Command, AReservationHoldsRoomForAsManyAsWereAskedFor) {
    Script script;
    script.on("POST /api/v1/reservations",
              R"({"name":"shop","expires":"2026-01-01T00:00:00.000Z","claims":[{"host":"H1"},{"host":"H2"}]})");
    const Ran ran = ballast(script, {"reservation", "create", "shop", "--count", "2", "--for", "2h", "--memory", "1G"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(script.requests.back().body, HasSubstr(R"("lasts_s":7200)"));
    EXPECT_THAT(script.requests.back().body, HasSubstr(R"({"name":"shop-2")"));
    EXPECT_THAT(ran.out, HasSubstr("room for 2 VMs is held as shop until 2026-01-01"));
    EXPECT_EQ(ballast(script, {"reservation", "create", "shop", "--until", "2026-01-01T00:00:00Z"}).exit, 0);
    EXPECT_THAT(script.requests.back().body, HasSubstr(R"("expires":"2026-01-01T00:00:00Z")"));
    EXPECT_THAT(ballast(script, {"reservation", "create", "shop", "--for", "soon"}).err, HasSubstr("--for soon"));
    EXPECT_THAT(ballast(script, {"reservation", "create", "shop", "--for", "5ms"}).err, HasSubstr("--for 5ms"));
    EXPECT_THAT(ballast(script, {"reservation", "create", "shop", "-f", "/nowhere.yaml"}).err,
                HasSubstr("'/nowhere.yaml' can't be read"));
}

TEST(Command, ReservationsAreListedAndLetGo) {
    Script script;
    script.on(host_list, hosts);
    script.on("GET /api/v1/reservations?limit=1000",
              R"({"items":[{"name":"shop","expires":"2026-01-01T00:00:00.000Z","note":"for Monday",)"
              R"("claims":[{"host":"H1"},{"host":"H1"}]}],"next":null})");
    EXPECT_EQ(ballast(script, {"reservation", "list"}).out,
              "NAME  PLACES  HOSTS  EXPIRES                   NOTE\n"
              "shop       2  h1     2026-01-01T00:00:00.000Z  for Monday\n");
    script.on("DELETE /api/v1/reservations/shop", R"({"name":"shop"})");
    EXPECT_THAT(ballast(script, {"reservation", "delete", "shop"}).out, HasSubstr("the room of shop is let go"));
}

TEST(Command, CreateNamesTheReservationWhoseRoomItTakes) {
    Script script;
    script.accepts("POST /api/v1/vms", "J1");
    EXPECT_EQ(ballast(script, {"vm", "create", "web1", "--reservation", "shop", "--no-wait"}).exit, 0);
    EXPECT_THAT(script.requests.front().body, HasSubstr(R"("reservation":"shop")"));
}

TEST(Command, CapacityIsATableOfHostsAndASentence) {
    Script script;
    script.on(
        "POST /api/v1/capacity",
        R"({"more":10,"summary":"10 more fit; memory_fit breaks","hosts":[{"name":"h1","more":3,"limited_by":"memory_fit","detail":"needs 1.1 GiB, has 600 MiB"},{"name":"h2","more":7,"limited_by":"memory_fit","detail":"needs 1.1 GiB, has 200 MiB"}]})");
    const Ran ran = ballast(script, {"capacity", "--memory", "1G", "--vcpus", "2", "--limit", "50"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(ran.out,
              "HOST  MORE  LIMITED BY  WHY\n"
              "h1       3  memory_fit  needs 1.1 GiB, has 600 MiB\n"
              "h2       7  memory_fit  needs 1.1 GiB, has 200 MiB\n"
              "10 more fit; memory_fit breaks\n");
    EXPECT_EQ(ballast(script, {"capacity", "--limit", "0"}).exit, 2);
    EXPECT_EQ(ballast(script, {"capacity", "--memory", "much"}).exit, 2);
}

TEST(Command, CreateSendsOnlyWhatWasSaid) {
    Script script;
    script.accepts("POST /api/v1/vms", "J1");
    const Ran ran = ballast(
        script, {"vm", "create", "--label", "tier=web", "web1", "--image", "tiny", "--memory", "256M", "--no-wait"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(script.requests.front().body,
              R"({"name":"web1","spec":{"vcpus":1,"memory_bytes":268435456,"disks":[{"image":"tiny"}],"nics":[],)"
              R"("labels":{"tier":"web"},"host_labels":{}},"start":true})");
    EXPECT_EQ(ran.out, "job J1 was accepted. next: `ballast job watch J1`\n");
}

TEST(Command, ARefusalPrintsTheSentenceItsCausesAndTheNextStep) {
    Script script;
    script.refuses("POST /api/v1/vms/web1/start", 404, "not_found", "no VM is named 'web1'");
    const Ran ran = ballast(script, {"vm", "start", "web1"});
    EXPECT_EQ(ran.exit, 3);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.err,
              "error: no VM is named 'web1'\n"
              "  because: the cause of it\n"
              "next: look for it with the `list` command\n");
}

struct CodeCase {
    int status;
    const char* code;
    int exit;
};
class ExitCode : public ::testing::TestWithParam<CodeCase> {};

TEST_P(ExitCode, FollowsFromTheProblemsCode) {
    Script script;
    script.refuses("GET /api/v1/vms/x", GetParam().status, GetParam().code, "no");
    EXPECT_EQ(ballast(script, {"vm", "show", "x"}).exit, GetParam().exit);
}

INSTANTIATE_TEST_SUITE_P(All, ExitCode,
                         ::testing::Values(CodeCase{400, "invalid_argument", 2}, CodeCase{401, "unauthenticated", 5},
                                           CodeCase{403, "permission_denied", 5}, CodeCase{404, "not_found", 3},
                                           CodeCase{409, "already_exists", 4}, CodeCase{409, "conflict", 4},
                                           CodeCase{412, "failed_precondition", 4},
                                           CodeCase{507, "resource_exhausted", 7}, CodeCase{499, "cancelled", 1},
                                           CodeCase{504, "deadline_exceeded", 6}, CodeCase{503, "unavailable", 6},
                                           CodeCase{501, "unimplemented", 1}, CodeCase{500, "internal", 1},
                                           CodeCase{429, "resource_exhausted", 6}, CodeCase{502, "", 6},
                                           CodeCase{404, "", 3}));

TEST(Command, WhatIsNoJsonIsNoBallastd) {
    Script script;
    script.on("GET /api/v1/vms/x", "<html>hello</html>");
    const Ran ran = ballast(script, {"vm", "show", "x"});
    EXPECT_EQ(ran.exit, 1);
    EXPECT_THAT(ran.err, HasSubstr("is not JSON"));
}

TEST(Command, AWrongWordNamesTheNearestCommand) {
    Script script;
    const Ran ran = ballast(script, {"--url", "https://a", "vm", "lsit"});
    EXPECT_EQ(ran.exit, 2);
    EXPECT_EQ(ran.err,
              "error: there is no command 'ballast vm lsit'; did you mean 'list'?\nnext: `ballast vm --help`\n");
}

TEST(Command, WrongValuesAreUsageErrorsBeforeAnythingIsSent) {
    Script script;
    for (const std::vector<std::string>& words : {std::vector<std::string>{"vm", "create", "a", "--memory", "much"},
                                                  {"vm", "create", "a", "--vcpus", "0"},
                                                  {"vm", "create", "a", "--label", "x"},
                                                  {"vm", "create", "a", "--disk", "size=1G,pol=x"},
                                                  {"vm", "create"},
                                                  {"vm", "migrate", "a", "--mode", "teleport"},
                                                  {"--url", "http://a", "vm", "list"},
                                                  {"-o", "xml", "vm", "list"},
                                                  {"token", "create", "a", "--right", "god"},
                                                  {"token", "create", "a", "--expires", "soon"},
                                                  {"image", "import", "a"},
                                                  {"help", "everything"},
                                                  {"completion", "tcsh"}}) {
        const Ran ran = ballast(script, words);
        EXPECT_EQ(ran.exit, 2) << ran.err;
        EXPECT_THAT(ran.err, ::testing::StartsWith("error: "));
    }
    EXPECT_TRUE(script.requests.empty());
}

TEST(Command, DeletingSaysWhatItRemovesAndAsks) {
    Script script;
    script.on(
        "GET /api/v1/vms/web1",
        R"({"name":"web1","created_by_ballast":true,"spec":{"disks":[{"target":"vda","path":"/p/web1.qcow2"},{"target":"sda","path":"/p/cd.iso","read_only":true}]}})");
    const Ran ran = ballast(script, {"vm", "delete", "web1"}, {.is_terminal = true, .width = 80, .typed = "n"});
    EXPECT_EQ(ran.exit, 1);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("for good its disks:\n  vda /p/web1.qcow2\nkept:\n  sda /p/cd.iso"),
                               HasSubstr("not confirmed: nothing was changed")));
    EXPECT_EQ(script.requests.size(), 1U);
}

TEST(Command, DisksOfAnAdoptedVmAreKeptUnlessNamed) {
    Script script;
    script.on(
        "GET /api/v1/vms/db",
        R"({"created_by_ballast":false,"spec":{"disks":[{"target":"vda","path":"/a"},{"target":"vdb","path":"/b"}]}})");
    const Ran ran =
        ballast(script, {"vm", "delete", "db", "--disk", "vdb"}, {.is_terminal = true, .width = 80, .typed = ""});
    EXPECT_THAT(ran.err, HasSubstr("for good its disks:\n  vdb /b\nkept:\n  vda /a"));
}

TEST(Command, WhereNobodyCanBeAskedYesIsNeeded) {
    Script script;
    const Ran ran = ballast(script, {"vm", "destroy", "web1"});
    EXPECT_EQ(ran.exit, 2);
    EXPECT_THAT(ran.err, HasSubstr("next: repeat it with --yes"));
    EXPECT_TRUE(script.requests.empty());
}

TEST(Command, ColoursAreForTerminalsAndNoColorIsKept) {
    Script script = with_vms();
    EXPECT_THAT(ballast(script, {"vm", "list"}, {.is_terminal = true, .width = 120, .typed = {}}).out,
                HasSubstr("\x1b[32mrunning"));
    Terminal plain{.is_terminal = true, .width = 120, .typed = {}};
    plain.environment["NO_COLOR"] = "1";
    EXPECT_THAT(ballast(script, {"vm", "list"}, plain).out, Not(HasSubstr("\x1b[")));
}

TEST(Command, InsecureIsLoud) {
    Script script = with_vms();
    const Ran ran = ballast(script, {"vm", "list", "--insecure"});
    EXPECT_THAT(ran.err, HasSubstr("warning: --insecure"));
    EXPECT_TRUE(script.trust.insecure);
}

TEST(Command, TextsOfOthersCanNotSteerTheTerminal) {
    Script script;
    script.on(vm_list, R"({"items":[{"name":"a\u001b[2Jb","spec":{}}],"next":null})").on(host_list, hosts);
    EXPECT_THAT(ballast(script, {"vm", "list"}).out, HasSubstr("a\\x1b[2Jb"));
}

TEST(Command, TheSecretOfANewTokenIsAloneOnStandardOutput) {
    Script script;
    script.on("POST /api/v1/tokens", R"({"token":{"id":"T"},"secret":"blt_new"})", 201);
    const Ran ran = ballast(script, {"token", "create", "portal", "--right", "operator", "--expires", "30d"});
    EXPECT_EQ(ran.out, "blt_new\n");
    EXPECT_THAT(script.requests.front().body, HasSubstr(R"("expires":"2026-12-22T12:00:00.000Z")"));
}

TEST(Command, AWatchedListIsPrintedAgainWhenAnEventOfItsKindComes) {
    Script script = with_vms();
    script.streams = {{{.id = "5", .kind = "", .data = R"({"seq":5,"subject_kind":"host"})"},
                       {.id = "6", .kind = "", .data = R"({"seq":6,"subject_kind":"vm"})"}}};
    const Ran ran = ballast(script, {"vm", "list", "-o", "name", "--watch"});
    EXPECT_EQ(ran.out, "web1\nold\nweb1\nold\n");
    ASSERT_EQ(script.followed.size(), 2U);
    EXPECT_EQ(script.followed[1].headers.at("last-event-id"), "6");
}

TEST(Command, ExitCodesAreDocumented) {
    Script script;
    const Ran ran = ballast(script, {"help", "exit-codes"});
    EXPECT_EQ(ran.exit, 0);
    for (int code = 0; code <= 7; ++code) EXPECT_THAT(ran.out, HasSubstr("\n  " + std::to_string(code) + "  "));
}

TEST(Command, HelpNamesTheFullCommand) {
    Script script;
    const Ran ran = ballast(script, {"vm", "create", "--help"});
    EXPECT_EQ(ran.exit, 0);
    EXPECT_THAT(ran.out, HasSubstr("ballast vm create [OPTIONS] name"));
}

TEST(Command, CompletionsAndManualNameEveryCommand) {
    Script script;
    for (const std::string shell : {"bash", "zsh", "fish"})
        EXPECT_THAT(ballast(script, {"completion", shell}).out, AllOf(HasSubstr("confirm-dead"), HasSubstr("ballast")));
    EXPECT_THAT(ballast(script, {"manual"}).out,
                AllOf(HasSubstr(".SS ballast vm migrate name"), HasSubstr(".SH EXIT STATUS")));
}

}  // namespace
}  // namespace ballast::cli::testing
