#include "scheduler/host_view.h"

#include <algorithm>
#include <unordered_map>

namespace ballast::scheduler {
namespace {

/// Whether the owner's host must keep room for a VM in this state even if no active definition was seen there (yet).
bool holds_room_at_owner(VmState state) {
    switch (state) {
        case VmState::creating:
        case VmState::starting:
        case VmState::running:
        case VmState::paused:
        case VmState::stopping:
        case VmState::migrating:
        case VmState::unknown:
        case VmState::conflict:
            return true;
        case VmState::stopped:
        case VmState::crashed:
        case VmState::missing:
        case VmState::deleting:
            return false;
    }
    std::unreachable();
}

bool counts_on(const Vm& vm, const HostId& host) {
    if (vm.host == host && holds_room_at_owner(vm.state)) return true;
    return std::ranges::any_of(vm.definitions, [&](const Definition& definition) {
        return definition.host == host && is_active(definition.state);
    });
}

/// One VM's share of a host: the larger of what it runs with and what is claimed for it.
struct Share {
    Bytes memory;
    int vcpus = 0;
    std::string group;
};

using Shares = std::map<VmId, Share>;

void add_running(Shares& shares, const Vm& vm, const Host& host) {
    shares[vm.id] = Share{memory_demand(vm.spec, host), vm.spec.vcpus, vm.spec.anti_affinity};
}

void add_claim(Shares& shares, const Claim& claim) {
    Share& share = shares[claim.vm];
    share.memory = std::max(share.memory, claim.memory);
    share.vcpus = std::max(share.vcpus, claim.vcpus);
    if (share.group.empty()) share.group = claim.anti_affinity;
}

/// A host that must keep room for the cache of a migration's XBZRLE, and how much.
struct Cache {
    HostId host;
    Bytes memory;
};

/// What a claimed migration needs on the host that it leaves, beside the guest that still runs there.
std::optional<Cache> cache_of(const Snapshot& snapshot, const Claim& claim) {
    const Migration* migration = snapshot.migrations.find(claim.job);
    if (migration == nullptr || !migration->knobs.xbzrle || !migration->knobs.xbzrle_cache) return std::nullopt;
    return Cache{.host = migration->from, .memory = *migration->knobs.xbzrle_cache};
}

HostView sum_up(const Snapshot& snapshot, const Host& host, const Shares& shares) {
    HostView view{.host = &host, .promised_memory = {}, .promised_vcpus = 0, .groups = {}};
    for (const auto& [id, share] : shares) {
        view.promised_memory += share.memory;
        view.promised_vcpus += share.vcpus;
        if (share.group.empty()) continue;
        const Vm* vm = snapshot.vms.find(id);
        view.groups[share.group].push_back(vm != nullptr ? vm->name : id.str());
    }
    return view;
}

void add_cache(Shares& shares, const Snapshot& snapshot, const HostId& host, const Claim& claim) {
    if (const auto cache = cache_of(snapshot, claim); cache && cache->host == host)
        shares[claim.vm].memory += cache->memory;
}

}  // namespace

std::vector<HostId> hosts_of(const Vm& vm) {
    std::vector<HostId> hosts;
    if (vm.host) hosts.push_back(*vm.host);
    for (const Definition& definition : vm.definitions)
        if (std::ranges::find(hosts, definition.host) == hosts.end()) hosts.push_back(definition.host);
    return hosts;
}

std::vector<HostId> hosts_of(const Snapshot& snapshot, const Claim& claim) {
    std::vector<HostId> hosts{claim.host};
    if (const auto cache = cache_of(snapshot, claim); cache && cache->host != claim.host) hosts.push_back(cache->host);
    return hosts;
}

Accelerator accelerator_of(const Host& host) {
    if (host.settings.accelerator != Accelerator::auto_) return host.settings.accelerator;
    const bool kvm = std::ranges::find(host.facts.accelerators, "kvm") != host.facts.accelerators.end();
    return kvm ? Accelerator::kvm : Accelerator::tcg;
}

Bytes qemu_overhead(const VmSpec& spec, Accelerator accelerator) {
    constexpr Bytes tcg_base = mebibytes(110);
    constexpr Bytes kvm_base = mebibytes(64);
    constexpr Bytes per_further_vcpu = mebibytes(8);
    constexpr int page_table_divisor = 512;
    const Bytes base = accelerator == Accelerator::kvm ? kvm_base : tcg_base;
    return base + per_further_vcpu * std::max(0, spec.vcpus - 1) + spec.memory / page_table_divisor;
}

Bytes memory_demand(const VmSpec& spec, const Host& host) {
    return spec.memory + qemu_overhead(spec, accelerator_of(host));
}

std::vector<HostView> view_hosts(const Snapshot& snapshot, const VmId& except) {
    std::unordered_map<HostId, Shares> shares;
    snapshot.vms.for_each([&](const Vm& vm) {
        if (vm.id == except) return;
        for (const HostId& id : hosts_of(vm))
            if (const Host* host = snapshot.hosts.find(id); host != nullptr && counts_on(vm, id))
                add_running(shares[id], vm, *host);
    });
    snapshot.claims.for_each([&](const Claim& claim) {
        if (claim.vm == except) return;
        add_claim(shares[claim.host], claim);
    });
    snapshot.claims.for_each([&](const Claim& claim) {  // after every claim: the larger counts first, the cache on top
        if (claim.vm == except) return;
        if (const auto cache = cache_of(snapshot, claim)) shares[cache->host][claim.vm].memory += cache->memory;
    });
    std::vector<HostView> views;
    snapshot.hosts.for_each([&](const Host& host) {
        if (host.state != HostState::removed) views.push_back(sum_up(snapshot, host, shares[host.id]));
    });
    std::ranges::sort(views, {}, [](const HostView& view) { return std::tie(view.host->name, view.host->id); });
    return views;
}

HostView view_host(const Snapshot& snapshot, const HostId& id, const VmId& except) {
    const Host& host = *snapshot.hosts.find(id);
    Shares shares;
    snapshot.vms.for_each([&](const Vm& vm) {
        if (vm.id != except && counts_on(vm, id)) add_running(shares, vm, host);
    });
    snapshot.claims.for_each([&](const Claim& claim) {
        if (claim.vm != except && claim.host == id) add_claim(shares, claim);
    });
    snapshot.claims.for_each([&](const Claim& claim) {
        if (claim.vm != except) add_cache(shares, snapshot, id, claim);
    });
    return sum_up(snapshot, host, shares);
}

HostView view_host(const Snapshot& snapshot, const Host& host, const VmId& except, const Residents& residents) {
    Shares shares;
    for (const auto& vm : residents.vms)
        if (vm->id != except && counts_on(*vm, host.id)) add_running(shares, *vm, host);
    for (const auto& claim : residents.claims)
        if (claim->vm != except && claim->host == host.id) add_claim(shares, *claim);
    for (const auto& claim : residents.claims)
        if (claim->vm != except) add_cache(shares, snapshot, host.id, *claim);
    return sum_up(snapshot, host, shares);
}

}  // namespace ballast::scheduler
