// How many VMs a second are placed and durably claimed over REST: a real server and a real store on this disk, the real
// engine, and hosts that answer at once. Each VM is a POST /api/v1/vms (start: false) on a kept connection; counted is
// the time from the first request until every job has ended, so until each VM has its host, its claim has been
// committed, and it was defined there. The cluster is filled to 70 % before.
// placement_rest_bench HOSTS [--quick]: one JSON object; placement_bench.py makes the line of it.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <future>
#include <memory>
#include <stdlib.h>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "bench/placement_cluster.h"
#include "core/try.h"
#include "daemon/api/auth.h"
#include "daemon/api/server.h"
#include "daemon/jobs/engine.h"
#include "tests/support/http_client.h"

namespace {

using namespace ballast;
namespace asio = boost::asio;

constexpr int clients = 32;

[[noreturn]] void not_asked() {
    fmt::print(stderr, "this benchmark's hosts know nothing but definitions\n");
    std::abort();
}

/// Answers at once, remembers nothing.
class QuickCompute final : public drivers::Compute {
  public:
    drivers::Task<HostFacts> read_facts() override { co_return HostFacts{}; }
    drivers::Task<std::vector<drivers::DomainView>> list_domains() override {
        co_return std::vector<drivers::DomainView>{};
    }
    drivers::Task<drivers::DomainView> read_domain(VmId vm) override {
        co_return fail(Code::not_found, "no domain {}", vm);
    }
    drivers::Task<> define(drivers::DomainDefinition) override { co_return Result<void>{}; }
    drivers::Task<> undefine(VmId) override { co_return Result<void>{}; }
    drivers::Task<> start(VmId) override { co_return Result<void>{}; }
    drivers::Task<> shutdown(VmId) override { co_return Result<void>{}; }
    drivers::Task<> reboot(VmId) override { co_return Result<void>{}; }
    drivers::Task<> destroy(VmId) override { co_return Result<void>{}; }
    drivers::Task<> stamp(VmId, drivers::Stamp) override { co_return Result<void>{}; }
    drivers::Task<std::shared_ptr<drivers::Console>> open_console(VmId) override { not_asked(); }
};

class QuickHost final : public drivers::HostDriver {
  public:
    drivers::Compute& compute() override { return compute_; }
    drivers::Statistics& statistics() override { not_asked(); }
    drivers::MigrationRole& migration() override { not_asked(); }
    drivers::Memory& memory() override { not_asked(); }
    drivers::Storage& storage() override { not_asked(); }
    [[nodiscard]] drivers::LinkState link() const override { return drivers::LinkState::up; }
    void close() override {}

  private:
    QuickCompute compute_;
};

class QuickHosts final : public reconcile::HostRegistry {
  public:
    [[nodiscard]] std::shared_ptr<drivers::HostDriver> find(const HostId&) const override { return host_; }
    [[nodiscard]] Result<std::shared_ptr<drivers::HostDriver>> reachable(const HostId&) const override { return host_; }

  private:
    std::shared_ptr<drivers::HostDriver> host_ = std::make_shared<QuickHost>();
};

class NoObserver final : public reconcile::Observer {
  public:
    drivers::Task<> observe(VmId, JobId) override { co_return Result<void>{}; }
    drivers::Task<> observe_host(HostId) override { co_return Result<void>{}; }
    drivers::Task<HostPair> check_pair(HostId, HostId) override { not_asked(); }
};

double cpu_seconds(int who) {
    rusage usage{};
    ::getrusage(who, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// A daemon less its hosts.
class Setting {
  public:
    explicit Setting(int hosts) {
        folder_ = "/var/tmp/ballast-placement-XXXXXX";
        if (::mkdtemp(folder_.data()) == nullptr) std::abort();
        store_ = store::open_store({.path = folder_ + "/ballast.db", .retention = {}}, clock_, ids_).value();
        thread_ = std::thread([this] { loop_.run(); });
        fill(*bench::make_cluster(hosts));
        serve();
    }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;
    ~Setting() {
        asio::co_spawn(loop_, server_->stop(Milliseconds(1000)), asio::use_future).get();
        on_loop([this] { engine_->stop(); });
        store_->close();
        guard_.reset();
        loop_.stop();
        thread_.join();
        std::filesystem::remove_all(folder_);
    }

    [[nodiscard]] test::HttpClient client() const {
        return {"127.0.0.1", server_->bound().front().port, token_, false};
    }
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return store_->snapshot(); }

  private:
    void write(store::Change change) {
        if (!asio::co_spawn(loop_, store_->write({.actor = "bench"}, std::move(change)), asio::use_future).get())
            std::abort();
    }
    void on_loop(const std::function<void()>& act) {
        std::promise<void> done;
        asio::post(loop_, [&] {
            act();
            done.set_value();
        });
        done.get_future().wait();
    }
    template <class Row>
    void put_all(const Table<Row>& table) {
        constexpr std::size_t batch = 500;
        const auto rows = table.rows();
        for (std::size_t begin = 0; begin < rows.size(); begin += batch)
            write([&rows, begin](store::Transaction& transaction) -> Result<void> {
                for (std::size_t i = begin; i < std::min(rows.size(), begin + batch); ++i)
                    transaction.put(*rows[i], {"bench.filled", ""});
                return {};
            });
    }
    void fill(const Snapshot& cluster) {
        put_all(cluster.hosts);
        put_all(cluster.pools);
        put_all(cluster.vms);
        write([this](store::Transaction& transaction) -> Result<void> {
            BALLAST_TRY(const auto made, api::make_token(transaction, "bench", Right::admin));
            token_ = made.secret;
            return {};
        });
    }
    void serve() {
        api::Services services;
        services.store = store_;
        services.clock = clock_;
        services.ids = ids_;
        services.hosts = std::make_shared<QuickHosts>();
        services.progress = std::make_shared<jobs::ProgressHub>();
        services.upload_folder = folder_ + "/uploads";
        jobs::Services work{.executor = loop_.get_executor(),
                            .store = store_,
                            .hosts = services.hosts,
                            .observer = std::make_shared<NoObserver>(),
                            .clock = clock_,
                            .ids = ids_,
                            .progress = services.progress,
                            .settings = {},
                            .migrations = {}};
        on_loop([&] {
            engine_ = std::make_shared<jobs::Engine>(std::move(work));
            engine_->start();
            server_ = api::start_server(loop_.get_executor(), std::move(services),
                                        {.listen = {{.kind = api::Endpoint::Kind::plain}}, .tls = {}})
                          .value();
        });
    }

    std::string folder_;
    std::shared_ptr<const Clock> clock_ = std::make_shared<SystemClock>();
    std::shared_ptr<IdSource> ids_ = std::make_shared<SeededIds>(3);
    asio::io_context loop_{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard_{loop_.get_executor()};
    std::thread thread_;
    std::shared_ptr<store::Store> store_;
    std::shared_ptr<jobs::Engine> engine_;
    std::shared_ptr<api::Server> server_;
    std::string token_;
};

std::string body_of(int number) {
    return fmt::format(
        R"({{"name":"new{0}","start":false,"spec":{{"memory_bytes":{1},"vcpus":{2},"anti_affinity":"rest-{3}",)"
        R"("nics":[{{"network":"default"}}]}}}})",
        number, gibibytes(1 << (number % 3)).count(), 1 + number % 4, number / 8);
}

/// Posts its share, one after the other on one connection; gives the CPU time that this thread took.
double post_share(const test::HttpClient& client, std::atomic<int>& next, int count, std::atomic<int>& refused) {
    const auto connection = client.connect();
    for (int number = next++; number < count; number = next++) {
        connection->send_raw(
            client.text("POST", "/api/v1/vms", body_of(number), {{"content-type", "application/json"}}));
        if (connection->read_answer().status != 202) ++refused;
    }
    return cpu_seconds(RUSAGE_THREAD);
}

bool all_ended(const Snapshot& snapshot, int count) {
    int ended = 0;
    snapshot.jobs.for_each([&](const Job& job) { ended += is_finished(job.state) ? 1 : 0; });
    return ended >= count;
}

}  // namespace

int main(int count, char** arguments) {
    spdlog::set_level(spdlog::level::off);
    const int hosts = count > 1 ? std::atoi(arguments[1]) : 1000;
    const bool quick = count > 2 && std::string(arguments[2]) == "--quick";
    const int vms = quick ? 200 : 5'000;
    Setting setting(hosts);
    std::atomic<int> next = 0;
    std::atomic<int> refused = 0;
    const double cpu_before = cpu_seconds(RUSAGE_SELF);
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::future<double>> shares;
    for (int i = 0; i < clients; ++i)
        shares.push_back(std::async(std::launch::async,
                                    [&, client = setting.client()] { return post_share(client, next, vms, refused); }));
    double client_cpu = 0;
    for (auto& share : shares) client_cpu += share.get();
    while (!all_ended(*setting.snapshot(), vms - refused)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const double cpu = cpu_seconds(RUSAGE_SELF) - cpu_before - client_cpu;
    int failed = refused;
    setting.snapshot()->jobs.for_each([&](const Job& job) { failed += job.state == JobState::succeeded ? 0 : 1; });
    fmt::print(R"({{"value":{:.1f},"vms":{},"failed":{},"wall_s":{:.3f},"server_cpu_us_per_vm":{:.1f},"clients":{}}})"
               "\n",
               (vms - failed) / took.count(), vms, failed, took.count(), cpu / vms * 1e6, clients);
    return failed == 0 ? 0 : 1;
}
