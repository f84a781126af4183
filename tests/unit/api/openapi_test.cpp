// The generated document: complete, consistent, the same every time.
#include "daemon/api/openapi.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/api/routes/catalog.h"

namespace ballast::api {
namespace {

Json document() {
    return Json::parse(openapi_text(all_routes(), "0.1.0"));
}

template <class Visit>
void for_each_operation(const Json& document, Visit visit) {
    for (const auto& [path, verbs] : document["paths"].items())
        for (const auto& [verb, operation] : verbs.items()) visit(path + " " + verb, operation);
}

void collect_refs(const Json& json, std::set<std::string>& refs) {
    if (json.is_object() && json.contains("$ref")) refs.insert(json["$ref"].get<std::string>());
    if (json.is_structured())
        for (const auto& item : json) collect_refs(item, refs);
}

template <class R>
concept CompilesWithoutARight = requires { R{.verb = Verb::get, .path = "/x"}; };
static_assert(!CompilesWithoutARight<Route>, "a route without a right must not compile");

TEST(OpenApi, ResolvesEveryReference) {
    const Json whole = document();
    std::set<std::string> refs;
    collect_refs(whole, refs);
    EXPECT_GT(refs.size(), 20U);
    for (const auto& ref : refs) {
        ASSERT_TRUE(ref.starts_with("#/")) << ref;
        EXPECT_TRUE(whole.contains(Json::json_pointer(ref.substr(1)))) << ref;
    }
}

TEST(OpenApi, GivesEveryOperationAnIdASummaryARightAndItsProblems) {
    std::set<std::string> ids;
    for_each_operation(document(), [&](const std::string& where, const Json& operation) {
        EXPECT_TRUE(ids.insert(operation.value("operationId", "")).second) << where << ": the id is used twice";
        EXPECT_FALSE(operation.value("operationId", "").empty()) << where;
        EXPECT_TRUE(operation.value("summary", "").ends_with(".")) << where;
        EXPECT_FALSE(operation.value("x-right", "").empty()) << where;
        EXPECT_EQ(operation["tags"].size(), 1U) << where;
        bool problems = false;
        for (const auto& [status, response] : operation["responses"].items()) {
            EXPECT_FALSE(response.value("description", "").empty()) << where << " " << status;
            problems =
                problems || (response.contains("content") && response["content"].contains("application/problem+json"));
        }
        EXPECT_TRUE(problems) << where;
    });
}

TEST(OpenApi, DeclaresEveryPathParameter) {
    for_each_operation(document(), [&](const std::string& where, const Json& operation) {
        std::set<std::string> declared;
        if (operation.contains("parameters"))
            for (const auto& parameter : operation["parameters"])
                if (parameter["in"] == "path") declared.insert(parameter["name"].get<std::string>());
        for (auto open = where.find('{'); open != std::string::npos; open = where.find('{', open + 1))
            EXPECT_TRUE(declared.contains(where.substr(open + 1, where.find('}', open) - open - 1))) << where;
    });
}

TEST(OpenApi, LetsAnybodyAskOnlyForHealthAndThisDocument) {
    std::set<std::string> open;
    for_each_operation(document(), [&](const std::string& where, const Json& operation) {
        if (operation["x-right"] == "open") open.insert(where);
    });
    EXPECT_THAT(open, testing::ElementsAre("/api/v1/openapi.json get", "/healthz get", "/readyz get"));
}

TEST(OpenApi, NeedsMoreThanAViewerForEveryWriteThatChangesSomething) {
    for (const Route& route : all_routes())
        if (is_write(route) && route.durable) EXPECT_GE(route.right.right(), Right::operator_) << route.id;
}

TEST(OpenApi, IsTheSameEveryTime) {
    EXPECT_EQ(openapi_text(all_routes(), "0.1.0"), openapi_text(all_routes(), "0.1.0"));
}

}  // namespace
}  // namespace ballast::api
