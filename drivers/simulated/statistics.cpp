// What the statistics sweep shows: CPU time as the loads ask for it and the host's cores can give it, memory as the
// guests use it and pages of one group are shared.
#include <algorithm>

#include "core/try.h"
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

Bytes resident_of(const GuestLoad& load, const SimDomain& domain) {
    const Bytes memory = domain.config.memory;
    const Bytes touched = load.touched.value_or(memory / 2);
    return std::min({touched, memory, domain.balloon.count() > 0 ? domain.balloon : memory});
}

DomainStats stats_of(const GuestLoad& load, const SimDomain& domain, Instant now, double counted) {
    DomainStats stats;
    stats.id = domain.id;
    stats.state = domain.state;
    stats.vcpus = domain.config.vcpus;
    stats.balloon_maximum = domain.config.memory;
    if (!is_active(domain.state)) return stats;
    stats.balloon = domain.balloon;
    stats.resident = resident_of(load, domain);
    stats.cpu_time = nanoseconds(domain.cpu_seconds * counted);
    stats.available = domain.balloon;
    const double follows = std::clamp(load.memory_swing, 0.0, 1.0);
    const Bytes used = scaled(stats.resident, 1 - follows * (1 - share_at(load.cpu, now)));
    stats.unused = saturating_sub(domain.balloon, used);
    stats.usable = stats.unused;
    stats.disk_caches = Bytes(0);
    stats.guest_said = std::chrono::floor<Milliseconds>(now);
    return stats;
}

/// Pages of one group are held once: what each further member shares is saved.
class Sharing {
  public:
    void add(const GuestLoad& load, Bytes resident) {
        if (load.sharing.empty()) return;
        const Bytes shared = std::min(load.shared, resident);
        Bytes& largest = largest_[load.sharing];
        saved_ += std::min(largest, shared);
        largest = std::max(largest, shared);
    }
    [[nodiscard]] Bytes saved() const { return saved_; }

  private:
    std::map<std::string, Bytes> largest_;
    Bytes saved_;
};

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

/// Counts what was used since the last time. Where more is wanted than there are cores, all get the same part of it.
void State::settle_cpu(SimHost& host) {
    const Instant now = time.now();
    if (host.crashed) host.cpu_settled = now;
    const Micros gap = now - host.cpu_settled;
    if (gap.count() <= 0) return;
    const Micros step = std::clamp(gap / steps_between_looks, finest, coarsest);
    std::vector<double> wanted;
    while (host.cpu_settled < now) {
        const Instant end = std::min(now, host.cpu_settled + step);
        const Instant middle = host.cpu_settled + (end - host.cpu_settled) / 2;
        const double seconds = std::chrono::duration<double>(end - host.cpu_settled).count();
        wanted.clear();
        double sum = 0;
        for (const auto& [id, domain] : host.domains) sum += wanted.emplace_back(wanted_cores(domain, middle));
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
    settle_cpu(at);
    HostStats stats;
    stats.memory_total = at.model.facts.memory;
    Bytes used;
    Sharing sharing;
    for (const auto& [id, domain] : at.domains) {
        const GuestLoad& load = load_of(id);
        stats.domains.push_back(stats_of(load, domain, time.now(), counted));
        used += stats.domains.back().resident;
        if (is_active(domain.state)) sharing.add(load, stats.domains.back().resident);
    }
    stats.memory_free = saturating_sub(stats.memory_total, used - sharing.saved());
    const double up = std::chrono::duration<double>(time.now() - at.booted).count() * at.model.facts.cpus;
    stats.cpu_busy = nanoseconds(at.busy_seconds * counted);
    stats.cpu_idle = nanoseconds(std::max(0.0, up - at.busy_seconds) * counted);
    return stats;
}

Result<MemoryStats> State::read_memory(const std::string& host) {
    BALLAST_TRY(HostStats swept, sweep(host));
    const SimHost& at = *find_host(host);
    MemoryStats stats{.total = swept.memory_total,
                      .free = swept.memory_free,
                      .cached = swept.memory_cached,
                      .ksm = KsmStats{.settings = at.ksm},
                      .domains = std::move(swept.domains)};
    return stats;
}

Result<void> State::set_ksm(const std::string& host, const KsmSettings& settings) {
    find_host(host)->ksm = settings;
    return {};
}

}  // namespace ballast::drivers::simulated
