#include "daemon/reconcile/stats.h"

#include <utility>

namespace ballast::reconcile {
namespace {

using SecondsF = std::chrono::duration<double>;

std::optional<double> cpus_used(const drivers::DomainStats& now, const VmSample* before, SecondsF elapsed) {
    if (before == nullptr || elapsed.count() <= 0 || now.cpu_time < before->stats.cpu_time) return std::nullopt;
    return SecondsF(now.cpu_time - before->stats.cpu_time) / elapsed;
}

std::optional<double> cpu_load(const drivers::HostStats& now, const HostSample* before) {
    if (before == nullptr) return std::nullopt;
    const auto busy = now.cpu_busy - before->stats.cpu_busy;
    const auto all = busy + now.cpu_idle - before->stats.cpu_idle;
    if (busy.count() < 0 || all.count() <= 0) return std::nullopt;
    return SecondsF(busy) / SecondsF(all);
}

}  // namespace

const HostSample* StatsTable::find(const HostId& host) const {
    const auto at = hosts.find(host);
    return at == hosts.end() ? nullptr : at->second.get();
}

const VmSample* StatsTable::find(const HostId& host, const VmId& vm) const {
    const HostSample* sample = find(host);
    if (sample == nullptr) return nullptr;
    const auto at = sample->vms.find(vm);
    return at == sample->vms.end() ? nullptr : &at->second;
}

HostSample make_sample(const HostId& host, drivers::HostStats swept, Timestamp time,
                       std::chrono::steady_clock::time_point monotonic, const HostSample* before) {
    HostSample sample;
    sample.host = host;
    sample.time = time;
    sample.monotonic = monotonic;
    sample.cpu_load = cpu_load(swept, before);
    const SecondsF elapsed = before != nullptr ? monotonic - before->monotonic : SecondsF(0);
    for (auto& domain : std::exchange(swept.domains, {})) {
        const VmSample* last = nullptr;
        if (before != nullptr)
            if (const auto at = before->vms.find(domain.id); at != before->vms.end()) last = &at->second;
        VmSample made;
        made.cpus_used = cpus_used(domain, last, elapsed);
        made.stats = std::move(domain);
        sample.vms.insert_or_assign(made.stats.id, std::move(made));
    }
    sample.stats = std::move(swept);
    return sample;
}

std::shared_ptr<const StatsTable> StatsBoard::now() const {
    const std::scoped_lock lock(mutex_);
    if (!given_out_) given_out_ = std::make_shared<const StatsTable>(table_);
    return given_out_;
}

std::shared_ptr<const HostSample> StatsBoard::find(const HostId& host) const {
    const std::scoped_lock lock(mutex_);
    const auto at = table_.hosts.find(host);
    return at == table_.hosts.end() ? nullptr : at->second;
}

void StatsBoard::publish(HostSample sample) {
    auto made = std::make_shared<const HostSample>(std::move(sample));
    const std::scoped_lock lock(mutex_);
    table_.hosts.insert_or_assign(made->host, made);
    given_out_.reset();
}

void StatsBoard::forget(const HostId& host) {
    const std::scoped_lock lock(mutex_);
    table_.hosts.erase(host);
    given_out_.reset();
}

}  // namespace ballast::reconcile
