#include "drivers/libvirt/readings.h"

#include <string_view>

#include <libvirt/virterror.h>

#include "drivers/libvirt/error.h"
#include "drivers/libvirt/events.h"
#include "drivers/libvirt/inventory.h"
#include "drivers/libvirt/lookups.h"
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
    stats.guest_said = Timestamp(Seconds(static_cast<std::int64_t>(number(record, "balloon.last-update").value_or(0))));
    return stats;
}

}  // namespace

Result<std::vector<DomainStats>> read_domain_stats(virConnectPtr connection, unsigned int groups) {
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

NodeMemory read_node_memory(virConnectPtr connection) {
    NodeMemory memory;
    int count = 0;
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, nullptr, &count, 0) < 0 || count <= 0)
        return memory;
    std::vector<virNodeMemoryStats> fields(static_cast<std::size_t>(count));
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, fields.data(), &count, 0) < 0) return memory;
    for (const auto& field : fields) {
        const std::string_view name = field.field;
        const Bytes value = kibibytes(static_cast<std::int64_t>(field.value));
        if (name == VIR_NODE_MEMORY_STATS_TOTAL) memory.total = value;
        if (name == VIR_NODE_MEMORY_STATS_FREE) memory.free = value;
        if (name == VIR_NODE_MEMORY_STATS_CACHED || name == VIR_NODE_MEMORY_STATS_BUFFERS) memory.cached += value;
    }
    return memory;
}

}  // namespace ballast::drivers::libvirt
