// HTTP itself: framing, limits, TLS, stop.
#include <atomic>
#include <fstream>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using testing::HasSubstr;

TEST_F(ApiTest, AnswersOverTlsWithTheClustersName) {
    start();
    const auto answer = client().get("/api/v1");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["name"], "ballast");
    EXPECT_EQ(parsed(answer)["id"], snapshot()->cluster);
}

TEST_F(ApiTest, ShowsTheKeyThatAClientCanPin) {
    start();
    EXPECT_EQ(client().connect()->peer_key_fingerprint(), server->tls().key_fingerprint);
}

TEST_F(ApiTest, KeepsAConnectionForSeveralRequests) {
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    for (int i = 0; i < 3; ++i) {
        connection->send_raw(client.text("GET", "/healthz"));
        EXPECT_EQ(connection->read_answer().status, 200);
    }
}

TEST_F(ApiTest, AnswersPipelinedRequestsInOrder) {
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw(client.text("GET", "/healthz") + client.text("GET", "/api/v1/nothing") +
                         client.text("GET", "/healthz"));
    EXPECT_EQ(connection->read_answer().status, 200);
    EXPECT_EQ(connection->read_answer().status, 404);
    EXPECT_EQ(connection->read_answer().status, 200);
}

TEST_F(ApiTest, RefusesAPathThatIsNotThereAndAVerbThatIsNotAllowed) {
    start();
    EXPECT_THAT(client().get("/api/v1/nothing"), IsProblem(404, "not_found"));
    const auto answer = client().request("DELETE", "/healthz");
    EXPECT_THAT(answer, IsProblem(405, "invalid_argument"));
    EXPECT_EQ(answer.header("allow"), "GET");
}

TEST_F(ApiTest, RefusesAHeaderThatIsTooLarge) {
    start();
    const auto answer = client().get("/healthz", {{"X-Long", std::string(40'000, 'x')}});
    EXPECT_THAT(answer, IsProblem(431, "invalid_argument"));
}

TEST_F(ApiTest, RefusesAHeaderWithTooManyFields) {
    start();
    HttpClient::Headers headers;
    for (int i = 0; i < 150; ++i) headers[fmt::format("X-{}", i)] = "1";
    EXPECT_THAT(client().get("/healthz", headers), IsProblem(431, "invalid_argument"));
}

TEST_F(ApiTest, RefusesWhatIsNotHttp) {
    start();
    const auto connection = client().connect();
    connection->send_raw("\x01\x02 nonsense\r\n\r\n");
    EXPECT_THAT(connection->read_answer(), IsProblem(400, "invalid_argument"));
}

TEST_F(ApiTest, CutsAClientThatSendsItsHeaderTooSlowly) {
    services.limits.header_timeout = Milliseconds(150);
    start();
    const auto connection = client().connect();
    connection->send_raw("GET /healthz HTTP/1.1\r\nHo");
    EXPECT_TRUE(connection->closed_by_peer());
}

TEST_F(ApiTest, CutsAnIdleConnection) {
    services.limits.idle_timeout = Milliseconds(150);
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw(client.text("GET", "/healthz"));
    EXPECT_EQ(connection->read_answer().status, 200);
    EXPECT_TRUE(connection->closed_by_peer());
}

TEST_F(ApiTest, RefusesConnectionsBeyondTheLimitOfAPeer) {
    services.limits.connections_per_peer = 2;
    start();
    const auto client = this->client();
    const auto first = client.connect();
    const auto second = client.connect();
    EXPECT_THROW(static_cast<void>(client.connect()), std::runtime_error);
}

TEST_F(ApiTest, SaysThatAPortIsInUse) {
    start();
    ServerOptions second = options;
    second.listen.front().port = port();
    const auto refused = start_server(loop.get_executor(), services, second);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::unavailable);
    EXPECT_THAT(refused.error().message(), HasSubstr("is in use by another program"));
}

TEST_F(ApiTest, RefusesPlainHttpBeyondLoopback) {
    options.listen = {{.kind = Endpoint::Kind::plain, .address = "0.0.0.0"}};
    const auto refused = start_server(loop.get_executor(), services, options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::invalid_argument);
}

TEST_F(ApiTest, ServesAUnixSocketWithoutTls) {
    options.listen.push_back({.kind = Endpoint::Kind::local, .address = (folder / "api.sock").string()});
    start();
    HttpClient local((folder / "api.sock").string(), 0, admin, false);
    EXPECT_EQ(local.get("/api/v1").status, 200);
}

TEST_F(ApiTest, StopsWithinItsDeadlineWhileAClientIsIdleAndAnotherStreams) {
    start();
    const auto idle = client().connect();
    EventStream stream(client(), "/api/v1/events");
    ASSERT_EQ(stream.answer().status, 200);
    static_cast<void>(stream.next_block());
    const auto began = std::chrono::steady_clock::now();
    stop(Milliseconds(5000));
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(3));
    EXPECT_TRUE(stream.connection().closed_by_peer());
    EXPECT_TRUE(idle->closed_by_peer());
}

/// A check of a pair that ends when the test says so.
class HeldObserver final : public reconcile::Observer {
  public:
    explicit HeldObserver(boost::asio::any_io_executor loop)
        : held_(loop, std::chrono::steady_clock::time_point::max()) {}
    drivers::Task<> observe(VmId, JobId) override { co_return Result<void>{}; }
    drivers::Task<> observe_host(HostId) override { co_return Result<void>{}; }
    drivers::Task<HostPair> check_pair(HostId from, HostId to) override {
        boost::system::error_code ignored;
        co_await held_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        ended = true;
        HostPair pair;
        pair.id = pair_id(from, to);
        co_return pair;
    }
    void let_go() { held_.cancel(); }
    std::atomic<bool> ended = false;

  private:
    boost::asio::steady_timer held_;
};

TEST_F(ApiTest, AnswersAHandlerThatTakesTooLongInsteadOfHangingUp) {
    services.limits.request_timeout = Milliseconds(100);
    const auto observer = std::make_shared<HeldObserver>(loop.get_executor());
    services.observer = observer;
    for (const auto* name : {"h1", "h2"}) put(test::a_host(name).build());
    start();
    const auto answer = client().post("/api/v1/pairs/check", R"({"from":"h1","to":"h2"})");
    EXPECT_THAT(answer, IsProblem(504, "deadline_exceeded"));
    EXPECT_THAT(answer.body, HasSubstr("it goes on"));
    EXPECT_FALSE(observer->ended);
    boost::asio::post(loop, [observer] { observer->let_go(); });
    eventually([&] { return observer->ended.load(); }, "the handler goes on to its end");
    EXPECT_EQ(client().get("/healthz").status, 200);
}

TEST_F(ApiTest, IsNotReadyWhileTheStoreIsReadOnlyAndSaysWhy) {
    services.store->close();
    services.store.reset();
    std::ofstream(folder / "ballast.db", std::ios::binary) << std::string(5000, 'x');
    services.store = open_store_in(folder);
    ASSERT_FALSE(services.store->health().writable);
    start();
    auto asker = client_with("");
    const auto answer = asker.get("/readyz");
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.body, fmt::format("read-only: {}\n", services.store->health().reason));
    EXPECT_FALSE(services.store->health().reason.empty());
    EXPECT_EQ(asker.get("/healthz").status, 200);
}

TEST_F(ApiTest, ReportsHealthReadinessAndMetrics) {
    start();
    const auto anybody = client_with("");
    auto asker = anybody;
    EXPECT_EQ(asker.get("/healthz").body, "ok\n");
    EXPECT_EQ(asker.get("/readyz").body, "ready\n");
    const auto metrics = client().get("/metrics");
    EXPECT_THAT(metrics.body, HasSubstr("ballast_build_info{version=\"0.1.0\"} 1"));
    EXPECT_THAT(metrics.body, HasSubstr("ballast_hosts{state=\"unreachable\"} 0"));
    EXPECT_THAT(metrics.body,
                HasSubstr("ballast_http_requests_total{operation=\"healthz_get\",method=\"GET\",status=\"200\"} 1"));
}

}  // namespace
}  // namespace ballast::api
