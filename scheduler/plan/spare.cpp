#include "scheduler/plan/spare.h"

#include <algorithm>

namespace ballast::scheduler::plan {

Spare::Spare(const Model& model) : model_(&model), at_(model.homes()), hosts_(model.hosts.size()) {
    for (std::size_t h = 0; h < hosts_.size(); ++h) {
        const HostRow& row = model.hosts[h];
        hosts_[h].takes = row.target;
        hosts_[h].counts = row.target;
        hosts_[h].squeezes = overcommits(*row.row);
        hosts_[h].free_memory = row.memory - row.kept;
        hosts_[h].free_vcpus = row.vcpus - row.vcpus_kept;
    }
    for (std::size_t i = 0; i < at_.size(); ++i) count(static_cast<Index>(i), at_[i], 1);
    for (std::size_t h = 0; h < hosts_.size(); ++h) settle(static_cast<Index>(h));
    for (const Absorber::Index host : absorber_.exposed()) {  // no reason to refuse, and not asked about again
        hosts_[host].counts = false;
        settle(static_cast<Index>(host));
    }
}

Absorber::Guest Spare::guest(Index vm, Index host) const {
    const VmRow& row = model_->vms[pos(vm)];
    const bool less = overcommits(*model_->hosts[pos(host)].row);
    return {.memory = model_->memory_of(vm, host) + (less ? row.squeezed : 0),
            .vcpus = row.vcpus,
            .apart = row.apart < 0 ? 0 : static_cast<std::uint64_t>(row.apart) + 1,
            .squeezed = row.squeezed};
}

void Spare::count(Index vm, Index host, int sign) {
    Absorber::HostState& state = hosts_[pos(host)];
    const Absorber::Guest one = guest(vm, host);
    state.free_memory -= sign * model_->memory_of(vm, host);
    state.free_vcpus -= sign * one.vcpus;
    if (sign > 0)
        state.guests.push_back(one);
    else
        state.guests.erase(std::ranges::find(state.guests, one));
}

void Spare::settle(Index host) {
    absorber_.set(static_cast<Absorber::Index>(host), hosts_[pos(host)]);
}

/// While it moves, its room is held on both hosts: if the one that it leaves is lost, the room that waits for it at the
/// target is where it restarts; if the target is lost, it runs on. Afterwards it is one of the target's guests.
bool Spare::accepts(Index vm, Index to) {
    const Index from = at_[pos(vm)];
    const Absorber::HostState before_from = hosts_[pos(from)];
    const Absorber::HostState before_to = hosts_[pos(to)];
    count(vm, from, -1);
    hosts_[pos(from)].free_memory = before_from.free_memory;
    hosts_[pos(from)].free_vcpus = before_from.free_vcpus;
    hosts_[pos(to)].free_memory -= model_->memory_of(vm, to);
    hosts_[pos(to)].free_vcpus -= guest(vm, to).vcpus;
    settle(from);
    settle(to);
    bool good = holds();
    if (good) {
        hosts_[pos(from)].free_memory += model_->memory_of(vm, from);
        hosts_[pos(from)].free_vcpus += guest(vm, from).vcpus;
        hosts_[pos(to)].guests.push_back(guest(vm, to));
        settle(from);
        settle(to);
        good = holds();
    }
    hosts_[pos(from)] = before_from;
    hosts_[pos(to)] = before_to;
    settle(from);
    settle(to);
    return good;
}

void Spare::move(Index vm, Index to) {
    const Index from = at_[pos(vm)];
    count(vm, from, -1);
    count(vm, to, 1);
    at_[pos(vm)] = to;
    settle(from);
    settle(to);
}

void Spare::close(Index host, bool closed) {
    hosts_[pos(host)].takes = model_->hosts[pos(host)].target && !closed;
    settle(host);
}

bool Spare::holds() {
    return absorber_.exposed().empty();
}

}  // namespace ballast::scheduler::plan
