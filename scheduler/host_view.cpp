#include "scheduler/host_view.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>

#include "scheduler/cells.h"

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

/// One VM's share of a host: the larger of what it runs with and what is claimed for it. What it asks of its place
/// stands in its own row, or in the claim's where it has none.
struct Share {
    Bytes claimed;
    Bytes cache;
    int vcpus = 0;
    const Vm* vm = nullptr;        ///< its row, where it has one
    bool counts = false;           ///< by that row, not by a claim alone
    const Claim* claim = nullptr;  ///< by which it counts otherwise
    const std::string* anti_affinity = nullptr;
    const VmPlacement* placement = nullptr;
    std::string_view name;
};

/// By VM; a reservation is for no VM and counts by itself.
using Shares = std::map<std::string_view, Share>;

void add_running(Shares& shares, const Vm& vm) {
    shares[vm.id.str()] = Share{.claimed = {},
                                .cache = {},
                                .vcpus = vm.spec.vcpus,
                                .vm = &vm,
                                .counts = true,
                                .anti_affinity = &vm.spec.anti_affinity,
                                .placement = &vm.spec.placement,
                                .name = vm.name};
}

std::string_view key_of(const Claim& claim) {
    return claim.vm.empty() ? claim.id.str() : claim.vm.str();
}

/// A reservation belongs to no VM, not even to one without an id.
bool is_own(const Claim& claim, const VmId& except) {
    return !claim.vm.empty() && claim.vm == except;
}

void add_claim(Shares& shares, const Claim& claim, const Snapshot& snapshot) {
    Share& share = shares[key_of(claim)];
    share.claimed = std::max(share.claimed, claim.memory);
    share.vcpus = std::max(share.vcpus, claim.vcpus);
    if (share.vm == nullptr) share.vm = snapshot.vms.find(claim.vm);
    if (share.placement != nullptr) return;
    share.claim = &claim;
    share.anti_affinity = &claim.anti_affinity;
    share.placement = &claim.placement;
    share.name = share.vm != nullptr ? std::string_view(share.vm->name)
                                     : std::string_view(claim.name.empty() ? claim.vm.str() : claim.name);
}

using Claims = std::vector<std::shared_ptr<const Claim>>;

/// Of two claims for one VM the first says what it asks of its place: not the order in which rows happen to lie decides
/// which one that is, or a replayed snapshot would give another answer.
Claims in_order(Claims claims) {
    std::ranges::sort(claims, {}, [](const auto& claim) -> const ClaimId& { return claim->id; });
    return claims;
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

/// Those that wish to lie on cells take theirs, the largest first, so that the order of their coming does not matter.
void take_cells(HostView& view, const Shares& shares) {
    view.cells = empty_cells(*view.host);
    std::vector<CellNeed> needs;
    for (const auto& [key, share] : shares)
        if (share.placement != nullptr && wants_cells(*share.placement))
            needs.push_back(cell_need(*share.placement,
                                      share.vm != nullptr ? share.vm->spec.memory : share.claimed + share.cache,
                                      share.vcpus));
    std::ranges::sort(needs, std::ranges::greater{}, [](const CellNeed& need) {
        return std::make_tuple(need.cells > 0, need.memory, need.pages, need.cpus);
    });
    for (const CellNeed& need : needs) take(view.cells, need);
}

/// What of a share its row stands for, and what is held beside it. The row of a claim's VM counts only where it is
/// promised less than the claim: elsewhere that row may change unseen (fleet/residency.h).
void count_memory(HostView& view, const Share& share) {
    const Host& host = *view.host;
    const bool squeezed = share.vm != nullptr && overcommits(host) && may_be_squeezed(share.vm->spec);
    const bool stands = share.counts || squeezed;
    const Bytes whole = stands ? memory_demand(share.vm->spec, host) : Bytes(0);
    const Bytes held = saturating_sub(share.claimed, whole) + share.cache;
    view.held_memory += held;
    view.promised_memory += held + (stands ? memory_promise(share.vm->spec, host) : Bytes(0));
    if (share.counts) view.vms.push_back(share.vm);
    if (share.claim != nullptr) view.arriving.push_back({share.claim, squeezed ? share.vm : nullptr});
}

HostView sum_up(const Host& host, const Shares& shares) {
    HostView view;
    view.host = &host;
    for (const auto& [key, share] : shares) {
        count_memory(view, share);
        view.promised_vcpus += share.vcpus;
        if (share.placement == nullptr) continue;
        for (const auto& [kind, count] : share.placement->devices) view.devices[kind] += count;
        for_each_group(*share.anti_affinity, *share.placement,
                       [&](const std::string& group) { view.groups[group].emplace_back(share.name); });
    }
    take_cells(view, shares);
    return view;
}

void add_cache(Shares& shares, const Snapshot& snapshot, const HostId& host, const Claim& claim) {
    if (const auto cache = cache_of(snapshot, claim); cache && cache->host == host)
        shares[key_of(claim)].cache += cache->memory;
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

bool overcommits(const Host& host) {
    return host.memory_policy != MemoryPolicy::none;
}

bool may_be_squeezed(const VmSpec& spec) {
    return spec.memory_policy != MemoryPolicy::none && spec.balloon.enabled && guaranteed_memory(spec) < spec.memory &&
           !spec.placement.hugepage_size && spec.placement.devices.empty();
}

Bytes memory_promise(const VmSpec& spec, const Host& host) {
    return memory_promise(spec, accelerator_of(host), overcommits(host));
}

Bytes memory_promise(const VmSpec& spec, Accelerator accelerator, bool overcommitted) {
    const Bytes guest = overcommitted && may_be_squeezed(spec) ? guaranteed_memory(spec) : spec.memory;
    return guest + qemu_overhead(spec, accelerator);
}

std::vector<HostView> view_hosts(const Snapshot& snapshot, const VmId& except) {
    std::unordered_map<HostId, Shares> shares;
    snapshot.vms.for_each([&](const Vm& vm) {
        if (vm.id == except) return;
        for (const HostId& id : hosts_of(vm))
            if (const Host* host = snapshot.hosts.find(id); host != nullptr && counts_on(vm, id))
                add_running(shares[id], vm);
    });
    const Claims claims = in_order(snapshot.claims.rows());
    for (const auto& claim : claims)
        if (!is_own(*claim, except)) add_claim(shares[claim->host], *claim, snapshot);
    for (const auto& claim : claims) {
        if (is_own(*claim, except)) continue;
        if (const auto cache = cache_of(snapshot, *claim)) shares[cache->host][key_of(*claim)].cache += cache->memory;
    }
    std::vector<HostView> views;
    snapshot.hosts.for_each([&](const Host& host) {
        if (host.state != HostState::removed) views.push_back(sum_up(host, shares[host.id]));
    });
    std::ranges::sort(views, {}, [](const HostView& view) { return std::tie(view.host->name, view.host->id); });
    return views;
}

namespace {

void add_claims(Shares& shares, const Snapshot& snapshot, const Host& host, const VmId& except, Claims rows) {
    const Claims claims = in_order(std::move(rows));
    for (const auto& claim : claims)
        if (!is_own(*claim, except) && claim->host == host.id) add_claim(shares, *claim, snapshot);
    for (const auto& claim : claims)
        if (!is_own(*claim, except)) add_cache(shares, snapshot, host.id, *claim);
}

}  // namespace

HostView view_host(const Snapshot& snapshot, const HostId& id, const VmId& except) {
    const Host& host = *snapshot.hosts.find(id);
    Shares shares;
    snapshot.vms.for_each([&](const Vm& vm) {
        if (vm.id != except && counts_on(vm, id)) add_running(shares, vm);
    });
    add_claims(shares, snapshot, host, except, snapshot.claims.rows());
    return sum_up(host, shares);
}

HostView view_host(const Snapshot& snapshot, const Host& host, const VmId& except, const Residents& residents) {
    Shares shares;
    for (const auto& vm : residents.vms)
        if (vm->id != except && counts_on(*vm, host.id)) add_running(shares, *vm);
    add_claims(shares, snapshot, host, except, residents.claims);
    return sum_up(host, shares);
}

namespace {

/// Counts members once for each host where they count.
class GroupCount {
  public:
    GroupCount(const Snapshot& snapshot, const VmSpec* of, Groups places)
        : snapshot_(snapshot), of_(of), groups_(std::move(places)) {}
    void add_vm(const Vm& vm, const VmId& except) {
        if (vm.id == except || !has_groups(vm.spec)) return;
        for (const HostId& host : hosts_of(vm))
            if (counts_on(vm, host)) add(vm.spec.anti_affinity, vm.spec.placement, vm.id.str(), host);
    }
    void add_claim(const Claim& claim, const VmId& except) {
        if (!is_own(claim, except)) add(claim.anti_affinity, claim.placement, key_of(claim), claim.host);
    }
    [[nodiscard]] Groups take() { return std::move(groups_); }

  private:
    void add(const std::string& anti_affinity, const VmPlacement& placement, std::string_view key,
             const HostId& where) {
        const Host* host = snapshot_.hosts.find(where);
        if (host == nullptr || host->state == HostState::removed) return;
        for_each_group(anti_affinity, placement, [&](const std::string& group) {
            if (of_ != nullptr && !is_member(*of_, group)) return;
            if (counted_.insert({group, where, std::string(key)}).second)
                count(groups_.of[group], *host, demand_of(anti_affinity, placement, group));
        });
    }
    static void count(GroupFacts& facts, const Host& host, const GroupDemand& demand) {
        facts.demand.add(demand);
        ++facts.members;
        ++facts.by_rack[std::string(rack_of(host))];
        GroupInZone& zone = facts.by_zone[std::string(zone_of(host))];
        ++zone.members;
        if (!accepts_work(host)) return;
        ++zone.settled;
        ++facts.settled;
        ++facts.by_host[host.id];
    }
    const Snapshot& snapshot_;
    const VmSpec* of_;
    std::set<std::tuple<std::string, HostId, std::string>> counted_;
    Groups groups_;
};

}  // namespace

void count_place(Groups& groups, const Host& host, int times) {
    if (!accepts_work(host)) return;
    groups.hosts += times;
    const auto zone = groups.zones.try_emplace(std::string(zone_of(host))).first;
    zone->second += times;
    if (zone->second == 0) groups.zones.erase(zone);
}

Groups view_groups(const Snapshot& snapshot, const VmSpec* of, const VmId& except) {
    if (of != nullptr && !has_groups(*of)) return {};
    Groups places;
    snapshot.hosts.for_each([&](const Host& host) { count_place(places, host, 1); });
    GroupCount count(snapshot, of, std::move(places));
    snapshot.vms.for_each([&](const Vm& vm) { count.add_vm(vm, except); });
    for (const auto& claim : in_order(snapshot.claims.rows())) count.add_claim(*claim, except);
    return count.take();
}

Groups view_groups(const Snapshot& snapshot, const VmSpec& of, const VmId& except, const Residents& members,
                   Groups places) {
    if (!has_groups(of)) return {};
    GroupCount count(snapshot, &of, std::move(places));
    for (const auto& vm : members.vms) count.add_vm(*vm, except);
    for (const auto& claim : in_order(members.claims)) count.add_claim(*claim, except);
    return count.take();
}

}  // namespace ballast::scheduler
