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

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/events.h"
#include "drivers/libvirt/inventory.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/readings.h"
#include "drivers/libvirt/roles.h"

namespace ballast::drivers::libvirt {
namespace {

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
    constexpr unsigned int groups =
        VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU;
    BALLAST_TRY(stats.domains, read_domain_stats(connection, groups));
    const NodeMemory memory = read_node_memory(connection);
    stats.memory_total = memory.total;
    stats.memory_free = memory.free;
    stats.memory_cached = memory.cached;
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
