// What the statistics sweep shows: CPU time as the loads ask for it and the host's cores can give it, memory as the
// guests say it and as the host sees it, page merging.
#include <algorithm>
#include <cmath>

#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

/// How finely a load is followed between two looks.
constexpr Micros finest = std::chrono::seconds(10);
constexpr Micros coarsest = std::chrono::minutes(5);
constexpr int steps_between_looks = 100;

std::chrono::nanoseconds nanoseconds(double seconds) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

Bytes scaled(Bytes bytes, double factor) {
    return Bytes(static_cast<std::int64_t>(static_cast<double>(bytes.count()) * factor));
}

constexpr double page = 4096;
constexpr double slowest = 0.05;  ///< of a guest whose host waits for its swap device all the time

Bytes as_bytes(double bytes) {
    return Bytes(std::llround(std::max(bytes, 0.0) / page) * static_cast<std::int64_t>(page));
}
std::int64_t pages(double bytes) {
    return std::llround(std::max(bytes, 0.0) / page);
}

/// Of a guest of whose memory only `touched` is known.
void say_plainly(DomainStats& stats, const GuestLoad& load, Instant now) {
    const double follows = std::clamp(load.memory_swing, 0.0, 1.0);
    const Bytes used = scaled(stats.resident, 1 - follows * (1 - share_at(load.cpu, now)));
    stats.unused = saturating_sub(stats.balloon, used);
    stats.usable = stats.unused;
    stats.disk_caches = Bytes(0);
    stats.guest_said = std::chrono::floor<Milliseconds>(now);
}

void say(DomainStats& stats, const GuestMemory& memory, int period, Instant now) {
    stats.disk_caches = as_bytes(memory.cache);
    stats.unused = saturating_sub(stats.balloon, as_bytes(memory.anonymous + memory.cache));
    stats.usable = *stats.unused + *stats.disk_caches;
    stats.swap_in = static_cast<std::uint64_t>(memory.swap_in);
    stats.swap_out = static_cast<std::uint64_t>(memory.swap_out);
    stats.major_faults = static_cast<std::uint64_t>(memory.major_faults);
    const auto seconds = std::chrono::floor<Seconds>(now).time_since_epoch();
    stats.guest_said = Timestamp(seconds - seconds % Seconds(period));
}

/// As it was when it last spoke.
void repeat(DomainStats& stats, const DomainStats& said) {
    stats.available = said.available;
    stats.unused = said.unused;
    stats.usable = said.usable;
    stats.disk_caches = said.disk_caches;
    stats.swap_in = said.swap_in;
    stats.swap_out = said.swap_out;
    stats.major_faults = said.major_faults;
    stats.guest_said = said.guest_said;
}

}  // namespace

bool executes(DomainState state) {
    return state == DomainState::running || state == DomainState::postcopy_target ||
           state == DomainState::shutting_down;
}

/// A guest that boots takes what it can get.
double State::wanted_cores(const SimDomain& domain, Instant when) const {
    if (!executes(domain.state)) return 0;
    const GuestLoad& load = load_of(domain.id);
    const bool boots = when < domain.started + load.boot_time;
    return (boots ? 1.0 : share_at(load.cpu, when)) * domain.config.vcpus;
}

DomainStats State::stats_of(const SimHost& host, const SimDomain& domain) const {
    DomainStats stats;
    stats.id = domain.id;
    stats.state = domain.state;
    stats.vcpus = domain.config.vcpus;
    stats.balloon_maximum = domain.config.memory;
    if (!is_active(domain.state)) return stats;
    stats.balloon = domain.balloon;
    const double out = host.memory.resident > 0 ? host.memory.swapped / host.memory.resident : 0;
    stats.resident = as_bytes(resident_of(domain) * (1 - out));
    stats.cpu_time = nanoseconds(domain.cpu_seconds * counted);
    const BalloonSpec& balloon = (domain.live ? *domain.live : domain.config).balloon;
    const GuestFaults& faults = faults_of(domain.id);
    const GuestLoad& load = load_of(domain.id);
    if (!balloon.enabled || balloon.stats_period_s <= 0 || faults.no_driver) return stats;
    if (domain.said) {
        repeat(stats, *domain.said);
        return stats;
    }
    if (load.memory && time.now() < domain.started + load.boot_time) return stats;
    stats.available = balloon.autodeflate ? domain.config.memory : domain.balloon;  // Linux's MemTotal
    if (load.memory)
        say(stats, domain.memory, balloon.stats_period_s, time.now());
    else
        say_plainly(stats, load, time.now());
    if (faults.claims_unused) stats.unused = stats.usable = *faults.claims_unused;
    return stats;
}

/// Pages are looked at once, then kept by their content; what is written to meanwhile stays between the two.
KsmStats State::ksm_of(const SimHost& host) const {
    const HostMemory& memory = host.memory;
    Scanner scanner = memory.scanner;
    scanner.scan(memory.mergeable, std::chrono::duration<double>(time.now() - memory.settled).count());
    double looked_at = 0;
    double known = 0;
    for (const auto& [id, domain] : host.domains) {
        if (!is_active(domain.state) || !merges(domain)) continue;
        const double held = resident_of(domain);
        const double age = scanner.passes - domain.scanned_from;
        looked_at += held * std::clamp(age, 0.0, 1.0);
        const double written = std::min(held, static_cast<double>(load_of(id).working_set.count()));
        known += (held - written) * std::clamp(age - 1, 0.0, 1.0);
    }
    const double unshared = std::max(known - memory.kept - memory.saved, 0.0);
    return {.settings = scanner.settings,
            .pages_shared = pages(memory.kept),
            .pages_sharing = pages(memory.saved),
            .pages_unshared = pages(unshared),
            .pages_volatile = pages(looked_at - memory.kept - memory.saved - unshared),
            .full_scans = static_cast<std::int64_t>(scanner.passes)};
}

/// Counts what was used until then. Where more is wanted than there are cores, all get the same part of it. A guest
/// that waits for memory works less.
void State::settle_cpu(SimHost& host, Instant until) {
    if (host.crashed) host.cpu_settled = until;
    const Micros gap = until - host.cpu_settled;
    if (gap.count() <= 0) return;
    const Micros step = std::clamp(gap / steps_between_looks, finest, coarsest);
    const double speed = 1 - (1 - slowest) * host.memory.stalled;
    std::vector<double> wanted;
    while (host.cpu_settled < until) {
        const Instant end = std::min(until, host.cpu_settled + step);
        const Instant middle = host.cpu_settled + (end - host.cpu_settled) / 2;
        const double seconds = std::chrono::duration<double>(end - host.cpu_settled).count();
        wanted.clear();
        double sum = 0;
        for (const auto& [id, domain] : host.domains)
            sum += wanted.emplace_back(wanted_cores(domain, middle) * domain.memory.speed * speed);
        const double cores = host.model.facts.cpus;
        const double given = sum > cores ? cores / sum : 1;
        std::size_t at = 0;
        for (auto& [id, domain] : host.domains) domain.cpu_seconds += wanted[at++] * given * seconds;
        host.busy_seconds += std::min(sum, cores) * seconds;
        host.cpu_settled = end;
    }
}

Result<HostStats> State::sweep(const std::string& host) {
    SimHost& at = *find_host(host);
    settle_memory(at);
    settle_cpu(at, time.now());
    HostStats stats;
    stats.memory_total = at.model.facts.memory;
    const HostFigures figures = host_figures(at);
    stats.memory_free = figures.free;
    stats.memory_cached = figures.cached;
    for (const auto& [id, domain] : at.domains) stats.domains.push_back(stats_of(at, domain));
    const double up = std::chrono::duration<double>(time.now() - at.booted).count() * at.model.facts.cpus;
    stats.cpu_busy = nanoseconds(at.busy_seconds * counted);
    stats.cpu_idle = nanoseconds(std::max(0.0, up - at.busy_seconds) * counted);
    return stats;
}

Result<MemoryStats> State::read_memory(const std::string& host) {
    SimHost& at = *find_host(host);
    settle_memory(at);
    const HostFigures figures = host_figures(at);
    MemoryStats stats{.total = at.model.facts.memory,
                      .free = figures.free,
                      .cached = figures.cached,
                      .ksm = ksm_of(at),
                      .domains = {}};
    for (const auto& [id, domain] : at.domains) stats.domains.push_back(stats_of(at, domain));
    return stats;
}

}  // namespace ballast::drivers::simulated
