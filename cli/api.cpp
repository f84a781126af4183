#include "cli/api.h"

#include <thread>

#include "core/try.h"

namespace ballast::cli {
namespace {

constexpr std::string_view jobs_path = "/api/v1/jobs/";

std::string header_of(const HttpResponse& answer, std::string_view name) {
    const auto at = answer.headers.find(name);
    return at == answer.headers.end() ? "" : at->second;
}

std::string text_in(const Json& body, const char* key) {
    if (!body.is_object() || !body.contains(key) || !body[key].is_string()) return {};
    return body[key].get<std::string>();
}

/// What to do about a refusal that the server did not explain itself.
std::string next_step(Code code) {
    switch (code) {
        case Code::unauthenticated:
            return "give a token by --token, BALLAST_TOKEN or `ballast login`; `ballastd token recover` makes one on "
                   "the "
                   "server";
        case Code::permission_denied:
            return "ask for a token with the right: `ballast token create NAME --right operator`";
        case Code::not_found:
            return "look for it with the `list` command";
        case Code::failed_precondition:
        case Code::conflict:
            return "look at its state with the `show` command";
        case Code::resource_exhausted:
            return "`ballast host list` shows the room on every host";
        case Code::deadline_exceeded:
        case Code::unavailable:
            return "try again; `ballast host list` shows which hosts can be reached";
        case Code::internal:
            return "look into the log of ballastd";
        case Code::invalid_argument:
        case Code::already_exists:
        case Code::cancelled:
        case Code::unimplemented:
            return {};
    }
    std::unreachable();
}

/// ballastd's sentences end with the way out, behind a semicolon: then nothing is added to them.
bool names_way_out(std::string_view detail) {
    return detail.find("; ") != std::string_view::npos;
}

Exit exit_of_status(int status) {
    if (status == 401 || status == 403) return Exit::denied;
    if (status == 404) return Exit::not_found;
    if (status == 409 || status == 412 || status == 428) return Exit::conflict;
    if (status == 429 || status == 502 || status == 503 || status == 504) return Exit::unavailable;
    if (status == 507) return Exit::no_capacity;
    return status >= 400 && status < 500 ? Exit::usage : Exit::failed;
}

}  // namespace

std::string encoded(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~' || c == '@';
        if (plain)
            out += c;
        else
            out += fmt::format("%{:02X}", byte);
    }
    return out;
}

Headers Api::headers(bool with_key) {
    Headers all{{"accept", "application/json"}, {"user-agent", "ballast-cli/0.1"}};
    if (!access_.token.empty()) all["authorization"] = "Bearer " + access_.token;
    if (with_key) all["idempotency-key"] = world_.random_key();
    return all;
}

Failure Api::explain(const Error& error) const {
    Failure failure(error);
    if (!failure.next.empty()) return failure;
    const auto key = error.message().rfind("sha256:");
    if (error.code() == Code::unauthenticated && key != std::string::npos)
        failure.next = fmt::format("if ballastd logged this key at its start: `ballast login {} --fingerprint {}`",
                                   access_.endpoint.url, error.message().substr(key));
    else if (error.code() == Code::unauthenticated)
        failure.next = fmt::format(
            "compare the key with the one that ballastd logs at its start, then `ballast login {} --fingerprint "
            "sha256:…`",
            access_.endpoint.url);
    if (error.code() == Code::unavailable)
        failure.next = "check that ballastd runs (`systemctl status ballastd`) and that --url or BALLAST_URL names it";
    if (error.code() == Code::deadline_exceeded) failure.next = "try again, or look into the log of ballastd";
    return failure;
}

Failure Api::explain(const HttpResponse& answer) const {
    const Json body = Json::parse(answer.body, nullptr, false);
    const auto code = code_named(text_in(body, "code"));
    const std::string detail = text_in(body, "detail");
    Failure failure(code ? exit_of(*code) : exit_of_status(answer.status),
                    detail.empty()
                        ? fmt::format("ballastd at {} answered {} to this", access_.endpoint.url, answer.status)
                        : detail,
                    code && !names_way_out(detail) ? next_step(*code) : "");
    if (answer.status == 429) failure.exit = Exit::unavailable;
    if (body.is_object() && body.contains("causes") && body["causes"].is_array())
        for (const auto& cause : body["causes"])
            if (cause.is_string()) failure.causes.push_back(cause.get<std::string>());
    return failure;
}

Outcome<Answer> Api::exchange(HttpRequest request) {
    auto sent = transport_->send(request);
    if (!sent) return std::unexpected(explain(sent.error()));
    if (sent->status >= 400) return std::unexpected(explain(*sent));
    Answer answer{.status = sent->status, .body = {}, .etag = header_of(*sent, "etag"), .job = {}};
    if (!sent->body.empty()) answer.body = Json::parse(sent->body, nullptr, false);
    if (answer.body.is_discarded())
        return failing(Exit::failed, fmt::format("what {} answered is not JSON", access_.endpoint.url),
                       "check that --url names ballastd and not another server");
    const std::string location = header_of(*sent, "location");
    if (sent->status == 202 && location.starts_with(jobs_path)) answer.job = location.substr(jobs_path.size());
    return answer;
}

Outcome<Answer> Api::get(const std::string& path) {
    HttpRequest request;
    request.target = path;
    request.headers = headers(false);
    return exchange(std::move(request));
}

Outcome<Answer> Api::write(const std::string& verb, const std::string& path, const Json& body,
                           const std::string& if_match) {
    HttpRequest request;
    request.verb = verb;
    request.target = path;
    request.headers = headers(true);
    if (!body.is_null()) {
        request.body = dump(body);
        request.headers["content-type"] = "application/json";
    }
    if (!if_match.empty()) request.headers["if-match"] = if_match;
    return exchange(std::move(request));
}

Outcome<Answer> Api::upload(const std::string& path, const std::string& file,
                            std::function<void(std::int64_t, std::int64_t)> on_sent) {
    HttpRequest request;
    request.verb = "POST";
    request.target = path;
    request.headers = headers(true);
    request.headers["content-type"] = "application/octet-stream";
    request.body_file = file;
    request.on_sent = std::move(on_sent);
    request.timeout = Milliseconds(120'000);
    return exchange(std::move(request));
}

Outcome<Json> Api::list(const std::string& path, std::size_t limit, std::string after) {
    Json items = Json::array();
    do {
        const std::size_t page = limit == 0 ? 1000 : std::min<std::size_t>(1000, limit - items.size());
        const char join = path.find('?') == std::string::npos ? '?' : '&';
        std::string target = fmt::format("{}{}limit={}", path, join, page);
        if (!after.empty()) target += "&after=" + encoded(after);
        BALLAST_TRY(auto answer, get(target));
        if (!answer.body.is_object() || !answer.body.contains("items"))
            return failing(Exit::failed, fmt::format("the answer to {} is no list", path));
        for (auto& item : answer.body["items"]) items.push_back(std::move(item));
        after = text_in(answer.body, "next");
    } while (!after.empty() && (limit == 0 || items.size() < limit));
    return items;
}

Outcome<> Api::follow(const std::string& query, std::string after, const Follower& follower) {
    Milliseconds pause{250};
    bool ended = false;
    Follower relay = follower;
    relay.on_open = [&] {
        pause = Milliseconds(250);
        ended = follower.on_open && !follower.on_open();
        return !ended;
    };
    relay.on_event = [&](const ServerEvent& event) {
        if (!event.id.empty()) after = event.id;
        ended = !follower.on_event(event);
        return !ended;
    };
    while (true) {
        HttpRequest request;
        request.target = "/api/v1/events" + query;
        request.headers = headers(false);
        request.headers["accept"] = "text/event-stream";
        if (!after.empty()) request.headers["last-event-id"] = after;
        auto answer = transport_->follow(request, relay);
        if (ended) return {};
        if (answer && answer->status >= 400) return std::unexpected(explain(*answer));
        if (!answer && answer.error().code() != Code::unavailable) return std::unexpected(explain(answer.error()));
        if (pause > Milliseconds(5'000))
            return std::unexpected(
                explain(answer ? Error(Code::unavailable, "the event stream ended again and again") : answer.error()));
        std::this_thread::sleep_for(pause);
        pause *= 2;
    }
}

Outcome<std::string> Api::console(const std::string& path) {
    HttpRequest request;
    request.target = path;
    request.headers = headers(false);
    auto answer = transport_->converse(request);
    if (!answer) return std::unexpected(explain(answer.error()));
    if (answer->status != 101) return std::unexpected(explain(*answer));
    return answer->body;
}

std::string Api::name_in(std::optional<std::map<std::string, std::string>>& names, const std::string& path,
                         const std::string& id) {
    if (id.empty()) return {};
    if (!names || !names->contains(id)) {
        const bool first = !names;
        if (first) names.emplace();
        if (auto rows = first ? list(path) : failing(Exit::not_found, ""))
            for (const auto& row : *rows) (*names)[text_in(row, "id")] = text_in(row, "name");
    }
    const auto at = names->find(id);
    return at == names->end() ? id : at->second;
}

std::string Api::host_name(const std::string& id) {
    return name_in(hosts_, "/api/v1/hosts", id);
}

std::string Api::vm_name(const std::string& id) {
    return name_in(vms_, "/api/v1/vms", id);
}

}  // namespace ballast::cli
