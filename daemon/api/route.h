#pragma once
// A route, declared once: path, verb, right, words, schemas and failures. From the tables come dispatch, the rights
// check and openapi.json. A route without a right does not compile: `Access` has no default.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/json.h"
#include "daemon/api/http.h"
#include "daemon/api/services.h"

namespace ballast::api {

/// The right that a route needs, or an explicit `open` for what anybody may ask (health).
class Access {
  public:
    // NOLINTNEXTLINE(google-explicit-constructor): `.right = Right::viewer` is how tables read
    constexpr Access(Right right) : right_(right) {}
    static constexpr Access open() { return Access(); }
    [[nodiscard]] constexpr bool is_open() const { return !right_; }
    [[nodiscard]] constexpr Right right() const { return *right_; }

  private:
    constexpr Access() = default;
    std::optional<Right> right_;
};
static_assert(!std::is_default_constructible_v<Access>);

/// Adds a type's schema to the components and gives the reference to it.
using SchemaMaker = Json (*)(Json& definitions);

/// Whatever a query parameter is for: `limit`, `dry_run`, a filter.
struct QueryParameter {
    std::string name;
    std::string type;  ///< string | integer | boolean
    std::string words;
};

enum class Takes : std::uint8_t { nothing, json, file };

struct Answer {
    int status = 200;
    SchemaMaker schema = nullptr;  ///< nullptr: no JSON body
    std::string media = "application/json";
};

using Handler = std::function<Task<Response>(Request, ContextPtr)>;

struct Route {
    Verb verb = Verb::get;
    std::string path;  ///< "/api/v1/vms/{id}"
    Access right;
    std::string id;  ///< operationId: "vm_list"
    std::string tag;
    std::string summary;
    std::vector<QueryParameter> query = {};
    SchemaMaker body = nullptr;
    Takes takes = Takes::nothing;
    bool body_optional = false;  ///< an empty body is `{}`
    std::vector<Answer> answers = {};
    std::vector<Code> failures = {};  ///< beside those that every route has
    bool tagged = false;              ///< answers carry an ETag; writes take If-Match
    bool websocket = false;
    std::function<Result<void>(const Request&, const Context&)> before_body = {};  ///< refuses before the body is read
    bool durable = true;  ///< of a write: takes Idempotency-Key and is in the audit log
    Handler handler;
};

[[nodiscard]] inline bool is_write(const Route& route) {
    return route.verb != Verb::get && route.verb != Verb::head;
}

}  // namespace ballast::api
