// What changed between two rows of a VM, told as events.
#include <algorithm>

#include "daemon/reconcile/merge.h"
#include "daemon/reconcile/words.h"

namespace ballast::reconcile {
namespace {

std::string at(const MergeContext& context, const HostId& host) {
    const Host* found = context.hosts.find(host);
    return found != nullptr ? found->name : host.str();
}

std::string at(const MergeContext& context, const std::optional<HostId>& host) {
    return host ? at(context, *host) : "nowhere";
}

const Definition* find_on(const Vm& vm, const std::optional<HostId>& host) {
    if (!host) return nullptr;
    const auto found = std::ranges::find(vm.definitions, *host, &Definition::host);
    return found == vm.definitions.end() ? nullptr : &*found;
}

std::string because(const Vm& vm) {
    return vm.state_reason.empty() ? std::string{} : fmt::format(" ({})", vm.state_reason);
}

/// The last state that was known before the VM could not be asked.
VmState last_known(const Vm& vm) {
    if (vm.state != VmState::unknown) return vm.state;
    const Definition* owner = find_on(vm, vm.host);
    return owner != nullptr ? state_of(owner->state) : vm.state;
}

std::string_view kind_of_running(VmState from) {
    if (from == VmState::paused) return "vm.resumed";
    if (from == VmState::migrating) return "vm.migration_ended";
    return "vm.started";
}

/// QEMU stands still while it starts: a look at that moment is of a start, not of somebody's pause.
std::string_view kind_of_paused(VmState from) {
    return from == VmState::stopped || from == VmState::crashed ? "vm.started" : "vm.paused";
}

/// The event that leads from one state to another.
std::string_view kind_of(VmState from, VmState to) {
    switch (to) {
        case VmState::running:
            return kind_of_running(from);
        case VmState::stopped:
            return "vm.stopped";
        case VmState::paused:
            return kind_of_paused(from);
        case VmState::crashed:
            return "vm.crashed";
        case VmState::migrating:
            return "vm.migrating";
        case VmState::unknown:
            return "vm.unknown";
        case VmState::conflict:
            return "vm.conflict";
        case VmState::missing:
            return "vm.missing";
        case VmState::creating:
        case VmState::starting:
        case VmState::stopping:
        case VmState::deleting:
            return "vm.changed";
    }
    std::unreachable();
}

void describe_state(std::vector<Note>& notes, const Vm& before, const Vm& after, const MergeContext& context) {
    if (before.state == after.state) return;
    const bool was_lost_from_sight =
        before.state == VmState::unknown || before.state == VmState::conflict || before.state == VmState::missing;
    const VmState from = last_known(before);
    const bool returned = was_lost_from_sight && (from == after.state || before.state != VmState::unknown);
    if (returned && after.state != VmState::unknown && after.state != VmState::conflict &&
        after.state != VmState::missing) {
        notes.push_back({"vm.found", fmt::format("{} is known again: {} on {}", after.name, words(after.state),
                                                 at(context, after.host))});
        return;
    }
    const std::string meanwhile = was_lost_from_sight ? " while it could not be asked" : "";
    notes.push_back(
        {std::string(kind_of(from, after.state)), fmt::format("{} is {} on {}{}{}", after.name, words(after.state),
                                                              at(context, after.host), meanwhile, because(after))});
}

void describe_owner(std::vector<Note>& notes, const Vm& before, const Vm& after, const MergeContext& context) {
    if (before.host == after.host) return;
    if (!before.host || !after.host) {
        notes.push_back({"vm.moved", fmt::format("{} belongs to {} now", after.name, at(context, after.host))});
        return;
    }
    notes.push_back({"vm.moved", fmt::format("{} is on {} now, it was on {}", after.name, at(context, after.host),
                                             at(context, before.host))});
}

/// What changed in one definition, in words.
std::string difference(const Definition& before, const Definition& after) {
    std::vector<std::string> parts;
    if (before.state != after.state) parts.push_back(fmt::format("{} -> {}", words(before.state), words(after.state)));
    if (before.persistent != after.persistent)
        parts.emplace_back(after.persistent ? "defined" : "no longer persistent");
    if (before.autostart != after.autostart)
        parts.push_back(fmt::format("autostart {}", after.autostart ? "on" : "off"));
    if (before.cluster != after.cluster || before.epoch != after.epoch)
        parts.push_back(fmt::format("stamp: cluster '{}', epoch {}", after.cluster, after.epoch));
    if (before.bound_by != after.bound_by)
        parts.push_back(after.bound_by.empty()
                            ? "bound to the host by nothing any more"
                            : fmt::format("bound to the host by {}", fmt::join(after.bound_by, ", ")));
    if (before.stale_view != after.stale_view)
        parts.emplace_back(after.stale_view ? "can't be asked now" : "can be asked again");
    return fmt::format("{}", fmt::join(parts, ", "));
}

void describe_definition(std::vector<Note>& notes, const Vm& before, const Definition& now, const Vm& after,
                         const MergeContext& context) {
    const Definition* old = find_on(before, now.host);
    if (old == nullptr) {
        notes.push_back({"vm.defined", fmt::format("{} is defined on {}", after.name, at(context, now.host))});
        return;
    }
    // The state note tells what its owner's state did.
    Definition same = *old;
    if (after.host == now.host && before.state != after.state) {
        same.state = now.state;
        same.stale_view = now.stale_view;
    }
    const std::string text = difference(same, now);
    if (text.empty()) return;
    const bool undefined = same.persistent && !now.persistent;
    const bool defined = !same.persistent && now.persistent;
    notes.push_back({undefined ? "vm.undefined"
                     : defined ? "vm.defined"
                               : "vm.changed",
                     fmt::format("{} on {}: {}", after.name, at(context, now.host), text)});
}

void describe_definitions(std::vector<Note>& notes, const Vm& before, const Vm& after, const MergeContext& context) {
    for (const auto& now : after.definitions) describe_definition(notes, before, now, after, context);
    for (const auto& old : before.definitions)
        if (find_on(after, old.host) == nullptr)
            notes.push_back(
                {"vm.undefined", fmt::format("{} is no longer defined on {}", after.name, at(context, old.host))});
}

void describe_spec(std::vector<Note>& notes, const Vm& before, const Vm& after) {
    if (before.name != after.name)
        notes.push_back({"vm.changed", fmt::format("{} is named {} now", before.name, after.name)});
    if (before.spec == after.spec) return;
    const std::string text = spec_difference(before.spec, after.spec);
    notes.push_back({"vm.changed", text.empty() ? fmt::format("the definition of {} changed", after.name)
                                                : fmt::format("{}: {}", after.name, text)});
}

void describe_alerts(std::vector<Note>& notes, const Vm& before, const Vm& after) {
    const auto has = [](const Vm& vm, const std::string& text) {
        return std::ranges::find(vm.alerts, text) != vm.alerts.end();
    };
    for (const auto& text : after.alerts)
        if (!has(before, text)) notes.push_back({"vm.alert_raised", fmt::format("{}: {}", after.name, text)});
    for (const auto& text : before.alerts)
        if (!has(after, text)) notes.push_back({"vm.alert_cleared", fmt::format("{}: {}", after.name, text)});
}

std::vector<Note> describe_new(const Vm& vm, const MergeContext& context) {
    std::vector<Note> notes;
    const std::string where = at(context, vm.host);
    if (context.host_is_new) {
        notes.push_back({"vm.discovered", fmt::format("{} was found on {}, {}", vm.name, where, words(vm.state))});
    } else {
        notes.push_back({"vm.defined", fmt::format("{} is defined on {}", vm.name, where)});
        if (vm.state == VmState::running)
            notes.push_back({"vm.started", fmt::format("{} is running on {}{}", vm.name, where, because(vm))});
    }
    describe_alerts(notes, Vm{}, vm);
    return notes;
}

}  // namespace

std::vector<Note> describe_change(const std::optional<Vm>& before, const Vm& after, const MergeContext& context) {
    if (!before) return describe_new(after, context);
    std::vector<Note> notes;
    describe_owner(notes, *before, after, context);
    describe_state(notes, *before, after, context);
    describe_definitions(notes, *before, after, context);
    describe_spec(notes, *before, after);
    const bool runs_on = before->balloon.count() != 0 && after.balloon.count() != 0;
    if (runs_on && before->balloon != after.balloon)
        notes.push_back(
            {"vm.balloon_changed", fmt::format("{}: balloon {} -> {}", after.name, before->balloon, after.balloon)});
    describe_alerts(notes, *before, after);
    if (notes.empty() && *before != after)
        notes.push_back({"vm.changed", fmt::format("{}: run facts were read again", after.name)});
    return notes;
}

}  // namespace ballast::reconcile
