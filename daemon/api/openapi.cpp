#include "daemon/api/openapi.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/json_impl.h"
#include "daemon/api/auth.h"
#include "daemon/api/routes/types.h"

namespace ballast::api {
namespace {

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

Json parameter(std::string_view where, std::string_view name, std::string_view type, std::string_view words,
               bool required) {
    return Json{{"name", std::string(name)},
                {"in", std::string(where)},
                {"required", required},
                {"description", std::string(words)},
                {"schema", {{"type", std::string(type)}}}};
}

std::vector<std::string> path_parameters(std::string_view path) {
    std::vector<std::string> names;
    for (auto open = path.find('{'); open != std::string_view::npos; open = path.find('{', open + 1))
        names.emplace_back(path.substr(open + 1, path.find('}', open) - open - 1));
    return names;
}

Json parameters_of(const Route& route) {
    Json list = Json::array();
    for (const auto& name : path_parameters(route.path))
        list.push_back(parameter("path", name, "string",
                                 name == "id" ? "Id or name; a VM's name may be `name@host`." : "Name.", true));
    for (const auto& query : route.query)
        list.push_back(parameter("query", query.name, query.type, query.words, false));
    if (is_write(route) && route.durable)
        list.push_back(parameter("header", "Idempotency-Key", "string",
                                 "The same key and request get the first answer again for 24 hours.", false));
    if (is_write(route) && route.tagged)
        list.push_back(parameter("header", "If-Match", "string",
                                 "The ETag that the change is based on; 412 when it is stale.", false));
    if (!is_write(route) && route.tagged)
        list.push_back(
            parameter("header", "If-None-Match", "string", "304 when the resource still has this ETag.", false));
    return list;
}

std::string words_of(int status) {
    return std::string(reason_phrase(status));
}

Json answer_of(const Route& route, const Answer& answer, Json& schemas) {
    Json result{{"description", words_of(answer.status)}};
    if (answer.schema != nullptr)
        result["content"][answer.media]["schema"] = answer.schema(schemas);
    else if (answer.status != 204 && answer.status != 101)
        result["content"][answer.media] = Json::object();
    if (answer.status == 202)
        result["headers"]["Location"] = {{"description", "The job to follow."}, {"schema", {{"type", "string"}}}};
    if (route.tagged && answer.status < 300 && answer.status != 202)
        result["headers"]["ETag"] = {{"description", "Revision of the resource."}, {"schema", {{"type", "string"}}}};
    return result;
}

/// Failures by status, each with the codes that it may carry.
std::map<int, std::set<std::string>> failures_of(const Route& route) {
    std::vector<Code> codes = route.failures;
    codes.insert(codes.end(), {Code::invalid_argument, Code::internal});
    if (!route.right.is_open()) codes.insert(codes.end(), {Code::unauthenticated, Code::permission_denied});
    if (!path_parameters(route.path).empty()) codes.push_back(Code::not_found);
    if (is_write(route)) codes.insert(codes.end(), {Code::conflict, Code::unavailable});
    if (is_write(route) && route.tagged) codes.push_back(Code::failed_precondition);
    std::map<int, std::set<std::string>> by_status;
    for (const Code code : codes) by_status[http_status(code)].emplace(ballast::name_of(code));
    if (!route.right.is_open()) by_status[429].emplace("resource_exhausted");
    if (route.takes != Takes::nothing) by_status[413].emplace("invalid_argument");
    if (route.takes == Takes::json) by_status[415].emplace("invalid_argument");
    return by_status;
}

Json responses_of(const Route& route, Json& schemas) {
    Json responses = Json::object();
    for (const auto& answer : route.answers) {
        const std::string status = std::to_string(answer.status);
        Json made = answer_of(route, answer, schemas);
        if (responses.contains(status))
            responses[status]["content"].update(made["content"]);
        else
            responses[status] = std::move(made);
    }
    for (const auto& [status, codes] : failures_of(route)) {
        if (responses.contains(std::to_string(status))) continue;
        responses[std::to_string(status)] = {
            {"description", fmt::format("{}: {}", words_of(status), fmt::join(codes, ", "))},
            {"content", {{"application/problem+json", {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}}}};
    }
    return responses;
}

Json operation_of(const Route& route, Json& schemas) {
    Json operation{{"operationId", route.id}, {"summary", route.summary}, {"tags", Json::array({route.tag})}};
    operation["x-right"] = route.right.is_open() ? "open" : std::string(name_of(route.right.right()));
    operation["security"] = route.right.is_open() ? Json::array() : Json::array({Json{{"token", Json::array()}}});
    if (const Json parameters = parameters_of(route); !parameters.empty()) operation["parameters"] = parameters;
    if (route.takes == Takes::json && route.body != nullptr)
        operation["requestBody"] = {{"required", !route.body_optional},
                                    {"content", {{"application/json", {{"schema", route.body(schemas)}}}}}};
    if (route.takes == Takes::file)
        operation["requestBody"] = {{"required", true}, {"content", {{"application/octet-stream", Json::object()}}}};
    operation["responses"] = responses_of(route, schemas);
    return operation;
}

}  // namespace

std::string openapi_text(const std::vector<Route>& routes, std::string_view version) {
    std::map<std::string, std::map<std::string, Json>> paths;
    Json schemas = Json::object();
    static_cast<void>(json_schema_into<Problem>(schemas));
    for (const Route& route : routes) paths[route.path][lower(name_of(route.verb))] = operation_of(route, schemas);
    std::map<std::string, Json> sorted;
    for (const auto& [name, schema] : schemas.items()) sorted[name] = schema;
    Json document{
        {"openapi", "3.1.0"},
        {"info",
         {{"title", "Ballast"},
          {"version", std::string(version)},
          {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}},
          {"description",
           "A cluster of libvirt/QEMU hosts. Long work answers 202 with a job; errors are RFC 9457 problem details."}}},
        {"servers", Json::array({Json{{"url", "/"}}})}};
    for (const auto& [path, verbs] : paths)
        for (const auto& [verb, operation] : verbs) document["paths"][path][verb] = operation;
    document["components"]["securitySchemes"]["token"] = {{"type", "http"}, {"scheme", "bearer"}};
    for (const auto& [name, schema] : sorted) document["components"]["schemas"][name] = schema;
    return document.dump(2) + "\n";
}

}  // namespace ballast::api
