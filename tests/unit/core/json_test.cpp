// The JSON adapter: strict reading with paths, units in names, bounds for text from outside.
#include "core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/host.h"
#include "core/job.h"
#include "core/migration.h"
#include "core/vm.h"

namespace ballast {
namespace {

using testing::HasSubstr;

std::string error_of(auto result) {
    return result ? "no error" : result.error().message();
}

TEST(Json, NamesQuantitiesWithTheirUnit) {
    VmSpec spec;
    spec.memory = mebibytes(256);
    const Json json = to_json(spec);
    EXPECT_EQ(json["memory_bytes"], 256 * 1024 * 1024);
    EXPECT_FALSE(json.contains("memory"));
    Migration migration;
    migration.downtime = Milliseconds(88);
    EXPECT_EQ(to_json(migration)["downtime_ms"], 88);
}

TEST(Json, ReadsSizesAsPeopleWriteThem) {
    EXPECT_EQ(parse_as<VmSpec>(R"({"memory": "256M"})", "vm")->memory, mebibytes(256));
    EXPECT_EQ(parse_as<VmSpec>(R"({"memory_bytes": 1048576})", "vm")->memory, mebibytes(1));
}

TEST(Json, KeepsTheDefaultOfAMissingKey) {
    EXPECT_EQ(parse_as<VmSpec>("{}", "vm").value(), VmSpec{});
}

TEST(Json, NamesThePathOfWhatIsWrong) {
    EXPECT_EQ(error_of(parse_as<VmSpec>(R"({"disks": [{"size": "1G"}, {"read_only": "yes"}]})", "vm")),
              "vm.disks[1].read_only: expected true or false, got string");
    EXPECT_THAT(error_of(parse_as<VmSpec>(R"({"memroy": "1G"})", "vm")),
                HasSubstr("vm.memroy: unknown key; did you mean 'memory"));
    EXPECT_THAT(error_of(parse_as<VmSpec>(R"({"moves": "fre"})", "vm")), HasSubstr("did you mean 'free'"));
    EXPECT_THAT(error_of(parse_as<VmSpec>(R"({"vcpus": 1.5})", "vm")), HasSubstr("vm.vcpus: expected a whole number"));
    EXPECT_THAT(error_of(parse_as<VmSpec>(R"({"vcpus": 99999999999})", "vm")), HasSubstr("out of range"));
    EXPECT_THAT(error_of(parse_as<VmSpec>(R"({"memory": "lots"})", "vm")),
                HasSubstr("vm.memory: 'lots' is not a size"));
}

TEST(Json, RefusesAValueThatIsGivenWithAndWithoutItsUnit) {
    EXPECT_FALSE(parse_as<VmSpec>(R"({"memory": "1G", "memory_bytes": 5})", "vm"));
}

TEST(Json, RoundTripsARowWithOptionalsMapsAndLists) {
    Host host;
    host.id = HostId("h1");
    host.name = "h1";
    host.settings.labels = {{"disk", "ssd"}};
    host.settings.memory_capacity = gibibytes(2);
    host.settings.accelerator = Accelerator::auto_;
    host.facts.numa = {{0, gibibytes(1), 2}};
    host.state = HostState::slow;
    const std::string text = to_json_text(host);
    EXPECT_THAT(text, HasSubstr(R"("accelerator":"auto")"));
    EXPECT_EQ(parse_as<Host>(text, "host").value(), host);
}

TEST(Json, TheTextIsWhatTheTreeDumps) {
    const auto expect_alike = [](const auto& row) { EXPECT_EQ(to_json_text(row), dump(to_json(row))); };
    expect_alike(Vm{});
    expect_alike(Host{});
    expect_alike(Job{});
    expect_alike(Claim{});
    expect_alike(Migration{});
    expect_alike(Event{});
    Host host;
    host.settings.labels = {{"disk", "ssd"}, {"quoted \"key\"", "back\\slash"}};
    host.settings.cpu_overcommit = 1.0 / 3;
    host.settings.memory_capacity = gibibytes(2);
    host.facts.numa = {{0, gibibytes(1), 2}, {1, Bytes(-1), 0}};
    expect_alike(host);
    Vm vm;
    vm.name = "umlaut \u00e4, line\nbreak, tab\t, del\x7f, nul" + std::string(1, '\0') + " and broken \xff\xc3";
    vm.state_reason = "emoji \U0001F600";
    vm.host = HostId("h1");
    vm.spec.disks.resize(2);
    vm.spec.nics.resize(1);
    vm.definitions.resize(1);
    vm.state_since = Timestamp(Milliseconds(1'700'000'000'123));
    expect_alike(vm);
    Job job;
    job.params = JsonText{R"({ "to" : "h2", "n": [1, 2.50] })"};
    job.memo = JsonText{""};
    job.steps = {
        {.name = "place", .state = StepState::done, .intended_at = {}, .ended_at = Timestamp{}, .detail = "on h1"}};
    job.error = JobError{.code = "internal", .message = "no", .causes = {"a", "b"}};
    expect_alike(job);
}

TEST(Json, EmbedsAJsonTextUnquoted) {
    Job job;
    job.params = JsonText{R"({"to":"h2"})"};
    EXPECT_THAT(to_json_text(job), HasSubstr(R"("params":{"to":"h2"})"));
    EXPECT_EQ(parse_as<Job>(to_json_text(job), "job")->params.text, R"({"to":"h2"})");
}

TEST(Json, OnlyACompactTextIsEmbeddedAsItIs) {
    EXPECT_TRUE(is_compact_json(R"({"a":[1,"two words","\"quoted\" \\"],"b":null})"));
    for (const char* text : {"", "{\"a\": 1}", "{\"a\":\n1}", "{\"a\":1", R"({"a":"\"})", "1,2", "{\"a\":\"\xff\"}"})
        EXPECT_FALSE(is_compact_json(text)) << text;
    Job job;
    job.memo = JsonText{"{\n\"a\":\t1}"};
    EXPECT_THAT(to_json_text(job), HasSubstr(R"("memo":{"a":1})"));
}

TEST(ParseJson, BoundsSizeAndDepthBeforeItParses) {
    EXPECT_THAT(error_of(parse_json(std::string(100, ' '), {.bytes = 99})), HasSubstr("the limit is 99"));
    const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
    EXPECT_THAT(error_of(parse_json(deep)), HasSubstr("64 levels"));
    EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')));
    EXPECT_TRUE(parse_json(R"(["[[[[", "\"[["])", {.depth = 1}));
}

TEST(ParseJson, RefusesMalformedTextAndMalformedUtf8) {
    EXPECT_FALSE(parse_json("{"));
    EXPECT_FALSE(parse_json(""));
    EXPECT_FALSE(parse_json("\"\xC3\x28\""));
    EXPECT_FALSE(parse_json("{} x"));
}

TEST(Dump, NeverFailsOnInvalidUtf8) {
    EXPECT_FALSE(dump(Json("\xFF")).empty());
}

TEST(JsonSchema, RefusesUnknownKeysToo) {
    EXPECT_EQ(json_schema<VmSpec>()["$ref"], "#/components/schemas/VmSpec");
}

TEST(Nearest, FindsATypoAndNothingFarFetched) {
    const std::vector<std::string> words{"memory", "vcpus"};
    EXPECT_EQ(nearest("memroy", words), "memory");
    EXPECT_EQ(nearest("xyzxyzxyz", words), "");
}

}  // namespace
}  // namespace ballast
