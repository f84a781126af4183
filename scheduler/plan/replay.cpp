#include "scheduler/plan/replay.h"

#include <algorithm>
#include <unordered_map>

#include "scheduler/plan/judge.h"

namespace ballast::scheduler::plan {
namespace {

/// The VM's row as it will be once it has moved.
Vm moved(const Vm& vm, const HostId& from, const HostId& to) {
    Vm row = vm;
    row.host = to;
    for (Definition& definition : row.definitions)
        if (definition.host == from) definition.host = to;
    return row;
}

}  // namespace

Replay::Replay(const Model& model)
    : model_(&model), snapshot_(*model.snapshot), views_(model.views), groups_(model), at_(model.homes()) {
    std::unordered_map<HostId, std::size_t> index;
    for (std::size_t h = 0; h < model.hosts.size(); ++h) index[model.hosts[h].row->id] = h;
    residents_.resize(model.hosts.size());
    for (const auto& vm : snapshot_.vms.rows())
        for (const HostId& host : hosts_of(*vm))
            if (const auto at = index.find(host); at != index.end()) residents_[at->second].vms.push_back(vm);
    for (const auto& claim : snapshot_.claims.rows())
        for (const HostId& host : hosts_of(snapshot_, *claim))
            if (const auto at = index.find(host); at != index.end()) residents_[at->second].claims.push_back(claim);
}

Surroundings Replay::with_memory(Surroundings around) const {
    around.load = model_->load.get();
    around.memory = model_->options.memory.get();
    return around;
}

/// Memory that the VM shares with others where it was seen, and that the target has to back once more. A target that
/// promises whole maxima holds them without any sharing.
Bytes Replay::lost_sharing(Index vm, Index to) const {
    const MemoryAdmission* memory = model_->options.memory.get();
    if (memory == nullptr || !overcommits(*model_->hosts[pos(to)].row)) return {};
    return memory->lost_sharing(model_->vms[pos(vm)].row->id);
}

std::vector<RuleVerdict> Replay::judge(Index vm, Index to) const {
    const Vm& row = *model_->vms[pos(vm)].row;
    const auto request = move_request(row, model_->hosts[pos(host_of(vm))].row->id);
    return judge_all({snapshot_, request, view(to), around(vm)});
}

bool Replay::accepts(Index vm, Index to) const {
    const Vm& row = *model_->vms[pos(vm)].row;
    const auto request = move_request(row, model_->hosts[pos(host_of(vm))].row->id);
    return all_accept({snapshot_, request, view(to), around(vm)}) && keeps_spare(vm, to);
}

bool Replay::accepts(const VmSpec& spec, Index host) const {
    PlacementRequest request;
    request.spec = spec;
    return all_accept({snapshot_, request, view(host), with_memory({.groups = view_groups(snapshot_, &spec, VmId())})});
}

/// Readiness is no rule about where VMs are: a host in maintenance is emptied by an order, not mended.
std::vector<RuleVerdict> Replay::broken(Index vm) const {
    const Vm& row = *model_->vms[pos(vm)].row;
    const Index host = host_of(vm);
    PlacementRequest request;
    request.spec = row.spec;
    request.vm = row.id;
    const HostView without = view_host(snapshot_, *model_->hosts[pos(host)].row, row.id, residents_[pos(host)]);
    const Surroundings surroundings = around(vm);
    const Candidate candidate{snapshot_, request, without, surroundings};
    if (all_accept(candidate)) return {};
    auto verdicts = judge_all(candidate);
    std::erase_if(verdicts,
                  [](const RuleVerdict& verdict) { return verdict.accepted || verdict.rule == "host_ready"; });
    return verdicts;
}

std::size_t Replay::count_broken(const std::vector<Index>& vms) const {
    return static_cast<std::size_t>(std::ranges::count_if(vms, [&](Index vm) { return !broken(vm).empty(); }));
}

bool Replay::outlived_by_groups(Index vm, Index to) {
    const VmRow& row = model_->vms[pos(vm)];
    if (row.groups.empty()) return true;
    const Surroundings surroundings = groups_.around(vm);
    const bool spread = std::ranges::any_of(surroundings.groups.of, [](const auto& group) {
        return group.second.demand.at(AffinityKind::spread, AffinityScope::host) > 0 ||
               group.second.demand.at(AffinityKind::spread, AffinityScope::zone) > 0;
    });
    if (!spread) return true;
    std::vector<Index> members;
    for (std::size_t i = 0; i < model_->vms.size(); ++i) {
        const bool shares =
            std::ranges::find_first_of(model_->vms[i].groups, row.groups) != model_->vms[i].groups.end();
        if (shares) members.push_back(static_cast<Index>(i));
    }
    const Index from = host_of(vm);
    const std::size_t before = count_broken(members);
    static_cast<void>(make(vm, to));
    const std::size_t after = count_broken(members);
    static_cast<void>(make(vm, from));
    return after <= before;
}

StepProof Replay::make(Index vm, Index to) {
    const Index from = host_of(vm);
    const Vm& row = *model_->vms[pos(vm)].row;
    StepProof proof;
    proof.target_free_before = view(to).free_memory();
    const Vm* now = snapshot_.vms.find(row.id);
    forget(vm, from);
    snapshot_.vms.put(moved(*now, model_->hosts[pos(from)].row->id, model_->hosts[pos(to)].row->id));
    forget(vm, to);  // a stale definition of the same VM
    residents_[pos(to)].vms.push_back(snapshot_.vms.find_ptr(row.id));
    at_[pos(vm)] = to;
    groups_.move(vm, to);
    if (spare_) spare_->move(vm, to);
    view_again(from);
    view_again(to);
    proof.target_free_after = saturating_sub(view(to).free_memory(), lost_sharing(vm, to));
    proof.rules = fmt::format("{} rules hold", count_rules());
    return proof;
}

void Replay::take_out(Index vm) {
    forget(vm, host_of(vm));
    snapshot_.vms.erase(model_->vms[pos(vm)].row->id);
    groups_.take_out(vm);
    view_again(host_of(vm));
}

void Replay::forget(Index vm, Index host) {
    const VmId& id = model_->vms[pos(vm)].row->id;
    std::erase_if(residents_[pos(host)].vms, [&](const auto& row) { return row->id == id; });
}

void Replay::view_again(Index host) {
    views_[pos(host)] = view_host(snapshot_, *model_->hosts[pos(host)].row, VmId(), residents_[pos(host)]);
}

}  // namespace ballast::scheduler::plan
