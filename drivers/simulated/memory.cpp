// The memory of a host: its guests', what merging saves, what is left, and what comes of too little. It goes on in
// steps at whole seconds while something is on its way, at every tenth second while guests want more or less or pages
// wait to be merged, and not at all while nothing happens; so a look changes nothing, and a quiet host costs nothing.
#include <algorithm>
#include <cmath>

#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

constexpr double page = 4096;
constexpr Seconds coarse{10};
constexpr double long_since = 1e9;         ///< seconds after which everything has come to rest
constexpr double host_disk = 200'000'000;  ///< bytes a second that the host swaps in
/// Of what lies on the host's swap device, so much is asked for in a second: pages in use, and others.
constexpr double hot_touched = 0.1;
constexpr double cold_touched = 0.001;
constexpr double kept_free = 0.01;      ///< of the host, before its page cache gives way
constexpr double pressure_window = 10;  ///< seconds

double as_double(Bytes bytes) {
    return static_cast<double>(bytes.count());
}
/// Whole pages, so that figures of one moment add up.
Bytes as_bytes(double bytes) {
    return Bytes(std::llround(std::max(bytes, 0.0) / page) * static_cast<std::int64_t>(page));
}
double seconds_of(Micros time) {
    return std::chrono::duration<double>(time).count();
}

/// Of a guest of whose memory only `touched` is known.
Bytes plainly_held(const GuestLoad& load, const SimDomain& domain) {
    const Bytes memory = domain.config.memory;
    return std::min({load.touched.value_or(memory / 2), memory, domain.balloon.count() > 0 ? domain.balloon : memory});
}

/// What its QEMU was started with.
const VmSpec& spec_of(const SimDomain& domain) {
    return domain.live ? *domain.live : domain.config;
}

GuestMemory whole(const SimDomain& domain) {
    GuestMemory memory;
    memory.maximum = as_double(domain.config.memory);
    memory.balloon = memory.target = as_double(domain.balloon);
    return memory;
}

double decayed(const HostMemory& memory, double seconds) {
    return memory.stalled + (memory.pressure - memory.stalled) * std::exp(-seconds / pressure_window);
}

}  // namespace

bool merges(const SimDomain& domain) {
    return spec_of(domain).overcommit.merge;
}

const GuestFaults& State::faults_of(const VmId& vm) const {
    static const GuestFaults none;
    const auto found = guest_faults.find(vm);
    return found == guest_faults.end() ? none : found->second;
}

GuestRules State::rules_of(const SimDomain& domain) const {
    const GuestFaults& faults = faults_of(domain.id);
    const BalloonSpec& balloon = spec_of(domain).balloon;
    const bool driver = balloon.enabled && !faults.no_driver;
    return {.follows = driver && !faults.sticks,
            .reports = driver && balloon.free_page_reporting,
            .autodeflate = driver && !faults.sticks && balloon.autodeflate};
}

double State::resident_of(const SimDomain& domain) const {
    if (!is_active(domain.state)) return 0;
    const GuestLoad& load = load_of(domain.id);
    if (load.memory) return domain.memory.held + as_double(load.memory->overhead);
    return as_double(plainly_held(load, domain));
}

/// What it holds that others of its group hold as well.
double State::equal_of(const SimDomain& domain) const {
    const GuestLoad& load = load_of(domain.id);
    if (load.sharing.empty() || !merges(domain)) return 0;
    return std::min(as_double(load.shared), load.memory ? domain.memory.held : as_double(plainly_held(load, domain)));
}

void State::begin_memory(SimHost& host, SimDomain& domain) {
    domain.memory = whole(domain);
    domain.balloon_told = domain.balloon;
    domain.equal = {};
    domain.scanned_from = host.memory.scanner.passes;
    expect_model(host, domain.id);
}

void State::age_memory(SimHost& host, SimDomain& domain) {
    const GuestLoad& load = load_of(domain.id);
    if (load.memory)
        advance(domain.memory, *load.memory, wanted_memory(*load.memory, time.now()), long_since, rules_of(domain));
    if (host.memory.scanner.rate() <= 0) return;
    domain.equal.resize(equal_of(domain), host.memory.scanner.passes);
    domain.equal.merge_all();
    domain.scanned_from = host.memory.scanner.passes - 2;
}

void State::carry_memory(const SimMigration& migration) {
    settle_memory(hosts.at(migration.from));
    const SimDomain& source = hosts.at(migration.from).domains.at(migration.vm);
    SimHost& to = hosts.at(migration.to);
    before_change(to);
    SimDomain& target = to.domains.at(migration.vm);
    target.memory = source.memory;
    target.balloon = source.balloon;
    target.said = source.said;
    target.equal = {};
    target.scanned_from = to.memory.scanner.passes;
    expect_model(to, migration.vm);
}

void State::expect_model(SimHost& host, const VmId& vm) {
    host.memory.modelled |= load_of(vm).memory.has_value();
    plan_memory(host);
}

void State::set_load(const VmId& vm, GuestLoad load) {
    std::vector<SimHost*> at;
    if (known_vms.contains(vm))
        for (auto& [name, host] : hosts)
            if (host.domains.contains(vm)) at.push_back(&host);
    for (SimHost* host : at) before_change(*host);
    loads[vm] = std::move(load);
    for (SimHost* host : at) expect_model(*host, vm);
}

void State::before_change(SimHost& host) {
    HostMemory& memory = host.memory;
    settle_memory(host);
    if (!memory.settling && !host.crashed) {
        if (memory.settled < time.now()) step_memory(host, time.now());
        memory.changed = true;
        memory.next = std::min<Instant>(memory.next, std::chrono::floor<Seconds>(time.now()) + Seconds(1));
        plan_memory(host);
    }
    settle_cpu(host, time.now());
}

void State::settle_memory(SimHost& host) {
    HostMemory& memory = host.memory;
    if (memory.settling) return;
    if (host.crashed) {
        memory.settled = time.now();
        memory.next = Instant::max();
        plan_memory(host);
        return;
    }
    if (memory.changed) {  // what the last change has done at once
        const Instant soon = memory.next;
        step_memory(host, memory.settled);
        memory.next = std::min(memory.next, soon);
        memory.changed = false;
    }
    while (memory.next <= time.now()) step_memory(host, memory.next);
    plan_memory(host);
}

/// A timer for the next step where somebody must hear of it at that moment, looked at or not.
void State::plan_memory(SimHost& host) {
    HostMemory& memory = host.memory;
    const bool wanted = memory.next != Instant::max() && (memory.tells || (memory.changed && memory.modelled));
    if (wanted && memory.timer && memory.timer->first == memory.next) return;
    if (memory.timer) time.cancel(*memory.timer);
    memory.timer.reset();
    if (!wanted) return;
    memory.timer = time.at(memory.next, [this, name = host.model.name] {
        SimHost& due = hosts.at(name);
        due.memory.timer.reset();
        settle_memory(due);
    });
}

/// Everything on the host is brought from `settled` to `when`.
void State::step_memory(SimHost& host, Instant when) {
    HostMemory& memory = host.memory;
    memory.settling = true;
    const double seconds = seconds_of(when - memory.settled);
    memory.scanner.scan(memory.mergeable, seconds);
    memory.resident = memory.mergeable = 0;
    memory.modelled = false;
    MemoryStep step{.when = when, .promised = as_double(host.model.own)};
    for (auto& [id, domain] : host.domains) {
        if (!is_active(domain.state)) continue;
        step_guest(host, domain, step);
        step_equal(host, domain, seconds, step);
    }
    memory.kept = step.merged.kept();
    memory.saved = step.merged.saved();
    memory.settled = when;
    step.moving |= step_host(host, seconds);
    const Seconds grid = step.moving ? Seconds(1) : coarse;
    const auto since = std::chrono::floor<Seconds>(when).time_since_epoch();
    if (step.moving || step.varies) step.change = std::min<Instant>(step.change, Instant(since - since % grid + grid));
    memory.next = step.change;
    memory.tells = step.balloons || (memory.modelled && step.promised > as_double(host.model.facts.memory));
    memory.settling = false;
}

void State::step_guest(SimHost& host, SimDomain& domain, MemoryStep& step) {
    const GuestLoad& load = load_of(domain.id);
    if (!load.memory) {
        step.promised += resident_of(domain);
        return;
    }
    host.memory.modelled = true;
    GuestMemory next = domain.memory.maximum > 0 ? domain.memory : whole(domain);
    const GuestRules rules = rules_of(domain);
    const Instant booted = domain.started + load.boot_time;
    if (executes(domain.state) && step.when < booted) step.change = std::min(step.change, booted);
    if (executes(domain.state) && step.when >= booted) {
        const Instant from = std::max(host.memory.settled, booted);
        const double wanted = wanted_memory(*load.memory, from);
        const bool moves = advance(next, *load.memory, wanted, seconds_of(step.when - from), rules);
        const Instant then = next_change(*load.memory, step.when);
        const bool steps = then > step.when && wanted_memory(*load.memory, step.when) != wanted;
        step.moving |= moves || steps || from == step.when;
        step.varies |= then <= step.when || next.swapped > 0;
        if (then > step.when) step.change = std::min(step.change, then);
    }
    if (next.speed != domain.memory.speed) settle_cpu(host, step.when);
    const bool rests = next.balloon == next.target || next.balloon == domain.memory.balloon;
    domain.memory = next;
    domain.balloon = as_bytes(next.balloon);
    const bool may_deflate =
        rules.autodeflate && next.balloon < next.maximum && next_change(*load.memory, step.when) != Instant::max();
    step.balloons |= !rests || may_deflate || (rules.follows && next.balloon != next.target);
    const double most = rules.autodeflate ? next.maximum : std::max(next.balloon, next.target);
    step.promised += most + as_double(load.memory->overhead);
    if (!rests || domain.balloon == domain.balloon_told) return;
    domain.balloon_told = domain.balloon;
    emit_domain(host.model.name, domain.id, DriverEvent::Kind::domain_changed,
                fmt::format("balloon {}", domain.balloon));
}

void State::step_equal(SimHost& host, SimDomain& domain, double seconds, MemoryStep& step) {
    HostMemory& memory = host.memory;
    const double held = resident_of(domain);
    memory.resident += held;
    if (!merges(domain)) return;
    memory.mergeable += held;
    const GuestLoad& load = load_of(domain.id);
    if (load.sharing.empty()) return;
    const double passes = memory.scanner.passes;
    domain.equal.ripen(passes);
    if (load.memory && executes(domain.state) && load.memory->unshares.count() > 0) {
        domain.equal.unshare(static_cast<double>(load.memory->unshares.count()) * seconds, passes);
        step.varies = true;
    }
    domain.equal.resize(equal_of(domain), passes);
    step.varies |= domain.equal.ripens() && memory.scanner.rate() > 0;
    step.merged.add(load.sharing, domain.equal.merged(passes));
}

/// What guests hold beyond the host's memory is on its swap device; beyond that, the kernel ends the largest process:
/// true.
bool State::step_host(SimHost& host, double seconds) {
    HostMemory& memory = host.memory;
    memory.pressure = decayed(memory, seconds);
    double hot = 0;
    const SimDomain* largest = nullptr;
    for (const auto& [id, domain] : host.domains) {
        if (!is_active(domain.state)) continue;
        hot += load_of(id).memory ? domain.memory.anonymous : resident_of(domain);
        if (largest == nullptr || resident_of(domain) > resident_of(*largest)) largest = &domain;
    }
    const double beyond =
        memory.resident - memory.saved + as_double(host.model.own) - as_double(host.model.facts.memory);
    // Where nothing but `touched` is known of all guests, running out of memory is not what it is about.
    const double swapped = memory.modelled ? std::max(beyond, 0.0) : 0;
    memory.swapped = std::min(swapped, as_double(host.model.swap));
    const double cold = std::max(memory.resident - memory.saved - hot, 0.0);
    const double hot_out = std::max(memory.swapped - cold, 0.0);
    memory.swap_in = std::min(host_disk, hot_out * hot_touched + std::min(memory.swapped, cold) * cold_touched);
    const double stalled = memory.swap_in / host_disk;
    if (stalled != memory.stalled) settle_cpu(host, memory.settled);
    memory.stalled = stalled;
    if (swapped <= as_double(host.model.swap) || largest == nullptr || seconds <= 0) return false;
    if (std::exchange(memory.killing, true)) return true;
    // Not in the middle of whatever looks at the host just now.
    time.at(memory.settled, [this, name = host.model.name, vm = largest->id, started = largest->started] {
        hosts.at(name).memory.killing = false;
        const auto found = domain(name, vm);
        if (!found || !is_active((*found)->state) || (*found)->started != started) return;
        hosts.at(name).memory.oom_kills += 1;
        end_qemu(name, vm, "crashed", DomainState::shut_off);
    });
    return true;
}

State::HostFigures State::host_figures(const SimHost& host) const {
    const HostMemory& memory = host.memory;
    const double total = as_double(host.model.facts.memory);
    const double left = total - as_double(host.model.own) - memory.resident + memory.saved + memory.swapped;
    const double cached = std::clamp(left - kept_free * total, 0.0, as_double(host.model.cache));
    return {.free = as_bytes(left - cached), .cached = as_bytes(cached)};
}

std::optional<HostPressure> State::pressure_of(SimHost& host) {
    settle_memory(host);
    const HostMemory& memory = host.memory;
    if (host.crashed || !memory.exporter) return std::nullopt;
    return HostPressure{.some = decayed(memory, seconds_of(time.now() - memory.settled)),
                        .swap_in = BytesPerSecond(static_cast<std::int64_t>(memory.swap_in)),
                        .swapped = as_bytes(memory.swapped),
                        .oom_kills = memory.oom_kills,
                        .disk_free = save_room_left(host)};
}

}  // namespace ballast::drivers::simulated
