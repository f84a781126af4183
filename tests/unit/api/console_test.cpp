// The serial console over a WebSocket, by hand-made frames.
#include <deque>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/support/builders.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using test::a_host;
using test::a_vm;
using testing::HasSubstr;

/// Gives back what it is told, in capitals.
class EchoConsole final : public drivers::Console {
  public:
    explicit EchoConsole(boost::asio::any_io_executor loop)
        : wake_(loop, std::chrono::steady_clock::time_point::max()) {}
    drivers::Task<std::string> read() override {
        while (text_.empty() && !closed_)
            static_cast<void>(co_await wake_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable)));
        co_return std::exchange(text_, "");
    }
    drivers::Task<> write(std::string bytes) override {
        for (const char c : bytes) text_ += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        wake_.cancel();
        co_return Result<void>{};
    }
    void close() override {
        closed_ = true;
        wake_.cancel();
    }
    [[nodiscard]] bool closed() const { return closed_; }

  private:
    boost::asio::steady_timer wake_;
    std::string text_;
    std::atomic<bool> closed_ = false;
};

std::unexpected<Error> not_here() {
    return fail(Code::unimplemented, "this host has a console and nothing else");
}

class ConsoleHost final : public drivers::HostDriver, public drivers::Compute {
  public:
    explicit ConsoleHost(std::shared_ptr<EchoConsole> console) : console_(std::move(console)) {}
    drivers::Task<HostFacts> read_facts() override { co_return not_here(); }
    drivers::Task<std::vector<drivers::DomainView>> list_domains() override { co_return not_here(); }
    drivers::Task<drivers::DomainView> read_domain(VmId) override { co_return not_here(); }
    drivers::Task<> define(drivers::DomainDefinition) override { co_return not_here(); }
    drivers::Task<> undefine(VmId) override { co_return not_here(); }
    drivers::Task<> start(VmId) override { co_return not_here(); }
    drivers::Task<> shutdown(VmId) override { co_return not_here(); }
    drivers::Task<> reboot(VmId) override { co_return not_here(); }
    drivers::Task<> destroy(VmId) override { co_return not_here(); }
    drivers::Task<> save(VmId) override { co_return not_here(); }
    drivers::Task<> stamp(VmId, drivers::Stamp) override { co_return not_here(); }
    drivers::Task<std::shared_ptr<drivers::Console>> open_console(VmId) override { co_return console_; }
    drivers::Compute& compute() override { return *this; }
    drivers::Statistics& statistics() override { std::abort(); }
    drivers::MigrationRole& migration() override { std::abort(); }
    drivers::Memory& memory() override { std::abort(); }
    drivers::Storage& storage() override { std::abort(); }
    [[nodiscard]] drivers::LinkState link() const override { return drivers::LinkState::up; }
    void close() override {}

  private:
    std::shared_ptr<EchoConsole> console_;
};

class OneHost final : public reconcile::HostRegistry {
  public:
    explicit OneHost(std::shared_ptr<drivers::HostDriver> driver) : driver_(std::move(driver)) {}
    [[nodiscard]] std::shared_ptr<drivers::HostDriver> find(const HostId&) const override { return driver_; }
    [[nodiscard]] Result<std::shared_ptr<drivers::HostDriver>> reachable(const HostId&) const override {
        return driver_;
    }

  private:
    std::shared_ptr<drivers::HostDriver> driver_;
};

class ConsoleTest : public ApiTest {
  public:
    ConsoleTest() {
        console = std::make_shared<EchoConsole>(loop.get_executor());
        services.hosts = std::make_shared<OneHost>(std::make_shared<ConsoleHost>(console));
        write([](store::Transaction& transaction) -> Result<void> {
            transaction.put(a_host("h1").build(), {"host.added", "test"});
            transaction.put(a_vm("web1").on("h1").running().build(), {"vm.changed", "test"});
            return {};
        });
    }
    static HttpClient::Headers upgrade() {
        return {{"Connection", "Upgrade"},
                {"Upgrade", "websocket"},
                {"Sec-WebSocket-Version", "13"},
                {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    }
    std::shared_ptr<EchoConsole> console;
};

/// A masked frame with an all-zero mask, as a client sends it.
std::string frame(char opcode, const std::string& text) {
    std::string bytes{static_cast<char>(0x80 | opcode), static_cast<char>(0x80 | text.size())};
    return bytes + std::string(4, '\0') + text;
}

TEST_F(ConsoleTest, CarriesBytesBothWays) {
    start();
    const auto client = this->client();
    auto connection = client.connect();
    connection->send_raw(client.text("GET", "/api/v1/vms/web1/console", "", upgrade()));
    const auto answer = connection->read_answer(true);
    ASSERT_EQ(answer.status, 101);
    EXPECT_EQ(answer.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    connection->send_raw(frame(2, "ls\n"));
    EXPECT_EQ(connection->read_exactly(5), std::string("\x82\x03LS\n", 5));
    connection->send_raw(frame(1, "top"));
    EXPECT_EQ(connection->read_exactly(5), std::string("\x82\x03TOP", 5));
    connection->send_raw(frame(8, std::string("\x03\xE8", 2)));
    connection.reset();
    eventually([&] { return console->closed(); }, "the console is closed when the client leaves");
}

TEST_F(ConsoleTest, TakesABrowsersTokenAsASubprotocol) {
    start();
    const auto nobody = client_with("");
    const auto connection = nobody.connect();
    auto headers = upgrade();
    headers["Sec-WebSocket-Protocol"] = "ballast.console, bearer." + admin;
    connection->send_raw(nobody.text("GET", "/api/v1/vms/web1/console", "", headers));
    const auto answer = connection->read_answer(true);
    ASSERT_EQ(answer.status, 101);
    EXPECT_EQ(answer.header("sec-websocket-protocol"), "ballast.console");
}

TEST_F(ConsoleTest, NeedsAnOperator) {
    const auto viewer = make_token("watcher", Right::viewer);
    start();
    EXPECT_THAT(client_with(viewer).get("/api/v1/vms/web1/console", upgrade()), IsProblem(403, "permission_denied"));
    EXPECT_THAT(client().get("/api/v1/vms/web1/console"), IsProblem(400, "invalid_argument"));
}

TEST_F(ConsoleTest, EndsWhenTheServerStops) {
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw(client.text("GET", "/api/v1/vms/web1/console", "", upgrade()));
    ASSERT_EQ(connection->read_answer(true).status, 101);
    stop(Milliseconds(2000));
    EXPECT_TRUE(connection->closed_by_peer());
    EXPECT_TRUE(console->closed());
}

}  // namespace
}  // namespace ballast::api
