#pragma once
// A real server over a real store in a temporary folder, its loop on one thread, and a client with an admin token.

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/api/auth.h"
#include "daemon/api/server.h"
#include "tests/support/http_client.h"

namespace ballast::api {

using test::EventStream;
using test::HttpAnswer;
using test::HttpClient;

/// No host can be asked: what routes do with hosts is tested where hosts are (contract, integration).
class NoHosts final : public reconcile::HostRegistry {
  public:
    [[nodiscard]] std::shared_ptr<drivers::HostDriver> find(const HostId&) const override { return nullptr; }
    [[nodiscard]] Result<std::shared_ptr<drivers::HostDriver>> reachable(const HostId& host) const override {
        return fail(Code::unavailable, "host {} can't be asked", host);
    }
};

class ApiTest : public testing::Test {
  public:
    ApiTest();
    ~ApiTest() override;

    /// Starts the server with what is in `services` and `options`.
    void start();
    void stop(Milliseconds within = Milliseconds(2000));

    /// Runs the coroutine on the loop and waits for it.
    template <class T>
    T await(boost::asio::awaitable<T> work) {
        return boost::asio::co_spawn(loop, std::move(work), boost::asio::use_future).get();
    }
    /// Commits a change of the test's own.
    void write(store::Change change);
    std::string make_token(const std::string& name, Right right, std::optional<Timestamp> expires = std::nullopt);

    [[nodiscard]] HttpClient client() const { return client_with(admin); }
    [[nodiscard]] HttpClient client_with(const std::string& token) const { return {"127.0.0.1", port(), token}; }
    [[nodiscard]] int port() const { return server->bound().front().port; }
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return services.store->snapshot(); }

    void put(Host host);
    void put(Vm vm);
    /// What is in the folder, as a new daemon finds it.
    [[nodiscard]] std::shared_ptr<store::Store> open_store_in(const std::filesystem::path& where) const;

    /// Asks again after each turn of the loop until the condition holds; fails the test after 5 s.
    void eventually(const std::function<bool()>& condition, std::string_view what);

    std::filesystem::path folder;
    boost::asio::io_context loop{1};
    std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
    Services services;
    ServerOptions options;
    std::shared_ptr<Server> server;
    std::string admin;

  private:
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{loop.get_executor()};
    std::thread thread_;
};

inline Json parsed(const HttpAnswer& answer) {
    return Json::parse(answer.body, nullptr, false);
}

MATCHER_P2(IsProblem, status, code, "") {
    const Json body = parsed(arg);
    *result_listener << arg.status << " " << arg.body;
    return arg.status == status && arg.header("content-type") == "application/problem+json" && body.is_object() &&
           body.value("code", "") == code && body.value("status", 0) == status;
}

}  // namespace ballast::api
