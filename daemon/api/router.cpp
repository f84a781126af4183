#include "daemon/api/router.h"

#include <algorithm>
#include <tuple>

#include <spdlog/spdlog.h>

#include "daemon/api/audit.h"
#include "daemon/api/metrics.h"
#include "daemon/api/problem.h"

namespace ballast::api {
namespace {

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> segments;
    while (!path.empty()) {
        path.remove_prefix(1);  // the slash
        const std::string_view segment = path.substr(0, path.find('/'));
        segments.emplace_back(segment);
        path.remove_prefix(segment.size());
    }
    return segments;
}

bool is_parameter(const std::string& segment) {
    return segment.starts_with('{');
}

/// A '1' for each parameter: sorts literal segments first.
std::string shape_of(const std::vector<std::string>& segments) {
    std::string shape;
    for (const auto& segment : segments) shape += is_parameter(segment) ? '1' : '0';
    return shape;
}

/// Whether an Accept header takes any of the media types.
bool accepts(std::string_view header, const std::vector<Answer>& answers) {
    if (header.empty() || header.find("*/*") != std::string_view::npos) return true;
    return std::ranges::any_of(answers, [&](const Answer& answer) {
        const std::string family = answer.media.substr(0, answer.media.find('/')) + "/*";
        return answer.media.empty() || answer.schema == nullptr ||
               header.find(answer.media) != std::string_view::npos || header.find(family) != std::string_view::npos;
    });
}

Response refuse(const Request& request, int status, Error error) {
    return problem(error, {.status = status, .instance = request.id});
}

/// A mistyped parameter must not be ignored: `?dryrun=true` would do the real thing.
std::optional<Response> refuse_query(const Route& route, const Request& request) {
    std::vector<std::string> known;
    for (const auto& parameter : route.query) known.push_back(parameter.name);
    for (const auto& [name, value] : request.query) {
        if (std::ranges::find(known, name) != known.end()) continue;
        const std::string near = nearest(name, known);
        const std::string hint = !near.empty()   ? fmt::format("did you mean '{}'?", near)
                                 : known.empty() ? "this route takes none"
                                                 : fmt::format("known are {}", fmt::join(known, ", "));
        return refuse(request, 0,
                      Error(Code::invalid_argument, fmt::format("unknown query parameter '{}'; {}", name, hint)));
    }
    return std::nullopt;
}

}  // namespace

Router::Router(std::vector<Route> routes, ContextPtr context)
    : routes_(std::move(routes)), context_(std::move(context)), throttle_(context_->limits.auth_failures_per_minute) {
    for (std::size_t i = 0; i < routes_.size(); ++i) patterns_.push_back({split(routes_[i].path), i});
    // Literal segments before parameters: /hosts/pairs is not the host named "pairs".
    std::ranges::sort(patterns_, [](const Pattern& a, const Pattern& b) {
        return std::tuple(shape_of(a.segments), a.route) < std::tuple(shape_of(b.segments), b.route);
    });
}

Router::Match Router::find(Verb verb, const std::vector<std::string>& segments, Fields& params) const {
    Match match;
    for (const auto& pattern : patterns_) {
        const bool fits = std::ranges::equal(pattern.segments, segments, [](const auto& wanted, const auto& given) {
            return is_parameter(wanted) ? !given.empty() : wanted == given;
        });
        if (!fits) continue;
        const Route& route = routes_[pattern.route];
        match.allowed.push_back(route.verb);
        if (route.verb != verb && !(verb == Verb::head && route.verb == Verb::get)) continue;
        for (std::size_t i = 0; i < segments.size(); ++i)
            if (is_parameter(pattern.segments[i]))
                params[pattern.segments[i].substr(1, pattern.segments[i].size() - 2)] = segments[i];
        match.route = &route;
        return match;
    }
    return match;
}

std::variant<const Route*, Response> Router::admit(Request& request) {
    std::vector<std::string> segments;
    for (const auto& raw : split(request.path)) {
        auto decoded = percent_decode(raw, false);
        if (!decoded) return refuse(request, 0, decoded.error());
        segments.push_back(*std::move(decoded));
    }
    const Match match = find(request.verb, segments, request.params);
    if (match.route == nullptr && match.allowed.empty())
        return refuse(
            request, 0,
            Error(Code::not_found, fmt::format("there is nothing at {}; see /api/v1/openapi.json", request.path)));
    if (match.route == nullptr) {
        std::vector<std::string_view> verbs;
        for (const Verb verb : match.allowed) verbs.push_back(name_of(verb));
        Response response = refuse(
            request, 405,
            Error(Code::invalid_argument, fmt::format("{} can't be used on {}; allowed: {}", name_of(request.verb),
                                                      request.path, fmt::join(verbs, ", "))));
        response.headers["allow"] = fmt::format("{}", fmt::join(verbs, ", "));
        return response;
    }
    request.operation = match.route->id;
    if (auto refused = refuse_identity(*match.route, request)) return *std::move(refused);
    if (auto refused = refuse_media(*match.route, request)) return *std::move(refused);
    if (auto refused = refuse_query(*match.route, request)) return *std::move(refused);
    return match.route;
}

std::optional<Response> Router::refuse_identity(const Route& route, Request& request) {
    if (route.right.is_open()) return std::nullopt;
    const auto now = context_->clock->now();
    auto identity = authenticate(*context_->store->snapshot(), request, now);
    if (!identity) {
        const bool throttled = throttle_.note(request.peer, now);
        if (is_write(route)) audit_refusal(context_, request, 401, "unauthenticated");
        spdlog::warn("{} from {} is refused: {}", request.operation, request.peer, identity.error().message());
        if (!throttled) return refuse(request, 0, identity.error());
        Response response = refuse(
            request, 429,
            Error(Code::resource_exhausted,
                  fmt::format("too many wrong tokens from {}; wait a minute, and check the token", request.peer)));
        response.headers["retry-after"] = "60";
        return response;
    }
    request.identity = *std::move(identity);
    if (auto allowed = check_right(request.identity, route.right.right()); !allowed) {
        if (is_write(route)) audit_refusal(context_, request, 403, "permission_denied");
        return refuse(request, 0, allowed.error());
    }
    return std::nullopt;
}

std::optional<Response> Router::refuse_media(const Route& route, const Request& request) const {
    const std::string_view type = request.header("content-type");
    const std::string_view media = type.substr(0, type.find(';'));
    const bool json = media == "application/json" || media == "application/merge-patch+json" || media.empty();
    if (route.takes == Takes::json && !json)
        return refuse(request, 415,
                      Error(Code::invalid_argument, fmt::format("the body is '{}'; send application/json", media)));
    if (!accepts(request.header("accept"), route.answers) && !route.answers.empty())
        return refuse(
            request, 406,
            Error(Code::invalid_argument, fmt::format("{} answers {}; Accept is '{}'", request.path,
                                                      route.answers.front().media, request.header("accept"))));
    return std::nullopt;
}

namespace {

/// The details stay in the log; the client gets the reference.
Error hidden(const Request& request, std::string_view detail) {
    spdlog::error("request {}: {} {}: {}", request.id, name_of(request.verb), request.path, detail);
    return Error(Code::internal,
                 fmt::format("something went wrong inside Ballast; its log has the details under {}", request.id));
}

boost::asio::awaitable<Result<Response>> guarded(const Route* route, Request request, ContextPtr context) {
    try {
        auto outcome = co_await route->handler(request, std::move(context));
        if (!outcome && outcome.error().code() == Code::internal)
            co_return std::unexpected(hidden(request, outcome.error().chain()));
        co_return outcome;
    } catch (const std::exception& error) {
        co_return std::unexpected(hidden(request, error.what()));
    }
}

std::string_view code_of(int status) {
    for (const Code code : all_codes)
        if (http_status(code) == status) return ballast::name_of(code);
    return "";
}

}  // namespace

boost::asio::awaitable<Response> Router::handle(const Route* route, Request request) {
    const auto context = context_;
    auto outcome = co_await guarded(route, request, context);
    Response response = outcome ? *std::move(outcome) : problem(outcome.error(), {.instance = request.id});
    if (is_write(*route) && route->durable && response.status >= 400)
        audit_refusal(context, request, response.status,
                      outcome ? code_of(response.status) : ballast::name_of(outcome.error().code()));
    co_return response;
}

}  // namespace ballast::api
