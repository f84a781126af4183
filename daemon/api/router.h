#pragma once
// Finds the route of a request and decides, before a byte of the body is read, whether it may come in: path, verb,
// media type, token, right. Then runs the handler; whatever happens there ends as an answer. Loop thread only.

#include <memory>
#include <variant>
#include <vector>

#include "daemon/api/auth.h"
#include "daemon/api/route.h"

namespace ballast::api {

class Router {
  public:
    Router(std::vector<Route> routes, ContextPtr context);

    /// The route, with `request.params`, `identity` and `operation` set; or the answer that refuses it.
    [[nodiscard]] std::variant<const Route*, Response> admit(Request& request);

    /// Never fails: errors and exceptions become problem details.
    boost::asio::awaitable<Response> handle(const Route* route, Request request);

    [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

  private:
    struct Pattern {
        std::vector<std::string> segments;  ///< "{id}" or literal
        std::size_t route = 0;
    };
    struct Match {
        const Route* route = nullptr;
        std::vector<Verb> allowed;  ///< verbs of the path, where the asked one has no route
    };

    [[nodiscard]] Match find(Verb verb, const std::vector<std::string>& segments, Fields& params) const;
    [[nodiscard]] std::optional<Response> refuse_media(const Route& route, const Request& request) const;
    [[nodiscard]] std::optional<Response> refuse_identity(const Route& route, Request& request);

    std::vector<Route> routes_;
    std::vector<Pattern> patterns_;
    ContextPtr context_;
    FailureThrottle throttle_;
};

}  // namespace ballast::api
