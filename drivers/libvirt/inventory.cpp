#include "drivers/libvirt/inventory.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/libvirt/domain_parse.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/events.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/words.h"

namespace ballast::drivers::libvirt {
namespace {

struct RunState {
    int state = VIR_DOMAIN_NOSTATE;
    int reason = 0;
};

/// Whether the host's own job on the domain is an incoming migration.
bool is_incoming(virDomainPtr domain) {
    int type = VIR_DOMAIN_JOB_NONE;
    TypedParams stats;
    int operation = VIR_DOMAIN_JOB_OPERATION_UNKNOWN;
    if (virDomainGetJobStats(domain, &type, stats.out(), stats.out_count(), 0) == 0 &&
        virTypedParamsGetInt(stats.data(), stats.count(), VIR_DOMAIN_JOB_OPERATION, &operation) == 1)
        return operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN;
    return virDomainIsPersistent(domain) == 0;  // an incoming copy is transient until it has come in
}

Result<std::string> read_definition(virDomainPtr domain, bool persistent) {
    const unsigned int flags = persistent ? VIR_DOMAIN_XML_INACTIVE : 0U;
    char* raw = virDomainGetXMLDesc(domain, flags);
    if (raw == nullptr) return refused("can't read the definition of domain {}", uuid_of(domain));
    return take_text(raw);
}

/// A device that was plugged in for this run only (`virsh attach-disk --live`) is in the live definition alone; its
/// disk is in use all the same (SAFETY.md 10), and it binds the VM to the host as any other (SAFETY.md 11).
Result<void> add_live_devices(virDomainPtr domain, DomainView& view) {
    BALLAST_TRY(const auto xml, read_definition(domain, false));
    BALLAST_TRY(const auto live, parse_domain(xml));
    VmSpec& spec = view.spec;
    for (const auto& bond : live.bound_by)
        if (std::ranges::find(view.bound_by, bond) == view.bound_by.end()) view.bound_by.push_back(bond);
    for (const auto& disk : live.spec.disks) {
        const auto is_it = [&](const DiskSpec& known) {
            return known.path == disk.path || (known.target == disk.target && known.path.empty());
        };
        if (std::ranges::none_of(spec.disks, is_it)) spec.disks.push_back(disk);
    }
    for (auto nic : live.spec.nics) {
        if (std::ranges::find(spec.nics, nic.mac, &NicSpec::mac) != spec.nics.end()) continue;
        if (!nic.network.empty()) nic.bridge.clear();  // the live definition also names the network's own bridge
        spec.nics.push_back(std::move(nic));
    }
    return {};
}

/// What is the same for a bulk list and for one domain, once the flags are known.
struct Flags {
    RunState run;
    bool persistent = true;
    bool autostart = false;
    bool managed_save = false;
    bool snapshots = false;
    bool checkpoints = false;
};

Result<Bytes> read_balloon(virDomainPtr domain) {
    virDomainInfo info{};
    if (virDomainGetInfo(domain, &info) < 0) return refused("can't read the state of domain {}", uuid_of(domain));
    return kibibytes(static_cast<std::int64_t>(info.memory));
}

std::string counted(int count, const char* one, const char* many) {
    return count == 1 ? fmt::format("1 {}", one) : fmt::format("{} {}", count, many);
}

void add_bonds(virDomainPtr domain, const Flags& flags, std::vector<std::string>& bonds) {
    if (flags.managed_save) bonds.emplace_back("managed save");
    if (flags.snapshots) {
        if (const int count = virDomainSnapshotNum(domain, 0); count > 0)
            bonds.push_back(counted(count, "snapshot", "snapshots"));
    }
    if (flags.checkpoints) {
        virDomainCheckpointPtr* raw = nullptr;
        const int count = virDomainListAllCheckpoints(domain, &raw, 0);
        using Checkpoint = std::unique_ptr<virDomainCheckpoint, Releaser<virDomainCheckpointFree>>;
        if (count >= 0) static_cast<void>(adopt_list<Checkpoint>(raw, count));
        if (count > 0) bonds.push_back(counted(count, "checkpoint", "checkpoints"));
    }
}

Result<DomainView> read_view(virDomainPtr domain, const Flags& flags) {
    BALLAST_TRY(const auto xml, read_definition(domain, flags.persistent));
    BALLAST_TRY(auto view, parse_domain(xml));
    const bool incoming = is_ambiguous(flags.run.state, flags.run.reason) && is_incoming(domain);
    view.state = state_of(flags.run.state, flags.run.reason, incoming);
    view.state_reason = words_of_state(flags.run.state, flags.run.reason);
    view.persistent = flags.persistent;
    view.autostart = flags.autostart;
    add_bonds(domain, flags, view.bound_by);
    if (flags.run.state != VIR_DOMAIN_SHUTOFF) {
        if (flags.persistent) BALLAST_CHECK(add_live_devices(domain, view));
        BALLAST_TRY(view.balloon, read_balloon(domain));
    }
    return view;
}

/// UUIDs of the domains that a list filter matches; empty where the driver does not know the filter.
std::set<std::string> filtered(virConnectPtr connection, unsigned int filter) {
    virDomainPtr* raw = nullptr;
    const int count = virConnectListAllDomains(connection, &raw, filter);
    std::set<std::string> uuids;
    if (count < 0) return uuids;
    for (const auto& domain : adopt_list<Domain>(raw, count)) uuids.insert(uuid_of(domain.get()));
    return uuids;
}

Result<RunState> read_run_state(virDomainPtr domain) {
    RunState run;
    if (virDomainGetState(domain, &run.state, &run.reason, 0) < 0)
        return refused("can't read the state of domain {}", uuid_of(domain));
    return run;
}

/// A domain may end between the list and its turn: then it is simply not there.
bool has_gone(const Error& error) {
    return error.code() == Code::not_found;
}

}  // namespace

Result<std::vector<DomainView>> read_domains(virConnectPtr connection) {
    virDomainPtr* raw = nullptr;
    const int count = virConnectListAllDomains(connection, &raw, 0);
    if (count < 0) return refused("can't list the host's domains");
    const auto domains = adopt_list<Domain>(raw, count);
    const auto persistent = filtered(connection, VIR_CONNECT_LIST_DOMAINS_PERSISTENT);
    const auto autostart = autostart_domains(connection);
    const auto saved = filtered(connection, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE);
    const auto snapshots = filtered(connection, VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT);
    const auto checkpoints = filtered(connection, VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT);
    std::vector<DomainView> views;
    for (const auto& domain : domains) {
        if (is_probe_name(virDomainGetName(domain.get()))) continue;
        const std::string uuid = uuid_of(domain.get());
        auto view = read_run_state(domain.get());
        if (!view && has_gone(view.error())) continue;
        if (!view) return std::unexpected(view.error());
        auto made = read_view(domain.get(), {.run = *view,
                                             .persistent = persistent.contains(uuid),
                                             .autostart = autostart.contains(uuid),
                                             .managed_save = saved.contains(uuid),
                                             .snapshots = snapshots.contains(uuid),
                                             .checkpoints = checkpoints.contains(uuid)});
        if (made) views.push_back(std::move(*made));
        if (!made && !has_gone(made.error())) return std::unexpected(made.error());
    }
    return views;
}

std::set<std::string> autostart_domains(virConnectPtr connection) {
    return filtered(connection, VIR_CONNECT_LIST_DOMAINS_AUTOSTART);
}

Result<DomainView> read_one_domain(virConnectPtr connection, const VmId& vm) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    BALLAST_TRY(const auto run, read_run_state(domain.get()));
    int autostart = 0;
    static_cast<void>(virDomainGetAutostart(domain.get(), &autostart));  // a transient domain has none
    return read_view(domain.get(), {.run = run,
                                    .persistent = virDomainIsPersistent(domain.get()) == 1,
                                    .autostart = autostart == 1,
                                    .managed_save = virDomainHasManagedSaveImage(domain.get(), 0) == 1,
                                    .snapshots = true,
                                    .checkpoints = true});
}

}  // namespace ballast::drivers::libvirt
