#pragma once
// A driver that passes every call on and remembers those that change something on a host: a test can then prove that
// nothing was changed where nothing may be. It also notes which pairs of hosts are probed at the same time.

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "drivers/driver.h"

namespace ballast::reconcile {

/// "<host id>: <call>". Thread-safe.
class ChangesMade {
  public:
    void note(const HostId& host, std::string_view call) {
        const std::scoped_lock lock(mutex_);
        calls_.emplace_back(host, call);
    }
    [[nodiscard]] std::vector<std::string> on(const HostId& host) const {
        const std::scoped_lock lock(mutex_);
        std::vector<std::string> found;
        for (const auto& [at, call] : calls_)
            if (at == host) found.push_back(call);
        return found;
    }

    void begin_probe(const std::string& from, const std::string& to) {
        const std::scoped_lock lock(mutex_);
        shared_a_host_ = !probed_.insert(from).second || !probed_.insert(to).second || shared_a_host_;
        most_probes_ = std::max(most_probes_, probed_.size() / 2);
    }
    void end_probe(const std::string& from, const std::string& to) {
        const std::scoped_lock lock(mutex_);
        probed_.erase(from);
        probed_.erase(to);
    }
    [[nodiscard]] std::size_t most_probes_at_once() const {
        const std::scoped_lock lock(mutex_);
        return most_probes_;
    }
    [[nodiscard]] bool two_probes_shared_a_host() const {
        const std::scoped_lock lock(mutex_);
        return shared_a_host_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::pair<HostId, std::string>> calls_;
    std::set<std::string> probed_;
    std::size_t most_probes_ = 0;
    bool shared_a_host_ = false;
};

class WatchedHost final : public drivers::HostDriver,
                          drivers::Compute,
                          drivers::MigrationRole,
                          drivers::Memory,
                          drivers::Storage {
  public:
    template <class T = void>
    using Task = drivers::Task<T>;

    WatchedHost(HostId id, std::shared_ptr<HostDriver> inner, std::shared_ptr<ChangesMade> changes)
        : id_(std::move(id)), inner_(std::move(inner)), changes_(std::move(changes)) {}

    Compute& compute() override { return *this; }
    drivers::Statistics& statistics() override { return inner_->statistics(); }
    MigrationRole& migration() override { return *this; }
    Memory& memory() override { return *this; }
    Storage& storage() override { return *this; }
    drivers::LinkState link() const override { return inner_->link(); }
    void close() override { inner_->close(); }

  private:
    void changed(std::string_view call) { changes_->note(id_, call); }

    Task<HostFacts> read_facts() override { return inner_->compute().read_facts(); }
    Task<std::vector<drivers::DomainView>> list_domains() override { return inner_->compute().list_domains(); }
    Task<drivers::DomainView> read_domain(VmId vm) override { return inner_->compute().read_domain(vm); }
    Task<> define(drivers::DomainDefinition d) override { return changed("define"), inner_->compute().define(d); }
    Task<> undefine(VmId vm) override { return changed("undefine"), inner_->compute().undefine(vm); }
    Task<> start(VmId vm) override { return changed("start"), inner_->compute().start(vm); }
    Task<> shutdown(VmId vm) override { return changed("shutdown"), inner_->compute().shutdown(vm); }
    Task<> reboot(VmId vm) override { return changed("reboot"), inner_->compute().reboot(vm); }
    Task<> destroy(VmId vm) override { return changed("destroy"), inner_->compute().destroy(vm); }
    Task<> stamp(VmId vm, drivers::Stamp s) override { return changed("stamp"), inner_->compute().stamp(vm, s); }
    Task<std::shared_ptr<drivers::Console>> open_console(VmId vm) override {
        return inner_->compute().open_console(vm);
    }

    Task<> migrate(drivers::MigrationRequest r) override { return changed("migrate"), inner_->migration().migrate(r); }
    Task<drivers::MigrationProgress> progress(VmId vm) override { return inner_->migration().progress(vm); }
    Task<drivers::MigrationProgress> completed(VmId vm) override { return inner_->migration().completed(vm); }
    Task<> abort(VmId vm) override { return changed("abort"), inner_->migration().abort(vm); }
    Task<> start_post_copy(VmId vm) override {
        return changed("start_post_copy"), inner_->migration().start_post_copy(vm);
    }
    Task<> pause_post_copy(VmId vm) override {
        return changed("pause_post_copy"), inner_->migration().pause_post_copy(vm);
    }
    Task<> set_downtime_limit(VmId vm, Milliseconds limit) override {
        return changed("set_downtime_limit"), inner_->migration().set_downtime_limit(vm, limit);
    }
    Task<> set_bandwidth(VmId vm, BytesPerSecond bandwidth, bool post_copy) override {
        return changed("set_bandwidth"), inner_->migration().set_bandwidth(vm, bandwidth, post_copy);
    }
    Task<> start_dirty_rate(VmId vm, Seconds window) override {
        return changed("start_dirty_rate"), inner_->migration().start_dirty_rate(vm, window);
    }
    Task<drivers::DirtyRate> dirty_rate(VmId vm) override { return inner_->migration().dirty_rate(vm); }
    Task<> resume(VmId vm) override { return changed("resume"), inner_->migration().resume(vm); }
    Task<> suspend(VmId vm) override { return changed("suspend"), inner_->migration().suspend(vm); }
    Task<std::vector<PairCheck>> probe_peer(std::string uri, std::string address) override {
        return probe(inner_, changes_, "sim://" + id_.str(), std::move(uri), std::move(address));
    }
    static Task<std::vector<PairCheck>> probe(std::shared_ptr<HostDriver> inner, std::shared_ptr<ChangesMade> changes,
                                              std::string from, std::string to, std::string address) {
        changes->begin_probe(from, to);
        auto found = co_await inner->migration().probe_peer(to, std::move(address));
        changes->end_probe(from, to);
        co_return found;
    }

    Task<> save(VmId vm) override { return changed("save"), inner_->compute().save(vm); }
    Task<drivers::MemoryStats> read() override { return inner_->memory().read(); }
    Task<> set_ksm(drivers::KsmSettings settings) override {
        return changed("set_ksm"), inner_->memory().set_ksm(settings);
    }
    Task<> set_balloon(VmId vm, Bytes target) override {
        return changed("set_balloon"), inner_->memory().set_balloon(vm, target);
    }

    Task<std::vector<drivers::PoolView>> list_pools() override { return inner_->storage().list_pools(); }
    Task<std::vector<drivers::VolumeView>> list_volumes(std::string pool) override {
        return inner_->storage().list_volumes(std::move(pool));
    }
    Task<drivers::VolumeView> read_volume(std::string pool, std::string name) override {
        return inner_->storage().read_volume(std::move(pool), std::move(name));
    }
    Task<drivers::VolumeView> create_volume(drivers::NewVolume v) override {
        return changed("create_volume"), inner_->storage().create_volume(std::move(v));
    }
    Task<> upload(std::string pool, std::string name, Bytes size, drivers::ByteSource source) override {
        return changed("upload"), inner_->storage().upload(std::move(pool), std::move(name), size, std::move(source));
    }
    Task<std::string> read_head(std::string pool, std::string name, Bytes size) override {
        return inner_->storage().read_head(std::move(pool), std::move(name), size);
    }
    Task<> delete_volume(std::string pool, std::string name) override {
        return changed("delete_volume"), inner_->storage().delete_volume(std::move(pool), std::move(name));
    }
    Task<> refresh(std::string pool) override { return changed("refresh"), inner_->storage().refresh(std::move(pool)); }

    HostId id_;
    std::shared_ptr<HostDriver> inner_;
    std::shared_ptr<ChangesMade> changes_;
};

class WatchedDriver final : public drivers::Driver {
  public:
    WatchedDriver(std::shared_ptr<Driver> inner, std::shared_ptr<ChangesMade> changes)
        : inner_(std::move(inner)), changes_(std::move(changes)) {}
    Result<void> check_uri(std::string_view uri) const override { return inner_->check_uri(uri); }
    Result<std::shared_ptr<drivers::HostDriver>> open(drivers::HostTarget target, drivers::EventSink sink) override {
        const HostId id = target.id;
        auto opened = inner_->open(std::move(target), std::move(sink));
        if (!opened) return opened;
        return std::make_shared<WatchedHost>(id, *opened, changes_);
    }

  private:
    std::shared_ptr<Driver> inner_;
    std::shared_ptr<ChangesMade> changes_;
};

}  // namespace ballast::reconcile
