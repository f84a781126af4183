// The roles of driver.h over a World: each call is one act on the State.
#include <algorithm>
#include <array>

#include "core/try.h"
#include "drivers/simulated/connection.h"
#include "drivers/simulated/console.h"

namespace ballast::drivers::simulated {
namespace {

using Line = std::shared_ptr<Connection>;

class SimulatedCompute final : public Compute {
  public:
    explicit SimulatedCompute(Line line) : line_(std::move(line)) {}

    Task<HostFacts> read_facts() override {
        return line_->call<HostFacts>(Call::read_facts, {}, [](State& s, auto& host) { return s.read_facts(host); });
    }
    Task<std::vector<DomainView>> list_domains() override {
        return line_->call<std::vector<DomainView>>(Call::list_domains, {},
                                                    [](State& s, auto& host) { return s.list_domains(host); });
    }
    Task<DomainView> read_domain(VmId vm) override {
        return line_->call<DomainView>(Call::read_domain, vm,
                                       [vm](State& s, auto& host) { return s.read_domain(host, vm); });
    }
    Task<> define(DomainDefinition definition) override {
        const VmId vm = definition.id;
        return line_->call<void>(Call::define, vm, [definition = std::move(definition)](State& s, auto& host) {
            return s.define(host, definition);
        });
    }
    Task<> undefine(VmId vm) override {
        return line_->call<void>(Call::undefine, vm, [vm](State& s, auto& host) { return s.undefine(host, vm); });
    }
    Task<> start(VmId vm) override {
        return line_->call<void>(Call::start, vm, [vm](State& s, auto& host) { return s.start(host, vm); });
    }
    Task<> shutdown(VmId vm) override {
        return line_->call<void>(Call::shutdown, vm, [vm](State& s, auto& host) { return s.shutdown(host, vm); });
    }
    Task<> reboot(VmId vm) override {
        return line_->call<void>(Call::reboot, vm, [vm](State& s, auto& host) { return s.reboot(host, vm); });
    }
    Task<> destroy(VmId vm) override {
        return line_->call<void>(Call::destroy, vm, [vm](State& s, auto& host) { return s.destroy(host, vm); });
    }
    Task<> save(VmId vm) override {
        return line_->call_async<void>(Call::save, vm,
                                       [vm](State& s, const std::string& host, Connection::Done<void> done) {
                                           s.save(host, vm, std::move(done));
                                       });
    }
    Task<> stamp(VmId vm, Stamp stamp) override {
        return line_->call<void>(Call::stamp, vm,
                                 [vm, stamp](State& s, auto& host) { return s.stamp(host, vm, stamp); });
    }
    Task<std::shared_ptr<Console>> open_console(VmId vm) override {
        return line_->call<std::shared_ptr<Console>>(
            Call::open_console, vm,
            [vm, world = line_->world()](State& s, auto& host) { return make_console(world, s, host, vm); });
    }

  private:
    Line line_;
};

class SimulatedStatistics final : public Statistics {
  public:
    explicit SimulatedStatistics(Line line) : line_(std::move(line)) {}
    Task<HostStats> sweep() override {
        return line_->call<HostStats>(Call::sweep, {}, [](State& s, auto& host) { return s.sweep(host); });
    }

  private:
    Line line_;
};

class SimulatedMigration final : public MigrationRole {
  public:
    explicit SimulatedMigration(Line line) : line_(std::move(line)) {}

    Task<> migrate(MigrationRequest request) override {
        const VmId vm = request.vm;
        return line_->call_async<void>(
            Call::migrate, vm,
            [request = std::move(request)](State& s, const std::string& host, Connection::Done<void> done) {
                s.migrate(host, request, std::move(done));
            });
    }
    Task<MigrationProgress> progress(VmId vm) override {
        return line_->call<MigrationProgress>(Call::progress, vm,
                                              [vm](State& s, auto& host) { return s.progress(host, vm); });
    }
    Task<MigrationProgress> completed(VmId vm) override {
        return line_->call<MigrationProgress>(Call::completed, vm,
                                              [vm](State& s, auto& host) { return s.completed(host, vm); });
    }
    Task<> abort(VmId vm) override {
        return line_->call<void>(Call::abort, vm, [vm](State& s, auto& host) { return s.abort(host, vm); });
    }
    Task<> start_post_copy(VmId vm) override {
        return line_->call<void>(Call::start_post_copy, vm,
                                 [vm](State& s, auto& host) { return s.start_post_copy(host, vm); });
    }
    Task<> pause_post_copy(VmId vm) override {
        return line_->call<void>(Call::pause_post_copy, vm,
                                 [vm](State& s, auto& host) { return s.pause_post_copy(host, vm); });
    }
    Task<> set_downtime_limit(VmId vm, Milliseconds limit) override {
        return line_->call<void>(Call::set_downtime_limit, vm,
                                 [vm, limit](State& s, auto& host) { return s.set_downtime_limit(host, vm, limit); });
    }
    Task<> set_bandwidth(VmId vm, BytesPerSecond bandwidth, bool post_copy) override {
        return line_->call<void>(Call::set_bandwidth, vm, [vm, bandwidth, post_copy](State& s, auto& host) {
            return s.set_bandwidth(host, vm, bandwidth, post_copy);
        });
    }
    Task<> start_dirty_rate(VmId vm, Seconds window) override {
        return line_->call<void>(Call::start_dirty_rate, vm,
                                 [vm, window](State& s, auto& host) { return s.start_dirty_rate(host, vm, window); });
    }
    Task<DirtyRate> dirty_rate(VmId vm) override {
        return line_->call<DirtyRate>(Call::dirty_rate, vm,
                                      [vm](State& s, auto& host) { return s.dirty_rate(host, vm); });
    }
    Task<> resume(VmId vm) override {
        return line_->call<void>(Call::resume, vm, [vm](State& s, auto& host) { return s.resume(host, vm); });
    }
    Task<> suspend(VmId vm) override {
        return line_->call<void>(Call::suspend, vm, [vm](State& s, auto& host) { return s.suspend(host, vm); });
    }
    Task<std::vector<PairCheck>> probe_peer(std::string peer_uri, std::string) override {
        return line_->call<std::vector<PairCheck>>(
            Call::probe_peer, {}, [peer_uri](State& s, auto& host) { return s.probe_peer(host, peer_uri); });
    }

  private:
    Line line_;
};

class SimulatedMemory final : public Memory {
  public:
    explicit SimulatedMemory(Line line) : line_(std::move(line)) {}
    Task<MemoryStats> read() override {
        return line_->call<MemoryStats>(Call::read_memory, {},
                                        [](State& s, auto& host) { return s.read_memory(host); });
    }
    Task<> set_ksm(KsmSettings settings) override {
        return line_->call<void>(Call::set_ksm, {},
                                 [settings](State& s, auto& host) { return s.set_ksm(host, settings); });
    }
    Task<> set_balloon(VmId vm, Bytes target) override {
        return line_->call<void>(Call::set_balloon, vm,
                                 [vm, target](State& s, auto& host) { return s.set_balloon(host, vm, target); });
    }

  private:
    Line line_;
};

/// Reads `size` bytes and keeps the head of them.
Result<std::string> drain(const ByteSource& source, Bytes size) {
    std::string head;
    std::array<char, 65536> buffer{};
    std::int64_t left = size.count();
    while (left > 0) {
        const auto want = static_cast<std::size_t>(std::min<std::int64_t>(left, buffer.size()));
        BALLAST_TRY(const std::size_t got, source(std::span(buffer).first(want)));
        if (got == 0) return fail(Code::invalid_argument, "the source ended {} bytes before {}", left, size);
        if (head.size() < static_cast<std::size_t>(mebibytes(1).count())) head.append(buffer.data(), got);
        left -= static_cast<std::int64_t>(got);
    }
    return head;
}

class SimulatedStorage final : public Storage {
  public:
    explicit SimulatedStorage(Line line) : line_(std::move(line)) {}

    Task<std::vector<PoolView>> list_pools() override {
        return line_->call<std::vector<PoolView>>(Call::list_pools, {},
                                                  [](State& s, auto& host) { return s.list_pools(host); });
    }
    Task<std::vector<VolumeView>> list_volumes(std::string pool) override {
        return line_->call<std::vector<VolumeView>>(
            Call::list_volumes, {}, [pool](State& s, auto& host) { return s.list_volumes(host, pool); });
    }
    Task<VolumeView> read_volume(std::string pool, std::string name) override {
        return line_->call<VolumeView>(Call::read_volume, {},
                                       [pool, name](State& s, auto& host) { return s.read_volume(host, pool, name); });
    }
    Task<VolumeView> create_volume(NewVolume volume) override {
        return line_->call<VolumeView>(Call::create_volume, {},
                                       [volume](State& s, auto& host) { return s.create_volume(host, volume); });
    }
    Task<> upload(std::string pool, std::string name, Bytes size, ByteSource source) override {
        return line_->call<void>(Call::upload, {}, [pool, name, size, source](State& s, auto& host) -> Result<void> {
            BALLAST_CHECK(s.check_upload(host, pool, name, size));
            BALLAST_TRY(std::string head, drain(source, size));
            return s.upload(host, pool, name, size, std::move(head));
        });
    }
    Task<std::string> read_head(std::string pool, std::string name, Bytes size) override {
        return line_->call<std::string>(Call::read_head, {}, [pool, name, size](State& s, auto& host) {
            return s.read_head(host, pool, name, size);
        });
    }
    Task<> delete_volume(std::string pool, std::string name) override {
        return line_->call<void>(Call::delete_volume, {},
                                 [pool, name](State& s, auto& host) { return s.delete_volume(host, pool, name); });
    }
    Task<> refresh(std::string pool) override {
        return line_->call<void>(Call::refresh, {}, [pool](State& s, auto& host) { return s.refresh(host, pool); });
    }

  private:
    Line line_;
};

class SimulatedHost final : public HostDriver {
  public:
    explicit SimulatedHost(Line line)
        : line_(std::move(line)),
          compute_(line_),
          statistics_(line_),
          migration_(line_),
          memory_(line_),
          storage_(line_) {}
    ~SimulatedHost() override { SimulatedHost::close(); }
    SimulatedHost(const SimulatedHost&) = delete;
    SimulatedHost& operator=(const SimulatedHost&) = delete;

    [[nodiscard]] Compute& compute() override { return compute_; }
    [[nodiscard]] Statistics& statistics() override { return statistics_; }
    [[nodiscard]] MigrationRole& migration() override { return migration_; }
    [[nodiscard]] Memory& memory() override { return memory_; }
    [[nodiscard]] Storage& storage() override { return storage_; }
    [[nodiscard]] LinkState link() const override { return line_->session()->link; }

    void close() override {
        line_->world()->with([session = line_->session()](State&) {
            if (session->closed.exchange(true)) return;
            for (const auto& weak : std::exchange(session->pending, {}))
                if (const auto pending = weak.lock())
                    pending->end(
                        Error(Code::unavailable, fmt::format("the connection to host '{}' was closed", session->host)));
        });
    }

  private:
    Line line_;
    SimulatedCompute compute_;
    SimulatedStatistics statistics_;
    SimulatedMigration migration_;
    SimulatedMemory memory_;
    SimulatedStorage storage_;
};

class SimulatedDriver final : public Driver {
  public:
    explicit SimulatedDriver(std::shared_ptr<World> world) : world_(std::move(world)) {}

    [[nodiscard]] Result<void> check_uri(std::string_view uri) const override {
        BALLAST_CHECK(parse_uri(uri));
        return {};
    }

    [[nodiscard]] Result<std::shared_ptr<HostDriver>> open(HostTarget target, EventSink sink) override {
        BALLAST_TRY(const std::string name, parse_uri(target.uri));
        auto session = std::make_shared<Session>();
        session->target = std::move(target);
        session->sink = std::move(sink);
        session->host = name;
        world_->with([&](State& state) {
            SimHost* host = state.find_host(name);
            if (host == nullptr) return state.set_session_link(session, LinkState::unreachable, "no such host");
            std::erase_if(host->sessions, [](const auto& weak) { return weak.expired(); });
            host->sessions.push_back(session);
            state.set_session_link(session, host->reachable ? LinkState::up : LinkState::unreachable,
                                   host->reachable ? "connected" : "can't connect");
        });
        return std::make_shared<SimulatedHost>(std::make_shared<Connection>(world_, session));
    }

  private:
    std::shared_ptr<World> world_;
};

}  // namespace

std::shared_ptr<Driver> make_simulated_driver(std::shared_ptr<World> world) {
    return std::make_shared<SimulatedDriver>(std::move(world));
}

}  // namespace ballast::drivers::simulated
