#include "daemon/reconcile/merge.h"

#include <algorithm>
#include <utility>

#include "daemon/reconcile/alerts.h"
#include "daemon/reconcile/words.h"

namespace ballast::reconcile {
namespace {

using Definitions = std::vector<Definition>;

std::string name_of(const MergeContext& context, const HostId& host) {
    const Host* found = context.hosts.find(host);
    return found != nullptr ? found->name : host.str();
}

bool in_inventory(const MergeContext& context, const HostId& host) {
    const Host* found = context.hosts.find(host);
    return found != nullptr && found->state != HostState::removed;
}

bool is_dead(const MergeContext& context, const HostId& host) {
    const Host* found = context.hosts.find(host);
    return found != nullptr && found->confirmed_dead;
}

/// A copy that may be running: seen active, and not given up with its host.
bool counts(const MergeContext& context, const Definition& definition) {
    return is_active(definition.state) && !(definition.stale_view && is_dead(context, definition.host));
}

Definition* find_at(Definitions& definitions, const HostId& host) {
    const auto at = std::ranges::find(definitions, host, &Definition::host);
    return at == definitions.end() ? nullptr : &*at;
}

const Definition* find_owner(const Vm& vm) {
    if (!vm.host) return nullptr;
    const auto at = std::ranges::find(vm.definitions, *vm.host, &Definition::host);
    return at == vm.definitions.end() ? nullptr : &*at;
}

const drivers::DomainView* view_from(const std::vector<HostSaid>& said, const std::optional<HostId>& host) {
    for (const auto& one : said)
        if (host && one.host == *host && one.view) return &*one.view;
    return nullptr;
}

Definition definition_of(const HostSaid& said) {
    const drivers::DomainView& view = *said.view;
    Definition made;
    made.host = said.host;
    made.state = view.state;
    made.persistent = view.persistent;
    made.autostart = view.autostart;
    made.bound_by = view.bound_by;
    made.seen = said.time;
    if (view.stamp) {
        made.cluster = view.stamp->cluster;
        made.epoch = view.stamp->epoch;
    }
    return made;
}

/// Replaces what the host said before; the time alone is no news.
void put(Definitions& definitions, Definition made) {
    Definition* old = find_at(definitions, made.host);
    if (old == nullptr) {
        definitions.push_back(std::move(made));
        return;
    }
    const Timestamp seen = std::exchange(made.seen, old->seen);
    if (made == *old) return;
    made.seen = seen;
    *old = std::move(made);
}

void mark_stale(Definitions& definitions, const HostSaid& said) {
    Definition* old = find_at(definitions, said.host);
    if (old == nullptr || old->stale_view) return;
    old->stale_view = true;
    old->seen = std::max(old->seen, said.time);
}

/// A removed host's active copy stays as a warning while others define the VM: it may still run there.
void forget_host(Definitions& definitions, const HostId& host, const MergeContext& context) {
    Definition* old = find_at(definitions, host);
    if (old == nullptr) return;
    const bool others = std::ranges::any_of(
        definitions, [&](const Definition& other) { return other.host != host && in_inventory(context, other.host); });
    if (others && is_active(old->state)) {
        old->stale_view = true;
        return;
    }
    std::erase_if(definitions, [&](const Definition& one) { return one.host == host; });
}

void fold(Definitions& definitions, const HostSaid& said, const MergeContext& context) {
    switch (said.kind) {
        case HostSaid::Kind::defined:
            if (said.view) put(definitions, definition_of(said));
            return;
        case HostSaid::Kind::absent:
            std::erase_if(definitions, [&](const Definition& one) { return one.host == said.host; });
            return;
        case HostSaid::Kind::unreachable:
            mark_stale(definitions, said);
            return;
        case HostSaid::Kind::removed:
            forget_host(definitions, said.host, context);
            return;
    }
    std::unreachable();
}

/// The copies that matter for ownership.
struct Copies {
    std::vector<const Definition*> active;  ///< on hosts that were asked
    std::vector<const Definition*> feared;  ///< last seen active on hosts that can't be asked
};

Copies copies_of(const Vm& vm, const MergeContext& context) {
    Copies copies;
    for (const auto& one : vm.definitions) {
        if (!counts(context, one)) continue;
        (one.stale_view ? copies.feared : copies.active).push_back(&one);
    }
    return copies;
}

/// The definition that names the owner best: own stamp with the highest epoch, then one that was asked, then the
/// smallest host id so that the answer does not depend on the order.
const Definition* best_definition(const Vm& vm, const MergeContext& context) {
    const Definition* best = nullptr;
    const auto rank = [&](const Definition& one) {
        return std::pair(one.cluster == context.cluster ? one.epoch : 0, !one.stale_view);
    };
    for (const auto& one : vm.definitions) {
        if (one.stale_view && is_dead(context, one.host)) continue;
        if (best == nullptr || rank(one) > rank(*best) || (rank(one) == rank(*best) && one.host < best->host))
            best = &one;
    }
    return best;
}

/// Who owns the VM now (see merge.h). A migration's pair keeps its owner.
std::optional<HostId> decide_owner(const Vm& vm, const Copies& copies, const MergeContext& context) {
    if (vm.job) return vm.host;
    const Definition* owner = find_owner(vm);
    if (owner != nullptr && counts(context, *owner)) return vm.host;
    if (copies.active.size() == 1) return copies.active.front()->host;
    for (const Definition* one : copies.active)
        if (one->state != DomainState::incoming) return one->host;
    if (owner != nullptr && !(owner->stale_view && is_dead(context, owner->host))) return vm.host;
    if (const Definition* best = best_definition(vm, context)) return best->host;
    return owner != nullptr ? std::nullopt : vm.host;
}

struct Seen {
    VmState state = VmState::stopped;
    std::string reason;
};

std::string names(const std::vector<const Definition*>& definitions, const MergeContext& context) {
    std::vector<std::string> found;
    for (const Definition* one : definitions) found.push_back(name_of(context, one->host));
    return fmt::format("{}", fmt::join(found, " and "));
}

Seen unknown_at(const Definition& definition, const MergeContext& context) {
    return {VmState::unknown, fmt::format("last seen {} on {}, which can't be asked now", words(definition.state),
                                          name_of(context, definition.host))};
}

/// Several active copies that were asked: a migration's pair, a job's business, or a conflict. nullopt: doubtful.
std::optional<Seen> judge_copies(const Vm& vm, const Copies& copies, const MergeContext& context) {
    const auto& active = copies.active;
    if (active.size() == 2 && is_migration_pair(active[0]->state, active[1]->state))
        return Seen{VmState::migrating, fmt::format("moving between {}", names(active, context))};
    const auto paused = [](const Definition* one) { return one->state == DomainState::paused; };
    if (vm.job && active.size() == 2 && std::ranges::any_of(active, paused)) return Seen{vm.state, vm.state_reason};
    if (!context.proven && vm.state != VmState::conflict) return std::nullopt;
    return Seen{VmState::conflict, fmt::format("active on {}", names(active, context))};
}

Seen judge_owner(const Vm& vm, const Copies& copies, const MergeContext& context, const std::string& reason) {
    const Definition* owner = find_owner(vm);
    if (owner != nullptr && is_active(owner->state) && !owner->stale_view) return {state_of(owner->state), reason};
    if (!copies.feared.empty()) return unknown_at(*copies.feared.front(), context);
    if (owner != nullptr && counts(context, *owner)) return unknown_at(*owner, context);
    if (owner != nullptr && !owner->stale_view) return {state_of(owner->state), reason};
    if (owner != nullptr) return {is_active(owner->state) ? VmState::stopped : state_of(owner->state), vm.state_reason};
    if (!vm.host) return {VmState::stopped, vm.state_reason};
    return {VmState::missing, fmt::format("{} no longer defines it", name_of(context, *vm.host))};
}

/// While a job works on the VM, its state stays until the host shows the end of it.
VmState held(const Vm& vm, VmState seen) {
    if (!vm.job || seen == VmState::conflict) return seen;
    const auto is_one_of = [&](std::initializer_list<VmState> states) {
        return std::ranges::find(states, seen) != states.end();
    };
    switch (vm.state) {
        case VmState::creating:
        case VmState::starting:
            return is_one_of({VmState::running, VmState::crashed}) ? seen : vm.state;
        case VmState::stopping:
            return is_one_of({VmState::stopped, VmState::crashed}) ? seen : vm.state;
        case VmState::migrating:
        case VmState::deleting:
            return vm.state;
        case VmState::stopped:
        case VmState::running:
        case VmState::paused:
        case VmState::crashed:
        case VmState::unknown:
        case VmState::conflict:
        case VmState::missing:
            return seen == VmState::missing ? vm.state : seen;
    }
    std::unreachable();
}

void raise_observe_only(std::vector<std::string>& alerts, const Vm& vm, const Definition& one,
                        const MergeContext& context) {
    const std::string host = name_of(context, one.host);
    if (one.cluster.empty()) return;
    if (one.cluster != context.cluster) {
        alerts.push_back(
            fmt::format("{} {}'s definition belongs to cluster {}", alert::observe_only, host, one.cluster));
        return;
    }
    const std::uint64_t known = vm.epoch + (vm.job ? 1 : 0);  // a job stamps before the store hears of it
    if (one.epoch > known)
        alerts.push_back(
            fmt::format("{} {}'s definition carries epoch {}, the store knows {}: a restored backup, or a "
                        "second ballastd; adopt it again to decide",
                        alert::observe_only, host, one.epoch, vm.epoch));
    else if (!vm.managed)
        alerts.push_back(
            fmt::format("{} {}'s definition bears this cluster's stamp, but the store does not manage it; "
                        "adopt it to take it back",
                        alert::observe_only, host));
}

void raise_stale(std::vector<std::string>& alerts, const Vm& vm, const Definition& one, const MergeContext& context) {
    if (vm.job || !vm.host || one.host == *vm.host || vm.state == VmState::conflict || vm.state == VmState::migrating)
        return;
    alerts.push_back(fmt::format("{} {} still defines it{} (epoch {}); the owner is {} (epoch {})",
                                 alert::stale_definition, name_of(context, one.host),
                                 one.autostart ? ", with libvirt's autostart on" : "", one.epoch,
                                 name_of(context, *vm.host), vm.epoch));
}

void raise_for_definitions(std::vector<std::string>& alerts, const Vm& vm, const MergeContext& context) {
    bool broken = false;
    for (const auto& one : vm.definitions) {
        raise_observe_only(alerts, vm, one, context);
        raise_stale(alerts, vm, one, context);
        broken = broken || (one.state == DomainState::postcopy_failed && !one.stale_view && !vm.job);
    }
    if (broken)
        alerts.push_back(
            fmt::format("{} a post-copy migration stopped half-way and no job works on it; both copies "
                        "hold part of its memory, end neither",
                        alert::broken_post_copy));
}

void raise_difference(std::vector<std::string>& alerts, const Vm& vm, const drivers::DomainView* view) {
    if (!vm.managed || !vm.created_by_ballast) return;
    if (view == nullptr) {
        for (const auto& old : vm.alerts)
            if (alert::is_of(old, alert::definition_differs) || alert::is_of(old, alert::next_start))
                alerts.push_back(old);
        return;
    }
    std::string difference = spec_difference(vm.spec, view->spec);
    if (view->name != vm.name)
        difference += fmt::format("{}name {} -> {}", difference.empty() ? "" : "; ", vm.name, view->name);
    if (!difference.empty())
        alerts.push_back(fmt::format("{} {} (spec -> host)", alert::definition_differs, difference));
    if (vm.spec.overcommit.merge != view->spec.overcommit.merge)
        alerts.push_back(alert::merging_waits(vm.spec.overcommit.merge));
}

std::vector<std::string> alerts_of(const Vm& vm, const drivers::DomainView* view, const MergeContext& context) {
    std::vector<std::string> alerts;
    for (const auto& old : vm.alerts)
        if (!alert::is_own(old)) alerts.push_back(old);
    if (vm.state == VmState::conflict)
        alerts.push_back(fmt::format("{} {}; end all copies but one by hand, Ballast touches none", alert::conflict,
                                     vm.state_reason));
    if (vm.state == VmState::missing)
        alerts.push_back(fmt::format("{} {}; its volumes are untouched", alert::missing, vm.state_reason));
    raise_for_definitions(alerts, vm, context);
    raise_difference(alerts, vm, view);
    return alerts;
}

/// Name, spec and balloon, as its owner shows them.
void follow_owner(Vm& vm, const drivers::DomainView* view, const MergeContext& context) {
    const Definition* owner = find_owner(vm);
    const bool active = owner != nullptr && is_active(owner->state);
    if (!active) vm.balloon = Bytes(0);
    if (view == nullptr) return;
    if (active) vm.balloon = view->balloon;
    if (vm.managed && vm.created_by_ballast) return;
    vm.name = view->name;
    vm.spec = follow_host(vm.spec, view->spec);
    if (!vm.managed && owner != nullptr && owner->cluster == context.cluster) vm.epoch = owner->epoch;
}

Vm make_observed(const VmId& id, const MergeContext& context) {
    Vm vm;
    vm.id = id;
    vm.state_since = vm.created = context.now;
    vm.spec.memory_policy = MemoryPolicy::none;
    vm.spec.moves = MovePolicy::ask;
    return vm;
}

/// What the VM would leave the inventory for; empty: it stays.
std::optional<Note> reason_to_leave(const Vm& vm, const std::optional<Vm>& before, const MergeContext& context) {
    const bool anywhere =
        std::ranges::any_of(vm.definitions, [&](const Definition& one) { return in_inventory(context, one.host); });
    if (anywhere || vm.job) return std::nullopt;
    const bool host_left = std::ranges::any_of(before ? before->definitions : Definitions{},
                                               [&](const Definition& one) { return !in_inventory(context, one.host); });
    if (host_left)
        return Note{"vm.forgotten",
                    fmt::format("{} left the inventory with its host, which keeps it as it is", vm.name)};
    if (vm.managed) return std::nullopt;
    return Note{"vm.removed_outside", fmt::format("{} is defined nowhere any more", vm.name)};
}

void set_state(Vm& vm, const Seen& seen, const MergeContext& context) {
    const VmState state = held(vm, seen.state);
    if (state == vm.state && state != VmState::conflict) return;
    const bool same = state == vm.state;
    vm.state = state;
    vm.state_reason = seen.reason;
    if (!same) vm.state_since = context.now;
}

/// Whether the owner's stamp knows of a later epoch than the store. Then the store is a restored one (SAFETY.md 7): its
/// epoch stays behind, so that this is seen for as long as nobody decides.
bool is_ahead(const Vm& vm, const MergeContext& context) {
    const Definition* owner = find_owner(vm);
    return owner != nullptr && owner->cluster == context.cluster && owner->epoch > vm.epoch;
}

/// Owner, state and alerts from the definitions. False: doubtful.
bool judge(Vm& vm, const std::vector<HostSaid>& said, const MergeContext& context, bool is_new) {
    const Copies copies = copies_of(vm, context);
    const bool still_in_conflict =
        vm.state == VmState::conflict && copies.active.size() + copies.feared.size() > 1 && !copies.feared.empty();
    std::optional<Seen> seen = Seen{vm.state, vm.state_reason};
    if (copies.active.size() > 1) seen = judge_copies(vm, copies, context);
    if (!seen) return false;
    const auto owner = still_in_conflict ? vm.host : decide_owner(vm, copies, context);
    const bool moved = vm.managed && !is_new && owner && owner != vm.host;
    vm.host = owner;
    if (moved && !is_ahead(vm, context)) ++vm.epoch;
    const auto* view = view_from(said, vm.host);
    if (copies.active.size() <= 1 && !still_in_conflict)
        seen = judge_owner(vm, copies, context, view != nullptr ? view->state_reason : std::string{});
    set_state(vm, *seen, context);
    follow_owner(vm, view, context);
    vm.alerts = alerts_of(vm, view, context);
    return true;
}

/// Whether the owner's host was confirmed dead and the VM still waits for its release.
bool is_left_by_the_dead(const Vm& vm, const MergeContext& context) {
    const Definition* owner = find_owner(vm);
    return !vm.job && owner != nullptr && owner->stale_view && is_dead(context, owner->host) &&
           (vm.managed || vm.state != VmState::stopped);
}

/// Defined nowhere, by the word of hosts that are still in the inventory.
bool has_vanished(const Vm& before, const Vm& now, const MergeContext& context) {
    const auto stayed = [&](const Definition& one) { return in_inventory(context, one.host); };
    return !now.job && now.definitions.empty() && !before.definitions.empty() &&
           std::ranges::all_of(before.definitions, stayed);
}

bool says_anything(const std::vector<HostSaid>& said) {
    return std::ranges::any_of(said, [](const HostSaid& one) { return one.view.has_value(); });
}

VmId id_in(const std::vector<HostSaid>& said) {
    for (const auto& one : said)
        if (one.view) return one.view->id;
    return {};
}

}  // namespace

VmState state_of(DomainState domain) {
    switch (domain) {
        case DomainState::running:
            return VmState::running;
        case DomainState::paused:
        case DomainState::suspended:
            return VmState::paused;
        case DomainState::shut_off:
            return VmState::stopped;
        case DomainState::incoming:
        case DomainState::postcopy_source:
        case DomainState::postcopy_target:
        case DomainState::postcopy_failed:
            return VmState::migrating;
        case DomainState::shutting_down:
            return VmState::stopping;
        case DomainState::crashed:
            return VmState::crashed;
        case DomainState::unknown:
            return VmState::unknown;
    }
    std::unreachable();
}

bool is_migration_pair(DomainState a, DomainState b) {
    const auto is_end = [](DomainState source, DomainState target) {
        const bool sends = source == DomainState::running || source == DomainState::paused ||
                           source == DomainState::postcopy_source || source == DomainState::postcopy_failed;
        const bool pulls = target == DomainState::postcopy_target || target == DomainState::postcopy_failed;
        const bool post_copy = source == DomainState::postcopy_source || source == DomainState::postcopy_failed;
        return (sends && target == DomainState::incoming) || (post_copy && pulls) ||
               (post_copy && target == DomainState::running);
    };
    return is_end(a, b) || is_end(b, a);
}

Merged merge(const std::optional<Vm>& row, const std::vector<HostSaid>& said, const MergeContext& context) {
    if (!row && !says_anything(said)) return {};
    Vm vm = row ? *row : make_observed(id_in(said), context);
    for (const auto& one : said) fold(vm.definitions, one, context);
    std::ranges::sort(vm.definitions, {}, &Definition::host);
    if (row && is_left_by_the_dead(vm, context))
        vm = released(std::move(vm), *vm.host, "found at the next look", context.now);
    if (row && has_vanished(*row, vm, context) && !context.searched)
        return {.row = row, .notes = {}, .doubtful = false, .vanished = true};
    if (auto note = reason_to_leave(vm, row, context)) return {.row = std::nullopt, .notes = {*std::move(note)}};
    if (!judge(vm, said, context, !row)) return {.row = row, .notes = {}, .doubtful = true, .vanished = false};
    if (row && vm == *row) return {.row = std::move(vm), .notes = {}};
    auto notes = describe_change(row, vm, context);
    return {.row = std::move(vm), .notes = std::move(notes)};
}

Vm released(Vm vm, const HostId& dead, const std::string& reason, Timestamp now) {
    if (!vm.host || *vm.host != dead || vm.job) return vm;
    if (vm.managed) {
        vm.host.reset();
        ++vm.epoch;
    }
    for (auto& one : vm.definitions)
        if (one.host == dead) one.stale_view = true;
    vm.balloon = Bytes(0);
    vm.state = VmState::stopped;
    vm.state_reason = fmt::format("host confirmed dead: {}", reason);
    vm.state_since = now;
    return vm;
}

}  // namespace ballast::reconcile
