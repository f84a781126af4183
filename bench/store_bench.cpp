// How many durable changes the store acknowledges per second, from one writer and from 32, beside bare SQLite doing its
// own inserts on the same disk in the same run (tools/sqlite_rate.c, compiled here when it is there).
// store_bench [--quick] [--check] [--peer SOURCE] [single|concurrent]: JSON lines (ARCHITECTURE.md 6). No case has a
// target of its own, so --check only fails when a case could not be measured.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <stdlib.h>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "daemon/store/store.h"
#include "tests/support/builders.h"

namespace {

using namespace ballast;

struct Options {
    bool quick = false;
    std::string peer = "/work/shared/tools/sqlite_rate.c";
    std::vector<std::string> cases;
    [[nodiscard]] std::chrono::milliseconds length() const { return std::chrono::milliseconds(quick ? 300 : 2000); }
    [[nodiscard]] int runs() const { return quick ? 1 : 5; }
    [[nodiscard]] bool wants(const std::string& name) const {
        return cases.empty() || std::ranges::find(cases, name) != cases.end();
    }
};

struct Case {
    std::string name;
    int writers;
    std::string peer_case;  ///< of sqlite_rate: the batch that is nearest to what the store can gather
};

struct Tally {
    std::int64_t written = 0;
    bool stop = false;
    bool failed = false;
};

boost::asio::awaitable<void> keep_writing(std::shared_ptr<store::Store> store, std::shared_ptr<Tally> tally,
                                          int writer) {
    for (int i = 0; !tally->stop; ++i) {
        Vm vm = test::a_vm(fmt::format("vm-{}-{}", writer, i % 100)).build();
        vm.state_reason = fmt::format("change {}", i);
        store::Change change = [vm = std::move(vm)](store::Transaction& transaction) {
            transaction.put(vm, {"vm.changed", ""});
            return Result<void>();
        };
        const auto written = co_await store->write(store::WriteContext{}, std::move(change));
        if (!written) {
            tally->failed = true;
            co_return;
        }
        ++tally->written;
    }
}

/// Acknowledged changes per second, or less than 0 when one failed.
double measure(const std::string& folder, int writers, std::chrono::milliseconds length) {
    std::filesystem::remove_all(folder);
    auto opened = store::open_store({.path = folder + "/ballast.db", .retention = {}}, std::make_shared<SystemClock>(),
                                    std::make_shared<SeededIds>(1));
    if (!opened) return -1;
    boost::asio::io_context io;
    const auto tally = std::make_shared<Tally>();
    for (int writer = 0; writer < writers; ++writer)
        boost::asio::co_spawn(io, keep_writing(*opened, tally, writer), [](std::exception_ptr thrown) {
            if (thrown) std::rethrow_exception(thrown);
        });
    const auto begin = std::chrono::steady_clock::now();
    io.run_for(length);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const double rate = static_cast<double>(tally->written) / took.count();
    tally->stop = true;
    io.run();
    return tally->failed ? -1 : rate;
}

std::string output_of(const std::string& command) {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    std::string text;
    std::array<char, 4096> block{};
    while (pipe && std::fgets(block.data(), block.size(), pipe.get()) != nullptr) text += block.data();
    return text;
}

/// Rows per second of bare SQLite by batch size (WAL, synchronous FULL); empty when the peer can't be built here.
std::map<std::string, double> measure_peer(const std::string& source, const std::string& folder) {
    std::map<std::string, double> rates;
    if (!std::filesystem::exists(source)) return rates;
    const std::string program = folder + "/sqlite_rate";
    const std::string build = fmt::format("cc -O2 -o {} {} -lsqlite3 2>&1", program, source);
    if (std::string said = output_of(build); !std::filesystem::exists(program)) {
        fmt::print(stderr, "the peer can't be built: {}\n", said);
        return rates;
    }
    std::istringstream lines(output_of(fmt::format("{} {}/peer.db", program, folder)));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string journal;
        std::string sync;
        std::string word;
        std::string batch;
        double rate = 0;
        if (words >> journal >> sync >> word >> batch >> rate && journal == "WAL" && sync == "sync=FULL")
            rates[batch] = rate;
    }
    return rates;
}

void print_line(const Case& one, std::vector<double> rates, const std::map<std::string, double>& peer) {
    std::ranges::sort(rates);
    const double median = rates[rates.size() / 2];
    std::string beside = R"("peer":"sqlite_rate is not installed")";
    if (const auto at = peer.find(one.peer_case); at != peer.end())
        beside = fmt::format(R"("peer":"bare SQLite, batch {}","peer_value":{:.0f},"ratio":{:.2f})", one.peer_case,
                             at->second, median / at->second);
    fmt::print(R"({{"bench":"store","case":"{}","metric":"acknowledged_changes","value":{:.0f},"unit":"1/s",)"
               R"("min":{:.0f},"max":{:.0f},"runs":{},"target":null,"met":true,{}}})"
               "\n",
               one.name, median, rates.front(), rates.back(), rates.size(), beside);
}

Options parse(int count, char** arguments) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        if (argument == "--quick")
            options.quick = true;
        else if (argument == "--peer" && i + 1 < count)
            options.peer = arguments[++i];
        else if (argument != "--check")
            options.cases.push_back(argument);
    }
    return options;
}

}  // namespace

int main(int count, char** arguments) {
    spdlog::set_level(spdlog::level::warn);
    const Options options = parse(count, arguments);
    std::string folder = "/tmp/ballast-store-bench-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) return 1;
    const auto peer = measure_peer(options.peer, folder);
    bool measured = true;
    for (const Case& one : {Case{"single", 1, "1"}, Case{"concurrent", 32, "10"}}) {
        if (!options.wants(one.name)) continue;
        std::vector<double> rates;
        for (int run = 0; run < options.runs(); ++run) {
            rates.push_back(measure(folder + "/store", one.writers, options.length()));
            measured = measured && rates.back() > 0;
        }
        print_line(one, std::move(rates), peer);
    }
    std::filesystem::remove_all(folder);
    return measured ? 0 : 1;
}
