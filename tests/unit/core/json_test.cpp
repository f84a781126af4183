// The JSON adapter: strict reading with paths, units in names, bounds for text from outside.
#include "core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/host.h"
#include "core/job.h"
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

TEST(Json, EmbedsAJsonTextUnquoted) {
    Job job;
    job.params = JsonText{R"({"to":"h2"})"};
    EXPECT_THAT(to_json_text(job), HasSubstr(R"("params":{"to":"h2"})"));
    EXPECT_EQ(parse_as<Job>(to_json_text(job), "job")->params.text, R"({"to":"h2"})");
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
