// The memory role: balloons, and the host's page merging (KSM) as far as libvirt shows and sets it.

#include <cerrno>
#include <string_view>
#include <vector>

#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/ksm_settings.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/readings.h"
#include "drivers/libvirt/roles.h"

namespace ballast::drivers::libvirt {
namespace {

Result<void> write_balloon(virConnectPtr connection, const VmId& vm, Bytes target) {
    constexpr std::int64_t kibibyte = 1'024;
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    if (virDomainSetMemoryFlags(domain.get(), static_cast<unsigned long>(target.count() / kibibyte),
                                VIR_DOMAIN_AFFECT_LIVE) < 0)
        return refused("can't set the balloon of domain {} to {}", vm, target);
    return {};
}

/// As a number, whatever its type: libvirt mixes two.
std::int64_t number(const virTypedParameter& field) {
    if (field.type == VIR_TYPED_PARAM_UINT) return field.value.ui;  // NOLINT(*-union-access): libvirt's type
    if (field.type == VIR_TYPED_PARAM_ULLONG)                       //
        return static_cast<std::int64_t>(field.value.ul);           // NOLINT(*-union-access)
    return field.type == VIR_TYPED_PARAM_INT ? field.value.i : std::int64_t{};  // NOLINT(*-union-access)
}

/// None where the host has no KSM: libvirt then knows no such parameters.
std::optional<KsmStats> read_ksm(virConnectPtr connection) {
    int count = 0;
    if (virNodeGetMemoryParameters(connection, nullptr, &count, 0) < 0 || count <= 0) return std::nullopt;
    std::vector<virTypedParameter> fields(static_cast<std::size_t>(count));
    if (virNodeGetMemoryParameters(connection, fields.data(), &count, 0) < 0) return std::nullopt;
    fields.resize(static_cast<std::size_t>(count));
    KsmStats ksm;
    bool scans = false;
    for (const auto& field : fields) {
        const std::string_view name = field.field;
        const std::int64_t value = number(field);
        if (name == VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN) scans = true, ksm.settings.pages_to_scan = value;
        if (name == VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS) ksm.settings.sleep_ms = value;
        if (name == VIR_NODE_MEMORY_SHARED_MERGE_ACROSS_NODES) ksm.settings.merge_across_nodes = value != 0;
        if (name == VIR_NODE_MEMORY_SHARED_PAGES_SHARED) ksm.pages_shared = value;
        if (name == VIR_NODE_MEMORY_SHARED_PAGES_SHARING) ksm.pages_sharing = value;
        if (name == VIR_NODE_MEMORY_SHARED_PAGES_UNSHARED) ksm.pages_unshared = value;
        if (name == VIR_NODE_MEMORY_SHARED_PAGES_VOLATILE) ksm.pages_volatile = value;
        if (name == VIR_NODE_MEMORY_SHARED_FULL_SCANS) ksm.full_scans = value;
    }
    return scans ? std::optional(ksm) : std::nullopt;
}

Result<MemoryStats> read_memory(virConnectPtr connection) {
    MemoryStats stats;
    BALLAST_TRY(stats.domains, read_domain_stats(connection, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON));
    const NodeMemory memory = read_node_memory(connection);
    stats.total = memory.total;
    stats.free = memory.free;
    stats.cached = memory.cached;
    stats.ksm = read_ksm(connection);
    return stats;
}

/// What the kernel refuses stays so until somebody changes it: the scan rate while its advisor sets that (EINVAL),
/// merging across NUMA nodes while pages are merged (EBUSY). libvirt 9.0 calls both EPERM.
std::unexpected<Error> setting_refused(const char* name, std::int64_t value) {
    const virError* why = virGetLastError();
    const int number = why != nullptr && why->code == VIR_ERR_SYSTEM_ERROR ? why->int1 : 0;
    const Error error = last_error(fmt::format("can't set {} to {}", name, value));
    if (number != EPERM && number != EINVAL && number != EBUSY) return std::unexpected(error);
    const bool rate = std::string_view(name) == VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN;
    return fail(Code::failed_precondition, "{}{}", error.message(), rate ? ": the kernel's advisor sets it" : "");
}

/// Only what differs is written: merging across NUMA nodes can be changed only while nothing is merged.
Result<void> write_ksm(virConnectPtr connection, const KsmSettings& wanted) {
    BALLAST_CHECK(check_ksm(wanted));
    const auto now = read_ksm(connection);
    if (!now) return fail(Code::failed_precondition, "the host has no KSM that libvirt could tune");
    const auto put = [connection](const char* name, std::int64_t value) -> Result<void> {
        TypedParams fields;
        fields.add(name, static_cast<unsigned int>(value));
        if (virNodeSetMemoryParameters(connection, fields.data(), fields.count(), 0) < 0)
            return setting_refused(name, value);
        return {};
    };
    if (wanted.pages_to_scan != now->settings.pages_to_scan)
        BALLAST_CHECK(put(VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN, wanted.pages_to_scan));
    if (wanted.sleep_ms != now->settings.sleep_ms)
        BALLAST_CHECK(put(VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS, wanted.sleep_ms));
    if (wanted.merge_across_nodes != now->settings.merge_across_nodes)
        BALLAST_CHECK(put(VIR_NODE_MEMORY_SHARED_MERGE_ACROSS_NODES, wanted.merge_across_nodes ? 1 : 0));
    return {};
}

class LibvirtMemory final : public Memory {
  public:
    explicit LibvirtMemory(ExecutorPtr executor) : executor_(std::move(executor)) {}

    Task<MemoryStats> read() override {
        return Executor::call<MemoryStats>(executor_, {.what = "read its memory"}, read_memory);
    }

    Task<> set_ksm(KsmSettings settings) override {
        return Executor::call<void>(executor_, {.what = "tune its page merging"},
                                    [settings](virConnectPtr c) { return write_ksm(c, settings); });
    }

    Task<> set_balloon(VmId vm, Bytes target) override {
        CallSpec spec{.what = fmt::format("set the balloon of domain {}", vm), .domain = vm};
        return Executor::call<void>(executor_, std::move(spec),
                                    [vm, target](virConnectPtr c) { return write_balloon(c, vm, target); });
    }

  private:
    ExecutorPtr executor_;
};

}  // namespace

std::unique_ptr<Memory> make_memory(ExecutorPtr executor) {
    return std::make_unique<LibvirtMemory>(std::move(executor));
}

}  // namespace ballast::drivers::libvirt
