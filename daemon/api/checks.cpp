#include "daemon/api/checks.h"

#include <algorithm>

#include "core/try.h"
#include "daemon/overcommit/exporter.h"
#include "daemon/reconcile/alerts.h"
#include "daemon/reconcile/host_verdict.h"

namespace ballast::api {
namespace {

constexpr std::size_t longest_text = 4096;
constexpr std::size_t most_labels = 64;
constexpr double largest_overcommit = 64;

Result<void> check_text(std::string_view path, std::string_view text) {
    if (text.size() > longest_text)
        return fail(Code::invalid_argument, "{}: {} characters are more than the limit of {}", path, text.size(),
                    longest_text);
    const bool plain =
        std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (!plain) return fail(Code::invalid_argument, "{}: control characters are not allowed", path);
    return {};
}

Result<void> check_labels(std::string_view path, const std::map<std::string, std::string>& labels) {
    if (labels.size() > most_labels)
        return fail(Code::invalid_argument, "{}: {} labels are more than the limit of {}", path, labels.size(),
                    most_labels);
    for (const auto& [key, value] : labels) {
        BALLAST_CHECK(check_name("label", key));
        BALLAST_CHECK(check_text(path, value));
    }
    return {};
}

Result<void> not_negative(std::string_view path, std::int64_t value) {
    if (value >= 0) return {};
    return fail(Code::invalid_argument, "{}: {} is below 0", path, value);
}

}  // namespace

Result<void> check_managed(const Host& host) {
    if (host.managed) return {};
    return fail(Code::failed_precondition,
                "host {} is only observed, so nothing on it is changed; run `ballast host manage {}` first", host.name,
                host.name);
}

Result<void> check_host_name_free(const Snapshot& snapshot, std::string_view name, const HostId& own) {
    BALLAST_CHECK(check_name("host", name));
    const Host* taken = snapshot.hosts.find_if([&](const Host& host) { return host.name == name && host.id != own; });
    if (taken == nullptr) return {};
    return fail(Code::already_exists, "a host named '{}' exists already ({}); choose another name", name, taken->uri);
}

Result<void> check_new_host(const Snapshot& snapshot, const HostAdd& ask) {
    BALLAST_CHECK(check_host_name_free(snapshot, ask.name, HostId()));
    BALLAST_CHECK(check(ask.settings));
    const Host* taken = snapshot.hosts.find_if([&](const Host& host) { return host.uri == ask.uri; });
    if (taken == nullptr) return {};
    return fail(Code::already_exists, "{} is the host '{}' already", ask.uri, taken->name);
}

namespace {

Result<void> check_taints(const std::vector<Taint>& taints) {
    for (std::size_t i = 0; i < taints.size(); ++i) {
        BALLAST_CHECK(check(taints[i], fmt::format("settings.taints[{}]", i)));
        if (std::ranges::count(taints, taints[i]) > 1)
            return fail(Code::invalid_argument, "settings.taints[{}]: {} stands twice", i, taints[i].key);
    }
    return {};
}

Result<void> check_power(const HostSettings& settings) {
    BALLAST_CHECK(not_negative("settings.idle_power_watts", settings.idle_power.value_or(Watts(0)).count()));
    BALLAST_CHECK(not_negative("settings.max_power_watts", settings.max_power.value_or(Watts(0)).count()));
    if (settings.idle_power && settings.max_power && *settings.idle_power > *settings.max_power)
        return fail(Code::invalid_argument, "settings.idle_power_watts: {} is above max_power_watts, {}",
                    settings.idle_power->count(), settings.max_power->count());
    return {};
}

Result<void> check_exporter(const std::string& url) {
    if (url.empty()) return {};
    BALLAST_CHECK(check_text("settings.exporter", url));
    const auto parsed = overcommit::parse_exporter_url(url);
    if (parsed) return {};
    return fail(Code::invalid_argument, "settings.{}", parsed.error().message());
}

}  // namespace

Result<void> check(const HostSettings& settings) {
    BALLAST_CHECK(check_taints(settings.taints));
    for (const auto& [kind, count] : settings.devices) {
        BALLAST_CHECK(check_name("device", kind));
        BALLAST_CHECK(not_negative("settings.devices." + kind, count));
    }
    BALLAST_CHECK(check_power(settings));
    BALLAST_CHECK(check_labels("settings.labels", settings.labels));
    BALLAST_CHECK(not_negative("settings.reserved_memory_bytes", settings.reserved_memory.count()));
    BALLAST_CHECK(not_negative("settings.reserved_cpus", settings.reserved_cpus));
    BALLAST_CHECK(not_negative("settings.memory_capacity_bytes", settings.memory_capacity.value_or(Bytes(0)).count()));
    BALLAST_CHECK(not_negative("settings.cpu_capacity", settings.cpu_capacity.value_or(0)));
    if (!(settings.cpu_overcommit > 0 && settings.cpu_overcommit <= largest_overcommit))
        return fail(Code::invalid_argument, "settings.cpu_overcommit: {} is not above 0 and at most {}",
                    settings.cpu_overcommit, largest_overcommit);
    if (settings.link_speed && settings.link_speed->count() <= 0)
        return fail(Code::invalid_argument, "settings.link_speed_bytes_per_second: {} is not above 0",
                    settings.link_speed->count());
    BALLAST_CHECK(check_text("settings.peer_uri", settings.peer_uri));
    BALLAST_CHECK(check_exporter(settings.exporter));
    return check_text("settings.migration_address", settings.migration_address);
}

Result<void> check_no_work(const Snapshot& snapshot, const Host& host, std::string_view doing) {
    std::vector<std::string> busy;
    const auto involved = [&](const Job& job) {
        if (is_finished(job.state)) return false;
        if (job.host == host.id) return true;
        return snapshot.claims.find_if(
                   [&](const Claim& claim) { return claim.job == job.id && claim.host == host.id; }) != nullptr;
    };
    snapshot.jobs.for_each([&](const Job& job) {
        if (involved(job)) busy.push_back(fmt::format("{} of {} ({})", job.kind, job.subject, job.id));
    });
    if (busy.empty()) return {};
    std::ranges::sort(busy);
    return fail(Code::failed_precondition, "host {} can't be {} while it is worked on: {}; wait for the end or cancel",
                host.name, doing, fmt::join(busy, ", "));
}

Result<void> check_confirm_dead(const Host& host, const HostConfirmDead& ask) {
    if (ask.name != host.name)
        return fail(Code::invalid_argument,
                    "name: '{}' is not the host's name '{}'; repeat it, so that no other host is meant", ask.name,
                    host.name);
    if (ask.reason.empty())
        return fail(Code::invalid_argument, "reason: say how it is known that {} is down; it is kept in the audit log",
                    host.name);
    BALLAST_CHECK(check_text("reason", ask.reason));
    if (host.confirmed_dead) return fail(Code::failed_precondition, "host {} is confirmed dead already", host.name);
    if (host.state != HostState::unreachable && host.state != HostState::connecting)
        return fail(Code::failed_precondition,
                    "host {} answers: it is not dead; shut it down first, or see `ballast host show {}`", host.name,
                    host.name);
    return {};
}

Result<void> check_resolve(const Snapshot& snapshot, const Host& host, const QuarantineAsk& ask) {
    if (ask.reason.empty())
        return fail(Code::invalid_argument, "reason: say why {} may work again; it is kept in the audit log",
                    host.name);
    BALLAST_CHECK(check_text("reason", ask.reason));
    if (host.state != HostState::quarantined)
        return fail(Code::failed_precondition, "host {} is not in quarantine", host.name);
    if (!host.confirmed_dead)
        return fail(Code::failed_precondition,
                    "host {} is in quarantine because {}; that ends with its cause, not by a word", host.name,
                    host.state_reason);
    const std::string copies = reconcile::stale_copies(snapshot, host);
    if (copies.empty() || ask.force) return {};
    return fail(Code::failed_precondition, "host {} {}; with `force` they become conflicts that you must end yourself",
                host.name, copies);
}

Result<void> check_adopt(const Snapshot& snapshot, const Vm& vm) {
    if (vm.state == VmState::conflict)
        return fail(Code::failed_precondition, "VM {} is in conflict: {}; end all copies but one first", vm.name,
                    vm.state_reason);
    if (vm.state == VmState::unknown || !vm.host)
        return fail(Code::failed_precondition, "VM {} is {}: adopt it when its host can be asked", vm.name,
                    vm.host ? "unknown" : "nowhere");
    if (reconcile::alert::is_observe_only(vm))
        return fail(Code::failed_precondition, "VM {} carries somebody else's stamp ({}); see `ballast vm show {}`",
                    vm.name, fmt::join(vm.alerts, "; "), vm.name);
    const Host* host = snapshot.hosts.find(*vm.host);
    if (host == nullptr) return fail(Code::failed_precondition, "the host of VM {} is not in the inventory", vm.name);
    return check_managed(*host);
}

namespace {

/// An adopted VM keeps the definition that it came with.
Result<OvercommitSpec> patched(const Vm& vm, const OvercommitPatch& patch) {
    OvercommitSpec next = vm.spec.overcommit;
    if (patch.shares) next.shares = *patch.shares;
    if (patch.priority) next.priority = *patch.priority;
    if (patch.merge) next.merge = *patch.merge;
    if (patch.may_suspend) next.may_suspend = *patch.may_suspend;
    if (next.merge != vm.spec.overcommit.merge && !vm.created_by_ballast)
        return fail(Code::failed_precondition,
                    "overcommit.merge: VM {} was adopted, and Ballast does not rewrite its definition; put "
                    "<memoryBacking><nosharepages/></memoryBacking> into it with `virsh edit {}`, Ballast follows",
                    vm.name, vm.name);
    BALLAST_CHECK(check(next));
    return next;
}

/// The definition has the other value, unless that was waiting already.
void mark_merging(Vm& vm) {
    using namespace reconcile;
    const auto waiting =
        std::erase_if(vm.alerts, [](const std::string& text) { return alert::is_of(text, alert::next_start); });
    if (waiting == 0) vm.alerts.push_back(alert::merging_waits(vm.spec.overcommit.merge));
}

}  // namespace

Result<Vm> plan_patch(const Vm& vm, const VmPatch& patch) {
    if (patch.name && *patch.name != vm.name)
        return fail(Code::failed_precondition,
                    "name: VM {} can't be renamed: libvirt keeps the name in the definition, and one UUID can't be "
                    "defined under two names; delete it with its disks kept and create it anew with those disks",
                    vm.name);
    const VmSpecPatch& wanted = patch.spec;
    const bool only_labels = !wanted.host_labels && !wanted.anti_affinity && !wanted.placement && !wanted.autostart &&
                             !wanted.moves && !wanted.memory_policy && !wanted.overcommit && !wanted.migration;
    if (!vm.managed && !only_labels)
        return fail(Code::failed_precondition,
                    "VM {} is only observed: it may get labels, nothing else; run `ballast vm adopt {}` first", vm.name,
                    vm.name);
    if (vm.state == VmState::deleting) return fail(Code::failed_precondition, "VM {} is being deleted", vm.name);
    Vm next = vm;
    if (wanted.labels) next.spec.labels = *wanted.labels;
    if (wanted.host_labels) next.spec.host_labels = *wanted.host_labels;
    if (wanted.anti_affinity) next.spec.anti_affinity = *wanted.anti_affinity;
    if (wanted.placement) next.spec.placement = *wanted.placement;
    if (wanted.autostart) next.spec.autostart = *wanted.autostart;
    if (wanted.moves) next.spec.moves = *wanted.moves;
    if (wanted.memory_policy) next.spec.memory_policy = *wanted.memory_policy;
    if (wanted.overcommit) {
        BALLAST_TRY(next.spec.overcommit, patched(vm, *wanted.overcommit));
    }
    if (wanted.migration) next.spec.migration = *wanted.migration;
    if (next.spec.overcommit.merge != vm.spec.overcommit.merge) mark_merging(next);
    BALLAST_CHECK(check(next.spec.migration, "spec.migration"));
    BALLAST_CHECK(check_labels("spec.labels", next.spec.labels));
    BALLAST_CHECK(check_labels("spec.host_labels", next.spec.host_labels));
    BALLAST_CHECK(check_text("spec.anti_affinity", next.spec.anti_affinity));
    BALLAST_CHECK(check_placement(next.spec));
    return next;
}

}  // namespace ballast::api
