// The statistics sweep: one bulk call for all domains, and the host's own memory and CPU time. A busy domain is left
// out rather than waited for (NOWAIT). `virsh autostart` has no event: the sweep also asks which domains libvirt would
// start with the host, in one more call, and makes a hint of what differs from the sweep before.

#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/events.h"
#include "drivers/libvirt/inventory.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/roles.h"
#include "drivers/libvirt/words.h"

namespace ballast::drivers::libvirt {
namespace {

using Records = std::unique_ptr<virDomainStatsRecordPtr, Releaser<virDomainStatsRecordListFree>>;

std::optional<std::uint64_t> number(const virDomainStatsRecord& record, const char* name) {
    unsigned long long value = 0;
    if (virTypedParamsGetULLong(record.params, record.nparams, name, &value) != 1) return std::nullopt;
    return value;
}

int small_number(const virDomainStatsRecord& record, const char* name, int otherwise) {
    int value = otherwise;
    static_cast<void>(virTypedParamsGetInt(record.params, record.nparams, name, &value));
    return value;
}

std::optional<Bytes> size(const virDomainStatsRecord& record, const char* name) {
    const auto value = number(record, name);
    if (!value) return std::nullopt;
    return kibibytes(static_cast<std::int64_t>(*value));
}

std::optional<std::uint64_t> bytes_of_kibibytes(std::optional<std::uint64_t> value) {
    constexpr std::uint64_t kibibyte = 1'024;
    if (value) *value *= kibibyte;
    return value;
}

DomainStats read_record(const virDomainStatsRecord& record) {
    DomainStats stats;
    stats.id = VmId(uuid_of(record.dom));
    stats.state =
        state_of(small_number(record, "state.state", VIR_DOMAIN_NOSTATE), small_number(record, "state.reason", 0));
    unsigned int vcpus = 0;
    static_cast<void>(virTypedParamsGetUInt(record.params, record.nparams, "vcpu.current", &vcpus));
    stats.vcpus = static_cast<int>(vcpus);
    stats.cpu_time = std::chrono::nanoseconds(number(record, "cpu.time").value_or(0));
    stats.balloon = size(record, "balloon.current").value_or(Bytes(0));
    stats.balloon_maximum = size(record, "balloon.maximum").value_or(Bytes(0));
    stats.unused = size(record, "balloon.unused");
    stats.usable = size(record, "balloon.usable");
    stats.available = size(record, "balloon.available");
    stats.disk_caches = size(record, "balloon.disk_caches");
    stats.resident = size(record, "balloon.rss").value_or(Bytes(0));
    stats.swap_in = bytes_of_kibibytes(number(record, "balloon.swap_in"));
    stats.swap_out = bytes_of_kibibytes(number(record, "balloon.swap_out"));
    stats.major_faults = number(record, "balloon.major_fault");
    return stats;
}

Result<std::vector<DomainStats>> read_domain_stats(virConnectPtr connection) {
    constexpr unsigned int groups =
        VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU;
    virDomainStatsRecordPtr* raw = nullptr;
    int count = virConnectGetAllDomainStats(connection, groups, &raw, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (count < 0 && last_error_number() == VIR_ERR_INVALID_ARG)  // drivers that do not know NOWAIT
        count = virConnectGetAllDomainStats(connection, 0, &raw, 0);
    if (count < 0) return refused("can't read the statistics of the host's domains");
    const Records owner(raw);
    std::vector<DomainStats> all;
    for (int i = 0; i < count; ++i) {
        const virDomainStatsRecord& record = *raw[i];  // NOLINT(*-pointer-arithmetic): libvirt's array
        if (!is_probe_name(virDomainGetName(record.dom))) all.push_back(read_record(record));
    }
    return all;
}

void read_node_memory(virConnectPtr connection, HostStats& stats) {
    int count = 0;
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, nullptr, &count, 0) < 0 || count <= 0)
        return;
    std::vector<virNodeMemoryStats> fields(static_cast<std::size_t>(count));
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, fields.data(), &count, 0) < 0) return;
    for (const auto& field : fields) {
        const std::string_view name = field.field;
        const Bytes value = kibibytes(static_cast<std::int64_t>(field.value));
        if (name == VIR_NODE_MEMORY_STATS_TOTAL) stats.memory_total = value;
        if (name == VIR_NODE_MEMORY_STATS_FREE) stats.memory_free = value;
        if (name == VIR_NODE_MEMORY_STATS_CACHED || name == VIR_NODE_MEMORY_STATS_BUFFERS) stats.memory_cached += value;
    }
}

void read_node_cpu(virConnectPtr connection, HostStats& stats) {
    int count = 0;
    if (virNodeGetCPUStats(connection, VIR_NODE_CPU_STATS_ALL_CPUS, nullptr, &count, 0) < 0 || count <= 0) return;
    std::vector<virNodeCPUStats> fields(static_cast<std::size_t>(count));
    if (virNodeGetCPUStats(connection, VIR_NODE_CPU_STATS_ALL_CPUS, fields.data(), &count, 0) < 0) return;
    for (const auto& field : fields) {
        const std::string_view name = field.field;
        const std::chrono::nanoseconds value(field.value);
        const bool idle = name == VIR_NODE_CPU_STATS_IDLE || name == VIR_NODE_CPU_STATS_IOWAIT;
        (idle ? stats.cpu_idle : stats.cpu_busy) += value;
    }
}

Result<HostStats> read_host_stats(virConnectPtr connection) {
    HostStats stats;
    BALLAST_TRY(stats.domains, read_domain_stats(connection));
    read_node_memory(connection, stats);
    read_node_cpu(connection, stats);
    return stats;
}

/// What the sweep before saw. Thread-safe: an overdue sweep may end beside its successor.
class AutostartWatch {
  public:
    AutostartWatch(HostId host, EventSink sink) : host_(std::move(host)), sink_(std::move(sink)) {}

    void see(std::set<std::string> now) {
        std::vector<std::string> changed;
        {
            const std::scoped_lock lock(mutex_);
            if (before_) std::ranges::set_symmetric_difference(*before_, now, std::back_inserter(changed));
            before_ = std::move(now);
        }
        for (const auto& domain : changed)
            sink_({.kind = DriverEvent::Kind::domain_changed,
                   .host = host_,
                   .vm = VmId(domain),
                   .link = LinkState::up,
                   .number = 0,
                   .detail = "autostart changed"});
    }

  private:
    const HostId host_;
    const EventSink sink_;
    std::mutex mutex_;
    std::optional<std::set<std::string>> before_;
};

class LibvirtStatistics final : public Statistics {
  public:
    LibvirtStatistics(ExecutorPtr executor, EventSink sink)
        : executor_(std::move(executor)),
          autostart_(std::make_shared<AutostartWatch>(executor_->target().id, std::move(sink))) {}

    Task<HostStats> sweep() override {
        return Executor::call<HostStats>(executor_, {.what = "read its statistics"},
                                         [autostart = autostart_](virConnectPtr connection) {
                                             autostart->see(autostart_domains(connection));
                                             return read_host_stats(connection);
                                         });
    }

  private:
    ExecutorPtr executor_;
    std::shared_ptr<AutostartWatch> autostart_;
};

}  // namespace

std::unique_ptr<Statistics> make_statistics(ExecutorPtr executor, EventSink sink) {
    return std::make_unique<LibvirtStatistics>(std::move(executor), std::move(sink));
}

}  // namespace ballast::drivers::libvirt
