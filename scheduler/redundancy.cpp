#include "scheduler/redundancy.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

/// A number for a text; two texts of one number are only taken for more alike than they are.
std::uint64_t number_of(std::string_view text) {
    return text.empty() ? 0 : std::hash<std::string_view>{}(text) | 1U;
}

/// The group whose VMs never share a host with this one.
std::string_view apart_group(const std::string& anti_affinity, const VmPlacement& placement) {
    if (!anti_affinity.empty()) return anti_affinity;
    const auto& terms = placement.affinity;
    const auto apart = std::ranges::find_if(terms, [](const AffinityTerm& term) {
        return term.kind == AffinityKind::apart && term.strength == Strength::must && term.scope == AffinityScope::host;
    });
    return apart != terms.end() ? std::string_view(apart->group) : std::string_view();
}

/// What the VM needs wherever it starts again: QEMU's need is counted as the accelerator that needs more has it. A host
/// that overcommits holds what it promises it: its minimum.
Absorber::Guest guest_of(const VmSpec& spec) {
    const Bytes overhead = std::max(qemu_overhead(spec, Accelerator::kvm), qemu_overhead(spec, Accelerator::tcg));
    return {.memory = (spec.memory + overhead).count(),
            .vcpus = spec.vcpus,
            .apart = number_of(apart_group(spec.anti_affinity, spec.placement)),
            .squeezed = may_be_squeezed(spec) ? (spec.memory - guaranteed_memory(spec)).count() : 0};
}

Absorber::Guest guest_of(const Arrival& arrival) {
    if (arrival.vm != nullptr) return guest_of(arrival.vm->spec);
    const Claim& claim = *arrival.claim;
    return {.memory = claim.memory.count(),
            .vcpus = claim.vcpus,
            .apart = number_of(apart_group(claim.anti_affinity, claim.placement))};
}

std::uint64_t group_of(const Host& host, const std::string& label) {
    if (label.empty()) return 0;
    const auto at = host.settings.labels.find(label);
    return at != host.settings.labels.end() ? number_of(at->second) : 0;
}

}  // namespace

Absorber::Index Redundancy::index_of(const HostId& host) {
    const auto [at, fresh] = indices_.try_emplace(host, static_cast<Absorber::Index>(hosts_.size()));
    if (fresh) hosts_.push_back(host);
    return at->second;
}

void Redundancy::set(const HostView& view) {
    const Host& host = *view.host;
    const bool works = accepts_work(host);
    Absorber::HostState state{.group = group_of(host, wanted_.group_label),
                              .takes = works,
                              .counts = works,
                              .free_memory = view.free_memory().count(),
                              .free_vcpus = view.free_vcpus(),
                              .guests = {},
                              .squeezes = overcommits(host)};
    for (const Vm* vm : view.vms) state.guests.push_back(guest_of(vm->spec));
    for (const Arrival& arrival : view.arriving) state.guests.push_back(guest_of(arrival));
    absorber_.set(index_of(host.id), std::move(state));
}

void Redundancy::remove(const HostId& host) {
    if (const auto at = indices_.find(host); at != indices_.end()) absorber_.set(at->second, {});
}

std::optional<HostId> Redundancy::exposed_by(const Host& host, const VmSpec& spec) {
    const auto at = indices_.find(host.id);
    if (at == indices_.end()) return std::nullopt;
    const auto exposed = absorber_.exposed_by(at->second, guest_of(spec));
    return exposed ? std::optional(hosts_[*exposed]) : std::nullopt;
}

}  // namespace ballast::scheduler
