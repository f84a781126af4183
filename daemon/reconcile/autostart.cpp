#include "daemon/reconcile/autostart.h"

#include <algorithm>
#include <array>

#include "daemon/reconcile/alerts.h"

namespace ballast::reconcile {
namespace {

/// A host that shuts down ends its guests first; then it boots, and big ones take their time.
constexpr std::chrono::minutes longest_reboot{15};
/// CPU time counted since the boot drifts from the clock by about a per cent.
constexpr std::chrono::hours countable{1};
/// libvirt's words for an end that nobody asked for; "" is what a libvirtd that was started anew says.
constexpr std::array<std::string_view, 3> nobodys_doing{"", "crashed", "ended by libvirtd"};

const Definition* definition_at(const Vm& vm, const HostId& host) {
    const auto at = std::ranges::find(vm.definitions, host, &Definition::host);
    return at == vm.definitions.end() ? nullptr : &*at;
}

bool is_allowed(const Host& host, const Vm& vm) {
    return vm.managed && vm.spec.autostart && !vm.job && !alert::is_observe_only(vm) && host.managed &&
           !host.confirmed_dead && !host.maintenance && host.state != HostState::removed;
}

/// Off, there alone, and free to start.
bool is_ready(const Vm& vm, const HostId& host) {
    const Definition* here = definition_at(vm, host);
    const bool off = here != nullptr && (here->state == DomainState::shut_off || here->state == DomainState::crashed);
    return off && vm.host == host && vm.definitions.size() == 1 && !here->stale_view && here->persistent &&
           here->bound_by.empty();
}

}  // namespace

std::optional<std::string> reason_to_start(const Host& host, const AutostartCase& seen) {
    if (!is_allowed(host, seen.after) || !is_ready(seen.after, host.id) || seen.before.host != host.id)
        return std::nullopt;
    const Definition* before = definition_at(seen.before, host.id);
    if (before == nullptr || seen.before.job || seen.before.definitions.size() != 1) return std::nullopt;
    const bool unasked = std::ranges::find(nobodys_doing, seen.view.state_reason) != nobodys_doing.end();
    if (before->state == DomainState::running && unasked)
        return fmt::format("{} ran on {} when that was last seen and was off when it came back", seen.after.name,
                           host.name);
    if (is_active(before->state) || !seen.booted || !unasked) return std::nullopt;
    const Timestamp off_since = seen.before.state_since;
    const bool with_host = off_since <= *seen.booted && *seen.booted - off_since <= longest_reboot;
    const bool by_job = seen.stopped && *seen.stopped >= off_since - std::chrono::minutes(1);
    if (!with_host || by_job || seen.before.state != VmState::stopped) return std::nullopt;
    return fmt::format("{} was stopped as {} went down to boot again at {}", seen.after.name, host.name,
                       to_string(*seen.booted));
}

std::optional<Timestamp> boot_time(const drivers::HostStats& stats, int cpus, Timestamp now) {
    const auto counted = stats.cpu_busy + stats.cpu_idle;
    if (cpus <= 0 || counted.count() <= 0) return std::nullopt;
    const auto uptime = counted / cpus;
    if (uptime > countable) return std::nullopt;
    return now - std::chrono::duration_cast<Timestamp::duration>(uptime);
}

std::optional<Timestamp> last_stop(const Snapshot& snapshot, const VmId& vm) {
    std::optional<Timestamp> last;
    snapshot.jobs.for_each([&](const Job& job) {
        const bool stops = job.kind == "vm.shutdown" || job.kind == "vm.destroy" || job.kind == "vm.save";
        if (job.vm == vm && stops && job.finished && (!last || *job.finished > *last)) last = job.finished;
    });
    return last;
}

}  // namespace ballast::reconcile
