// The node exporter: its text, its URL, and a real HTTP server on loopback that answers well, badly, or not at all.
#include "daemon/overcommit/exporter.h"

#include <atomic>
#include <functional>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/run.h"

namespace ballast::overcommit {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;

constexpr const char* usual = R"(# HELP node_memory_MemTotal_bytes Memory information field.
# TYPE node_memory_MemTotal_bytes gauge
node_memory_MemTotal_bytes 6.7310686208e+10
node_memory_MemFree_bytes 1.073741824e+09
node_memory_Buffers_bytes 1048576
node_memory_Cached_bytes 3145728
node_pressure_memory_waiting_seconds_total 12.5
node_vmstat_pswpin 1000
node_filesystem_avail_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 5e+09
node_filesystem_avail_bytes{device="/dev/sdb1",fstype="xfs",mountpoint="/var/lib"} 7e+09
node_cpu_seconds_total{cpu="0",mode="idle"} NaN
go_goroutines 9
)";

TEST(ExporterText, IsReadAsFarAsItIsKnown) {
    const auto reading = read_exporter_text(usual);
    ASSERT_TRUE(reading);
    EXPECT_EQ(reading->total, Bytes(67'310'686'208));
    EXPECT_EQ(reading->free, gibibytes(1));
    EXPECT_EQ(reading->cached, mebibytes(4)) << "buffers and page cache";
    EXPECT_EQ(reading->pressure_seconds, 12.5);
    EXPECT_EQ(reading->swapped_in_pages, 1000);
    EXPECT_EQ(room_at(*reading, "/var/lib/libvirt/qemu/save"), Bytes(7'000'000'000)) << "the longest mount point above";
    EXPECT_EQ(room_at(*reading, "/var/libx"), Bytes(5'000'000'000));
    EXPECT_FALSE(room_at({}, "/"));
}

TEST(ExporterText, ThatSaysNothingOfMemoryIsNamed) {
    for (const char* text : {"", "<html>404</html>", "go_goroutines 9\n", "node_cpu_seconds_total{cpu=\"0\"} 1\n"}) {
        const auto reading = read_exporter_text(text);
        ASSERT_FALSE(reading) << text;
        EXPECT_THAT(reading.error().message(), HasSubstr("is it a Prometheus node exporter?"));
    }
}

TEST(ExporterText, NamesTheLineOfAFigureThatCannotBe) {
    for (const char* value : {"-1", "NaN", "+Inf", "much", "", "1e300"}) {
        const auto reading = read_exporter_text(fmt::format("# x\nnode_memory_MemTotal_bytes {}\n", value));
        ASSERT_FALSE(reading) << value;
        EXPECT_EQ(reading.error().code(), Code::invalid_argument);
        EXPECT_THAT(reading.error().message(), HasSubstr("line 2: node_memory_MemTotal_bytes"));
    }
}

TEST(Strain, IsWhatTwoScrapesSayOfTheTimeBetween) {
    ExporterReading before{.pressure_seconds = 10, .swapped_in_pages = 100, .filesystems = {}};
    ExporterReading now{.pressure_seconds = 11, .swapped_in_pages = 356, .filesystems = {}};
    const Strain strain = strain_between(before, now, Milliseconds(10'000));
    EXPECT_DOUBLE_EQ(strain.pressure.value(), 0.1);
    EXPECT_EQ(strain.swap_in->count(), 256 * 4096 / 10);
    EXPECT_FALSE(strain_between(now, before, Milliseconds(10'000)).pressure) << "the host has booted anew";
    EXPECT_FALSE(strain_between(before, now, Milliseconds(0)).swap_in);
    now.pressure_seconds = 100;
    EXPECT_EQ(strain_between(before, now, Milliseconds(10'000)).pressure, 1.0) << "never more than all of the time";
}

TEST(ExporterUrl, HasAHostAndUsualPortAndPath) {
    const auto short_one = parse_exporter_url("http://h1");
    ASSERT_TRUE(short_one);
    EXPECT_EQ(short_one->host + " " + short_one->port + " " + short_one->path, "h1 9100 /metrics");
    const auto whole = parse_exporter_url("http://[::1]:8080/node/metrics");
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->host + " " + whole->port + " " + whole->path, "::1 8080 /node/metrics");
    for (const char* url : {"", "h1:9100", "https://h1", "http://", "http://:9100", "http://h1:0", "http://h1:99999",
                            "http://h1:x", "http://u@h1", "http://h 1", "http://h1/?a=b", "http://h1\r\nX: y"}) {
        const auto parsed = parse_exporter_url(url);
        ASSERT_FALSE(parsed) << url;
        EXPECT_THAT(parsed.error().message(), HasSubstr("http://host[:port][/path]")) << url;
    }
}

/// Takes one connection, reads the request's head, sends the answer, and closes; an empty answer is kept back until the
/// client is gone.
class OneAnswer {
  public:
    explicit OneAnswer(std::string answer)
        : acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0}), thread_([this, answer = std::move(answer)] {
              asio::ip::tcp::socket socket(io_);
              boost::system::error_code error;
              acceptor_.accept(socket, error);
              asio::streambuf head;
              asio::read_until(socket, head, "\r\n\r\n", error);
              if (answer.empty())
                  asio::read(socket, head, error);  // until the client gives up
              else
                  asio::write(socket, asio::buffer(answer), error);
          }) {}
    ~OneAnswer() { thread_.join(); }
    [[nodiscard]] std::string url() const {
        return fmt::format("http://127.0.0.1:{}/metrics", acceptor_.local_endpoint().port());
    }

  private:
    asio::io_context io_;
    asio::ip::tcp::acceptor acceptor_;
    std::thread thread_;
};

Result<ExporterReading> scraped(const std::string& url, Milliseconds within = Milliseconds(20'000)) {
    asio::io_context io;
    return testing::run(io, scrape(url, within));
}

TEST(Scrape, ReadsARealServer) {
    const std::string body = usual;
    const OneAnswer server(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
    const auto reading = scraped(server.url());
    ASSERT_TRUE(reading) << reading.error().chain();
    EXPECT_EQ(reading->swapped_in_pages, 1000);
}

TEST(Scrape, NamesTheExporterThatSendsRubbish) {
    const std::vector<std::pair<std::string, std::string>> answers{
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "is it a Prometheus node exporter?"},
        {"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "it answered 500"},
        {"SSH-2.0-OpenSSH_9.2\r\n", "it gave no whole answer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "it gave no whole answer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nnode_memory", "it gave no whole answer"}};
    for (const auto& [answer, why] : answers) {
        const OneAnswer server(answer);
        const auto reading = scraped(server.url());
        ASSERT_FALSE(reading) << answer;
        EXPECT_THAT(reading.error().chain(), HasSubstr(server.url()));
        EXPECT_THAT(reading.error().chain(), HasSubstr(why));
    }
}

TEST(Scrape, WaitsNoLongerThanItsTime) {
    const OneAnswer server("");
    const auto reading = scraped(server.url(), Milliseconds(50));
    ASSERT_FALSE(reading);
    EXPECT_EQ(reading.error().code(), Code::unavailable);
}

TEST(Scrape, SaysThatNobodyListens) {
    std::string url;
    {
        asio::io_context io;
        const asio::ip::tcp::acceptor taken(io, {asio::ip::make_address("127.0.0.1"), 0});
        url = fmt::format("http://127.0.0.1:{}", taken.local_endpoint().port());
    }
    const auto reading = scraped(url);
    ASSERT_FALSE(reading);
    EXPECT_THAT(reading.error().chain(), HasSubstr("can't be reached"));
}

}  // namespace
}  // namespace ballast::overcommit
