// How many VMs a second are placed and durably claimed over REST: the client of a ballastd that runs already
// (placement_rest.py starts it on simulated hosts). Each VM is a POST /api/v1/vms (start: false) on a kept TLS
// connection; counted is the time from the first request until no job is left to do, so until each VM has its host, its
// claim was committed, and it was defined there.
// placement_rest_bench PORT TOKEN-FILE VMS: one JSON object; placement_bench.py makes the line of it.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "core/units.h"
#include "tests/support/http_client.h"

namespace {

using namespace ballast;
using Clock = std::chrono::steady_clock;

constexpr int clients = 32;
constexpr auto patience = std::chrono::minutes(10);
constexpr auto answer_within = std::chrono::minutes(2);  // the machine may have others to serve

std::unique_ptr<test::HttpConnection> connect(const test::HttpClient& client) {
    return std::make_unique<test::HttpConnection>("127.0.0.1", client.port(), true, answer_within);
}

std::string body_of(int number) {
    return fmt::format(
        R"({{"name":"new{0}","start":false,"spec":{{"memory_bytes":{1},"vcpus":{2},"anti_affinity":"rest-{3}",)"
        R"("nics":[{{"network":"default"}}]}}}})",
        number, gibibytes(1 << (number % 3)).count(), 1 + number % 4, number / 8);
}

/// Posts its share, one after the other on one connection; gives how many were refused.
int post_share(const test::HttpClient& client, std::atomic<int>& next, int count) {
    const auto connection = connect(client);
    int refused = 0;
    for (int number = next++; number < count; number = next++) {
        connection->send_raw(client.text("POST", "/api/v1/vms", body_of(number)));
        if (connection->read_answer().status != 202) ++refused;
    }
    return refused;
}

bool has_jobs(const test::HttpClient& client, test::HttpConnection& connection, std::string_view state) {
    connection.send_raw(client.text("GET", fmt::format("/api/v1/jobs?limit=1&state={}", state)));
    const auto answer = connection.read_answer();
    return answer.body.find("\"items\":[]") == std::string::npos;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) {
        fmt::print(stderr, "placement_rest_bench PORT TOKEN-FILE VMS\n");
        return 2;
    }
    std::string token;
    std::ifstream(arguments[2]) >> token;
    const int vms = std::stoi(arguments[3]);
    const test::HttpClient client("127.0.0.1", std::stoi(arguments[1]), token);
    std::atomic<int> next = 0;
    const auto begin = Clock::now();
    std::vector<std::future<int>> shares;
    for (int i = 0; i < clients; ++i)
        shares.push_back(std::async(std::launch::async, [&] { return post_share(client, next, vms); }));
    int refused = 0;
    for (auto& share : shares) refused += share.get();
    const std::chrono::duration<double> asked = Clock::now() - begin;
    const auto looking = connect(client);
    while (has_jobs(client, *looking, "queued") || has_jobs(client, *looking, "running")) {
        if (Clock::now() - begin > patience) return 1;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    const std::chrono::duration<double> took = Clock::now() - begin;
    const bool failed = refused != 0 || has_jobs(client, *looking, "failed");
    fmt::print(
        R"({{"value":{:.1f},"vms":{},"refused":{},"some_failed":{},"asked_s":{:.3f},"wall_s":{:.3f},"clients":{}}})"
        "\n",
        (vms - refused) / took.count(), vms, refused, failed, asked.count(), took.count(), clients);
    return failed ? 1 : 0;
}
