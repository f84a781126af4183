#include "scheduler/fleet/residency.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

/// Every id whose row differs, once for each slot of the table where it does.
template <class Row, class Visit>
void each_changed_id(const Table<Row>& before, const Table<Row>& now, Visit&& visit) {
    now.for_each_change(before, [&](const auto& old, const auto& next) {
        if (old) visit(old->id);
        if (next && (!old || old->id != next->id)) visit(next->id);
    });
}

/// What placement reads of a pool: how full it is changes all the time.
bool same_place(const Pool& a, const Pool& b) {
    return a.id == b.id && a.host == b.host && a.name == b.name && a.path == b.path && a.active == b.active;
}

template <class Rows, class Key>
void drop(Rows& rows, const Key& id) {
    std::erase_if(rows, [&](const auto& row) { return row->id == id; });
}

}  // namespace

std::optional<Residency::Slot> Residency::find(const HostId& host) const {
    const auto at = slots_.find(host);
    return at != slots_.end() ? std::optional(at->second) : std::nullopt;
}

Residents Residency::members_of(const VmSpec& spec) const {
    Residents members;
    for_each_group(spec, [&](const std::string& group) {
        const auto at = groups_.find(group);
        if (at == groups_.end()) return;
        std::ranges::copy(at->second.vms, std::back_inserter(members.vms));
        std::ranges::copy(at->second.claims, std::back_inserter(members.claims));
    });
    return members;
}

std::vector<Residency::Slot> Residency::places_of(const VmId& vm) const {
    std::vector<Slot> slots;
    if (vm.empty()) return slots;
    if (const auto at = vms_.find(vm); at != vms_.end()) slots = at->second.slots;
    if (const auto at = vm_claims_.find(vm); at != vm_claims_.end())
        for (const ClaimId& claim : at->second) std::ranges::copy(claims_.at(claim).slots, std::back_inserter(slots));
    std::ranges::sort(slots);
    const auto repeated = std::ranges::unique(slots);
    slots.erase(repeated.begin(), repeated.end());
    return slots;
}

Residency::Changes Residency::follow(std::shared_ptr<const Snapshot> next) {
    Changes changes;
    if (next == snapshot_) return changes;
    ++change_;
    const auto before = std::exchange(snapshot_, std::move(next));
    const Snapshot& now = *snapshot_;
    each_changed_id(before->hosts, now.hosts, [&](const HostId& id) { settle_host(id, changes); });
    each_changed_id(before->vms, now.vms, [&](const VmId& id) { settle_vm(id, changes); });
    each_changed_id(before->claims, now.claims, [&](const ClaimId& id) {
        if (now.claims.find(id) != nullptr) held_.erase(id);
        settle_claim(id, changes);
    });
    each_changed_id(before->migrations, now.migrations, [&](const JobId& id) {
        const ClaimId claim(id.str());
        if (claims_.contains(claim)) settle_claim(claim, changes);
    });
    follow_storage(*before, changes);
    return changes;
}

void Residency::follow_storage(const Snapshot& before, Changes& changes) {
    const Snapshot& now = *snapshot_;
    now.pools.for_each_change(before.pools, [&](const auto& old, const auto& next) {
        if (old && next && same_place(*old, *next)) return;
        if (old) mark(slot_of(old->host), changes);
        if (next) mark(slot_of(next->host), changes);
    });
    now.pairs.for_each_change(before.pairs, [&](const auto& old, const auto& next) {
        for (const auto& pair : {old, next}) {
            if (!pair) continue;
            mark(slot_of(pair->from), changes);
            mark(slot_of(pair->to), changes);
        }
    });
    now.images.for_each_change(before.images, [&](const auto&, const auto&) { changes.everywhere = true; });
}

Residency::Changes Residency::hold(Claim claim) {
    Changes changes;
    ++change_;
    const ClaimId id = claim.id;
    if (snapshot_->claims.find(id) == nullptr) held_[id] = std::make_shared<const Claim>(std::move(claim));
    settle_claim(id, changes);
    return changes;
}

Residency::Changes Residency::release(const ClaimId& id) {
    Changes changes;
    if (held_.erase(id) == 0) return changes;
    ++change_;
    settle_claim(id, changes);
    return changes;
}

Residency::Slot Residency::slot_of(const HostId& host) {
    const auto [at, fresh] = slots_.try_emplace(host, static_cast<Slot>(places_.size()));
    if (fresh) {
        places_.push_back(Place{.id = host, .host = nullptr, .residents = {}});
        marked_.push_back(0);
    }
    return at->second;
}

void Residency::mark(Slot slot, Changes& changes) {
    if (marked_[slot] == change_) return;
    marked_[slot] = change_;
    changes.slots.push_back(slot);
}

/// Where memory is overcommitted, the row of a claim's VM says what it is promised (host_view.h).
void Residency::mark_claimed(const VmId& id, Changes& changes) {
    const auto claims = vm_claims_.find(id);
    if (claims == vm_claims_.end()) return;
    for (const ClaimId& claim : claims->second)
        for (const Slot slot : claims_.at(claim).slots)
            if (places_[slot].host && overcommits(*places_[slot].host)) mark(slot, changes);
}

void Residency::settle_host(const HostId& id, Changes& changes) {
    const Slot slot = slot_of(id);
    places_[slot].host = snapshot_->hosts.find_ptr(id);
    mark(slot, changes);
}

void Residency::forget_vm(const VmId& id, Changes& changes) {
    const auto known = vms_.find(id);
    if (known == vms_.end()) return;
    for (const Slot slot : known->second.slots) {
        drop(places_[slot].residents.vms, id);
        mark(slot, changes);
    }
    for_each_group(known->second.row->spec, [&](const std::string& group) {
        const auto at = groups_.find(group);
        drop(at->second.vms, id);
        if (at->second.vms.empty() && at->second.claims.empty()) groups_.erase(at);
    });
    vms_.erase(known);
}

void Residency::settle_vm(const VmId& id, Changes& changes) {
    forget_vm(id, changes);
    mark_claimed(id, changes);
    const auto row = snapshot_->vms.find_ptr(id);
    if (!row) return;
    const auto hosts = hosts_of(*row);
    if (hosts.empty()) return;
    auto& settled = vms_[id];
    settled.row = row;
    for (const HostId& host : hosts) {
        const Slot slot = slot_of(host);
        places_[slot].residents.vms.push_back(row);
        settled.slots.push_back(slot);
        mark(slot, changes);
    }
    for_each_group(row->spec, [&](const std::string& group) { groups_[group].vms.push_back(row); });
}

std::shared_ptr<const Claim> Residency::claim_now(const ClaimId& id) const {
    if (auto row = snapshot_->claims.find_ptr(id)) return row;
    const auto at = held_.find(id);
    return at != held_.end() ? at->second : nullptr;
}

void Residency::forget_claim(const ClaimId& id, Changes& changes) {
    const auto known = claims_.find(id);
    if (known == claims_.end()) return;
    for (const Slot slot : known->second.slots) {
        drop(places_[slot].residents.claims, id);
        mark(slot, changes);
    }
    const Claim& row = *known->second.row;
    if (const auto of_vm = vm_claims_.find(row.vm); of_vm != vm_claims_.end()) {
        std::erase(of_vm->second, id);
        if (of_vm->second.empty()) vm_claims_.erase(of_vm);
    }
    for_each_group(row.anti_affinity, row.placement, [&](const std::string& group) {
        const auto at = groups_.find(group);
        drop(at->second.claims, id);
        if (at->second.vms.empty() && at->second.claims.empty()) groups_.erase(at);
    });
    claims_.erase(known);
}

void Residency::settle_claim(const ClaimId& id, Changes& changes) {
    forget_claim(id, changes);
    const auto row = claim_now(id);
    if (!row) return;
    auto& settled = claims_[id];
    settled.row = row;
    for (const HostId& host : hosts_of(*snapshot_, *row)) {
        const Slot slot = slot_of(host);
        places_[slot].residents.claims.push_back(row);
        settled.slots.push_back(slot);
        mark(slot, changes);
    }
    if (!row->vm.empty()) vm_claims_[row->vm].push_back(id);
    for_each_group(row->anti_affinity, row->placement,
                   [&](const std::string& group) { groups_[group].claims.push_back(row); });
}

namespace {

/// Brings rows up to date by what has changed since the basis; `wanted` says which of the changed ones belong to them.
template <class WantedVm, class WantedClaim>
Residents follow_rows(Residents rows, const Snapshot& before, const Snapshot& now, WantedVm wanted_vm,
                      WantedClaim wanted_claim) {
    each_changed_id(before.vms, now.vms, [&](const VmId& id) {
        drop(rows.vms, id);
        if (auto row = now.vms.find_ptr(id); row && wanted_vm(*row)) rows.vms.push_back(std::move(row));
    });
    const auto settle_claim = [&](const ClaimId& id) {
        drop(rows.claims, id);
        if (auto row = now.claims.find_ptr(id); row && wanted_claim(*row)) rows.claims.push_back(std::move(row));
    };
    each_changed_id(before.claims, now.claims, settle_claim);
    each_changed_id(before.migrations, now.migrations, [&](const JobId& id) { settle_claim(ClaimId(id.str())); });
    return rows;
}

/// The VM's spec may have got further groups since the decision.
bool knows_groups(const Basis& basis, const VmSpec& of) {
    bool known = true;
    for_each_group(of, [&](const std::string& group) {
        known = known && std::ranges::find(basis.groups, group) != basis.groups.end();
    });
    return known;
}

}  // namespace

std::vector<std::string> groups_of(const VmSpec& spec) {
    std::vector<std::string> groups;
    for_each_group(spec, [&](const std::string& group) { groups.push_back(group); });
    return groups;
}

Residents residents_now(const Snapshot& now, const Basis& basis) {
    const auto here = [&](const std::vector<HostId>& hosts) {
        return std::ranges::find(hosts, basis.host) != hosts.end();
    };
    return follow_rows(
        basis.residents, *basis.snapshot, now, [&](const Vm& vm) { return here(hosts_of(vm)); },
        [&](const Claim& claim) { return here(hosts_of(now, claim)); });
}

Groups groups_now(const Snapshot& now, const Basis& basis, const VmSpec& of, const VmId& except) {
    if (!has_groups(of)) return {};
    if (!knows_groups(basis, of)) return view_groups(now, &of, except);
    Groups places = basis.places;
    now.hosts.for_each_change(basis.snapshot->hosts, [&](const auto& before, const auto& after) {
        if (before) count_place(places, *before, -1);
        if (after) count_place(places, *after, 1);
    });
    const Residents members = follow_rows(
        basis.members, *basis.snapshot, now, [](const Vm& vm) { return has_groups(vm.spec); },
        [](const Claim&) { return true; });
    return view_groups(now, of, except, members, std::move(places));
}

}  // namespace ballast::scheduler
