#include "scheduler/plan/group_book.h"

namespace ballast::scheduler::plan {

GroupBook::GroupBook(const Model& model)
    : model_(&model), all_(model.groups), at_(model.homes()), out_(model.vms.size(), false) {}

/// The group's demands keep those of the VM itself: a rule adds them in any case.
Surroundings GroupBook::around(Index vm) const {
    Surroundings around;
    const VmSpec& spec = model_->vms[pos(vm)].row->spec;
    if (!has_groups(spec)) return around;
    around.groups.zones = all_.zones;
    around.groups.hosts = all_.hosts;
    for_each_group(spec, [&](const std::string& group) {
        const GroupFacts* facts = all_.find(group);
        if (facts == nullptr) return;
        GroupFacts& own = around.groups.of[group];
        own = *facts;
        if (!out_[pos(vm)]) count(own, *model_->hosts[pos(at_[pos(vm)])].row, -1);
    });
    return around;
}

void GroupBook::move(Index vm, Index to) {
    if (model_->vms[pos(vm)].groups.empty()) return;
    count(vm, -1);
    at_[pos(vm)] = to;
    count(vm, 1);
}

void GroupBook::take_out(Index vm) {
    count(vm, -1);
    out_[pos(vm)] = true;
}

void GroupBook::count(Index vm, int sign) {
    const Host& host = *model_->hosts[pos(at_[pos(vm)])].row;
    for_each_group(model_->vms[pos(vm)].row->spec,
                   [&](const std::string& group) { count(all_.of[group], host, sign); });
}

/// As view_groups() counts one member.
void GroupBook::count(GroupFacts& facts, const Host& host, int sign) {
    facts.members += sign;
    facts.by_rack[std::string(rack_of(host))] += sign;
    GroupInZone& zone = facts.by_zone[std::string(zone_of(host))];
    zone.members += sign;
    if (!accepts_work(host)) return;
    zone.settled += sign;
    facts.settled += sign;
    const auto at = facts.by_host.try_emplace(host.id, 0).first;
    at->second += sign;
    if (at->second <= 0) facts.by_host.erase(at);
}

}  // namespace ballast::scheduler::plan
