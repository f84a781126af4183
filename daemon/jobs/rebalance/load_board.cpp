#include "daemon/jobs/rebalance/load_board.h"

#include <algorithm>
#include <cmath>

#include "core/json_impl.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(jobs::LoadHistory)

namespace jobs {
namespace {

constexpr double window_s = 3'600;           ///< of mean and deviation
constexpr double hour_window_s = 3 * 3'600;  ///< three days' worth of one hour
constexpr double longest_s = 600;            ///< a sample after a long silence does not stand for all of it
constexpr double enough_s = 600;             ///< from here on the history counts as known
constexpr int hours_of_a_day = 24;

/// How far a sample of this length moves an average that has seen `seen`: at first the plain mean, then exponential.
double weight(double lasted, double seen, double window) {
    return std::max(lasted / (seen + lasted), 1 - std::exp(-lasted / window));
}

void blend(double& average, double value, double share) {
    average += (value - average) * share;
}

double deviation(double mean, double square) {
    return std::sqrt(std::max(0.0, square - mean * mean));
}

int hour_of(Timestamp time) {
    const auto since_midnight = time - std::chrono::floor<std::chrono::days>(time);
    return static_cast<int>(std::chrono::floor<std::chrono::hours>(since_midnight).count());
}

/// What the guest uses of its memory, as far as it says.
Bytes used_memory(const drivers::DomainStats& stats) {
    if (stats.unused && *stats.unused <= stats.balloon) return stats.balloon - *stats.unused;
    return std::min(stats.resident, stats.balloon);
}

bool is_whole(const LoadHistory& history) {
    const auto sane = [](double value) { return std::isfinite(value) && value >= 0; };
    const std::size_t hours = history.hours.size();
    return sane(history.seconds) && sane(history.cpu) && sane(history.cpu_square) && sane(history.memory) &&
           sane(history.memory_square) && (hours == 0 || hours == hours_of_a_day) && history.sampled.size() == hours &&
           std::ranges::all_of(history.hours, sane) && std::ranges::all_of(history.sampled, sane);
}

}  // namespace

void note_sample(LoadHistory& history, double cores, Bytes memory, std::chrono::duration<double> lasted, int hour) {
    const double length = std::clamp(lasted.count(), 0.0, longest_s);
    if (length <= 0 || !std::isfinite(cores) || cores < 0) return;
    const double share = weight(length, history.seconds, window_s);
    const auto bytes = static_cast<double>(memory.count());
    blend(history.cpu, cores, share);
    blend(history.cpu_square, cores * cores, share);
    blend(history.memory, bytes, share);
    blend(history.memory_square, bytes * bytes, share);
    history.seconds = std::min(window_s, history.seconds + length);
    if (history.hours.empty()) {
        history.hours.assign(hours_of_a_day, 0);
        history.sampled.assign(hours_of_a_day, 0);
    }
    const auto at = static_cast<std::size_t>(std::clamp(hour, 0, hours_of_a_day - 1));
    blend(history.hours[at], cores, weight(length, history.sampled[at], hour_window_s));
    history.sampled[at] = std::min(hour_window_s, history.sampled[at] + length);
}

/// A day that was not seen whole has no pattern yet. A history of a few samples may be wrong by as much as it says.
scheduler::VmLoad load_of(const LoadHistory& history) {
    scheduler::VmLoad load;
    const double doubt = std::max(0.0, 1 - history.seconds / enough_s);
    load.cpu_mean = history.cpu;
    load.cpu_deviation = deviation(history.cpu, history.cpu_square) + doubt * history.cpu;
    const bool whole_day =
        !history.sampled.empty() && std::ranges::all_of(history.sampled, [](double s) { return s >= enough_s; });
    if (whole_day) load.cpu_by_hour = history.hours;
    load.working_set = Bytes(static_cast<std::int64_t>(history.memory));
    load.working_set_deviation =
        Bytes(static_cast<std::int64_t>(deviation(history.memory, history.memory_square) + doubt * history.memory));
    return load;
}

void LoadBoard::note(const reconcile::StatsTable& stats) {
    for (const auto& [host, sample] : stats.hosts) {
        Seen& seen = seen_[host];
        if (seen.sample.lock() == sample) continue;
        const bool first = seen.at == std::chrono::steady_clock::time_point{};
        const std::chrono::duration<double> lasted =
            first ? std::chrono::duration<double>(0) : sample->monotonic - seen.at;
        seen = {.sample = sample, .at = sample->monotonic};
        note_host(*sample, lasted);
    }
    std::erase_if(seen_, [&](const auto& one) { return !stats.hosts.contains(one.first); });
}

void LoadBoard::note_host(const reconcile::HostSample& sample, std::chrono::duration<double> lasted) {
    for (const auto& [vm, seen] : sample.vms) {
        if (!seen.cpus_used) continue;
        Entry& entry = vms_[vm];
        note_sample(entry.history, *seen.cpus_used, used_memory(seen.stats), lasted, hour_of(sample.time));
        entry.changed = true;
        shared_.reset();
    }
}

scheduler::ClusterLoad LoadBoard::load(Timestamp now) const {
    scheduler::ClusterLoad load;
    load.at = now;
    for (const auto& [vm, entry] : vms_)
        if (entry.history.seconds > 0) load.vms.emplace(vm, load_of(entry.history));
    return load;
}

std::shared_ptr<const scheduler::ClusterLoad> LoadBoard::shared_load(Timestamp now) {
    if (!shared_) shared_ = std::make_shared<const scheduler::ClusterLoad>(load(now));
    return shared_;
}

std::vector<VmId> LoadBoard::forget_all_but(const std::function<bool(const VmId&)>& known) {
    std::vector<VmId> gone;
    for (const auto& [vm, entry] : vms_)
        if (!known(vm)) gone.push_back(vm);
    for (const auto& vm : gone) vms_.erase(vm);
    if (!gone.empty()) shared_.reset();
    return gone;
}

std::map<std::string, std::string> LoadBoard::take_changed() {
    std::map<std::string, std::string> texts;
    for (auto& [vm, entry] : vms_)
        if (std::exchange(entry.changed, false)) texts.emplace(vm.str(), to_json_text(entry.history));
    return texts;
}

void LoadBoard::restore(const std::map<std::string, std::string>& texts) {
    shared_.reset();
    for (const auto& [id, text] : texts) {
        auto history = parse_as<LoadHistory>(text, "load");
        if (history && is_whole(*history)) vms_[VmId(id)] = {.history = *std::move(history), .changed = false};
    }
}

}  // namespace jobs

}  // namespace ballast
