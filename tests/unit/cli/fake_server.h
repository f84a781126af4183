#pragma once
// A wire that answers from a script, and a whole run of `ballast` against it: what goes to the terminal, what was asked
// of the server, and the exit code. Only for output and parsing: the real server is met in tests/e2e.

#include <deque>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cli/app.h"

namespace ballast::cli::testing {

/// What the server does, told by the test. An unexpected request throws.
struct Script {
    std::map<std::string, std::deque<HttpResponse>> answers;  ///< "GET /api/v1/vms?limit=1000": the last one stays
    std::deque<std::vector<ServerEvent>> streams;             ///< one for each time the stream is opened
    std::vector<HttpRequest> requests;
    std::vector<HttpRequest> followed;
    Trust trust;
    Endpoint endpoint;

    Script& on(const std::string& request, const std::string& body, int status = 200, Headers headers = {}) {
        answers[request].push_back({.status = status, .headers = std::move(headers), .body = body});
        return *this;
    }
    Script& accepts(const std::string& request, const std::string& job) {
        return on(request, R"({"id":")" + job + R"("})", 202, {{"location", "/api/v1/jobs/" + job}});
    }
    Script& refuses(const std::string& request, int status, const std::string& code, const std::string& detail) {
        return on(request, R"({"code":")" + code + R"(","detail":")" + detail + R"(","causes":["the cause of it"]})",
                  status);
    }
};

class ScriptedTransport final : public Transport {
  public:
    explicit ScriptedTransport(Script& script) : script_(script) {}

    Result<HttpResponse> send(const HttpRequest& request) override {
        script_.requests.push_back(request);
        auto at = script_.answers.find(request.verb + " " + request.target);
        if (at == script_.answers.end()) throw std::runtime_error("unexpected: " + request.verb + " " + request.target);
        HttpResponse answer = at->second.front();
        if (at->second.size() > 1) at->second.pop_front();
        return answer;
    }

    Result<HttpResponse> follow(const HttpRequest& request, const Follower& follower) override {
        script_.followed.push_back(request);
        if (script_.streams.empty()) return fail(Code::deadline_exceeded, "the script has no further stream");
        const auto events = script_.streams.front();
        script_.streams.pop_front();
        if (follower.on_open && !follower.on_open()) return HttpResponse{.status = 200, .headers = {}, .body = {}};
        for (const auto& event : events)
            if (!follower.on_event(event)) break;
        return HttpResponse{.status = 200, .headers = {}, .body = {}};
    }

    Result<HttpResponse> converse(const HttpRequest& request) override {
        script_.requests.push_back(request);
        return HttpResponse{.status = 101, .headers = {}, .body = "left"};
    }

  private:
    Script& script_;
};

struct Ran {
    int exit = -1;
    std::string out;
    std::string err;
};

struct Terminal {
    bool is_terminal = false;
    std::size_t width = 0;
    std::string typed;
    std::map<std::string, std::string> environment{{"BALLAST_TOKEN", "blt_secret"},
                                                   {"BALLAST_CONFIG", "/nonexistent/config.toml"}};
};

inline Ran ballast(Script& script, const std::vector<std::string>& words, const Terminal& terminal = {}) {
    std::ostringstream out;
    std::ostringstream err;
    World world;
    world.environment = terminal.environment;
    world.out = &out;
    world.err = &err;
    world.out_is_terminal = world.err_is_terminal = world.in_is_terminal = terminal.is_terminal;
    world.width = terminal.width;
    world.read_line = [&] { return terminal.typed; };
    world.now = [] { return *parse_timestamp("2026-11-22T12:00:00.000Z"); };
    world.random_key = [n = 0]() mutable { return "key-" + std::to_string(++n); };
    world.connect = [&script](Endpoint endpoint, Trust trust) -> std::unique_ptr<Transport> {
        script.endpoint = std::move(endpoint);
        script.trust = std::move(trust);
        return std::make_unique<ScriptedTransport>(script);
    };
    Ran ran;
    ran.exit = run(words, std::move(world));
    ran.out = out.str();
    ran.err = err.str();
    return ran;
}

}  // namespace ballast::cli::testing
