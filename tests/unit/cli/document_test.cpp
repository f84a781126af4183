#include "cli/document.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::string& yaml) {
    const auto documents = parse_documents(yaml, "vm.yaml");
    return documents ? "(no error)" : documents.error().message();
}

TEST(Document, SeveralDocumentsInOneFile) {
    const auto documents = parse_documents(
        "kind: vm\nname: a\n---\n---\nkind: vm\nname: b\nhost: h1\nstart: false\nspec:\n  vcpus: 2\n", "vm.yaml");
    ASSERT_TRUE(documents) << documents.error().message();
    ASSERT_EQ(documents->size(), 2U);
    EXPECT_EQ((*documents)[0].name, "a");
    EXPECT_TRUE((*documents)[0].start);
    EXPECT_EQ((*documents)[1].host, "h1");
    EXPECT_FALSE((*documents)[1].start);
    EXPECT_EQ((*documents)[1].spec["vcpus"], 2);
}

TEST(Document, SizesAndLabelsReadAsPeopleWriteThem) {
    const auto documents = parse_documents(
        "kind: vm\nname: a\nspec:\n  memory: 256M\n  labels: {tier: 1, prod: true}\n  disks:\n  - {image: tiny, size: "
        "1G}\n",
        "vm.yaml");
    ASSERT_TRUE(documents) << documents.error().message();
    EXPECT_EQ((*documents)[0].spec["labels"]["tier"], "1");
    EXPECT_EQ((*documents)[0].spec["labels"]["prod"], "true");
}

TEST(Document, ErrorsNameFileLineAndPath) {
    EXPECT_THAT(error_of("kind: vm\nname: a\nspec:\n  vcpsu: 2\n"), HasSubstr("vm.yaml:1: spec.vcpsu"));
    EXPECT_THAT(error_of("kind: vm\nname: a\n---\nkind: vm\nname: b\nspec:\n  disks:\n  - bus: scsy\n"),
                HasSubstr("vm.yaml:4: spec: disks[0].bus: unknown value 'scsy'"));
    EXPECT_THAT(error_of("kind: vm\nname: a\nspce: {}\n"), HasSubstr("unknown key 'spce'; did you mean 'spec'?"));
    EXPECT_THAT(error_of("kind: host\nname: a\n"), HasSubstr("kind: unknown value 'host'"));
    EXPECT_THAT(error_of("kind: vm\n"), HasSubstr("'name' is missing"));
    EXPECT_THAT(error_of("- a\n"), HasSubstr("a document is kind, name and spec"));
    EXPECT_THAT(error_of("kind: vm\nname: a\nname: b\n"), HasSubstr("vm.yaml:3: 'name' stands twice"));
    EXPECT_THAT(error_of("kind: vm\nname: [\n"), HasSubstr("this is not YAML"));
    EXPECT_THAT(error_of("kind: vm\nname: a\nstart: maybe\n"), HasSubstr("start: expected true or false"));
    EXPECT_THAT(error_of(""), HasSubstr("holds no document"));
}

TEST(Document, ALimitThatNoVmCanKeepIsFoundBeforeItIsSent) {
    EXPECT_THAT(error_of("kind: vm\nname: a\nspec:\n  memory: 1G\n  memory_minimum: 2G\n"), HasSubstr("vm.yaml:1: "));
}

TEST(Document, AliasesCanNotBlowUp) {
    std::string bomb = "kind: vm\nname: a\nspec: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 9; ++i) {
        bomb += fmt::format("k{}: &a{} [", i, i);
        for (int n = 0; n < 10; ++n) bomb += fmt::format("{}*a{}", n == 0 ? "" : ",", i - 1);
        bomb += "]\n";
    }
    EXPECT_THAT(error_of(bomb), HasSubstr("more than"));
    std::string deep(200, '[');
    EXPECT_NE(error_of("kind: vm\nname: a\nspec: " + deep + std::string(200, ']') + "\n"), "(no error)");
}

TEST(Apply, CreatesWhatIsMissing) {
    testing::Script script;
    script.refuses("GET /api/v1/vms/a", 404, "not_found", "no");
    script.accepts("POST /api/v1/vms", "J1");
    const std::string path = ::testing::TempDir() + "/cli-apply-creates.yaml";
    std::ofstream(path) << "kind: vm\nname: a\nspec: {vcpus: 2}\n";
    EXPECT_EQ(testing::ballast(script, {"vm", "apply", "-f", path, "--no-wait"}).exit, 0);
    EXPECT_EQ(script.requests.back().body, R"({"name":"a","spec":{"vcpus":2},"start":true})");
}

TEST(Apply, ChangesWhatMayChangeAndRefusesTheRest) {
    const std::string path = ::testing::TempDir() + "/cli-apply-changes.yaml";
    std::ofstream(path) << "kind: vm\nname: a\nspec: {memory: 256M, labels: {x: '1'}}\n";
    testing::Script script;
    script.on("GET /api/v1/vms/a", R"({"spec":{"memory_bytes":268435456,"labels":{}}})", 200, {{"etag", "\"3\""}});
    script.on("PATCH /api/v1/vms/a", "{}");
    const auto changed = testing::ballast(script, {"vm", "apply", "-f", path});
    EXPECT_EQ(changed.exit, 0) << changed.err;
    EXPECT_EQ(script.requests.back().body, R"({"spec":{"labels":{"x":"1"}}})");
    EXPECT_EQ(script.requests.back().headers.at("if-match"), "\"3\"");

    testing::Script other;
    other.on("GET /api/v1/vms/a", R"({"spec":{"memory_bytes":1,"labels":{"x":"1"}}})");
    const auto refused = testing::ballast(other, {"vm", "apply", "-f", path});
    EXPECT_EQ(refused.exit, 4);
    EXPECT_THAT(refused.err, HasSubstr("exists with another memory_bytes"));
}

}  // namespace
}  // namespace ballast::cli
