#include "migration/history.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/try.h"
#include "migration/curve_model.h"
#include "migration/forecast.h"
#include "migration/machine.h"
#include "migration/steer.h"

namespace ballast::migration {
namespace {

using model::as_double;
using model::seconds_of;

constexpr double ewma_weight = 0.3;
constexpr double first_spread = 0.3;  // of a bandwidth that was seen once
constexpr Bytes least_bytes = mebibytes(8);
/// Below this a total is made of fixed costs, above it of bytes.
constexpr double short_move_s = 5;
constexpr double longest_finish_s = 5;
/// A switch-over that may hold a last dirty set counts as no more.
constexpr double most_doubtful_s = 0.1;
constexpr std::size_t neighbours = 16;
/// The newest rows are compared with their forecasts: reading one costs a tenth of a millisecond.
constexpr std::size_t most_compared = 128;

/// What is assumed before anything has moved: QEMU starts within a second, a little is left for the switch.
PairHistory assumed() {
    PairHistory history;
    history.setup = {.low = Milliseconds(200), .likely = Milliseconds(700), .high = Milliseconds(3000)};
    history.switch_over = {.low = Milliseconds(2), .likely = Milliseconds(20), .high = Milliseconds(60)};
    history.switch_to_pull = {.low = Milliseconds(2), .likely = Milliseconds(60), .high = Milliseconds(300)};
    history.finish = {.low = Milliseconds(50), .likely = Milliseconds(200), .high = Milliseconds(800)};
    return history;
}

void append(std::vector<double>& all, const std::vector<double>& more) {
    all.insert(all.end(), more.begin(), more.end());
}

constexpr std::array modes{MigrationMode::stop_and_copy, MigrationMode::pre_copy, MigrationMode::post_copy,
                           MigrationMode::hybrid};

std::size_t place_of(MigrationMode mode) {
    return static_cast<std::size_t>(mode);
}

/// What was seen of one pair, one host or all.
struct Seen {
    int samples = 0;
    std::vector<double> bandwidth;  // in the order of their ends
    std::vector<double> setup;
    std::vector<double> switch_over;
    std::vector<double> switch_to_pull;
    std::vector<double> finish;
    std::vector<double> total;  // actual / forecast
    std::vector<double> bytes;
    std::vector<double> overrun;                  // time of the last copy / limit, in the order of their ends
    std::array<std::vector<double>, 4> downtime;  // by mode

    void add(const Seen& one) {
        samples += one.samples;
        for (const auto part : {&Seen::bandwidth, &Seen::setup, &Seen::switch_over, &Seen::switch_to_pull,
                                &Seen::finish, &Seen::total, &Seen::bytes, &Seen::overrun})
            append(this->*part, one.*part);
        for (std::size_t mode = 0; mode < downtime.size(); ++mode) append(downtime[mode], one.downtime[mode]);
    }
};

double quantile(std::vector<double> values, double part) {
    std::ranges::sort(values);
    const double at = part * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return std::lerp(values[below], values[above], at - static_cast<double>(below));
}

struct Quantiles {
    double low;
    double likely;
    double high;
};

/// Towards `prior` as long as the samples are few: n of n + 1.
TimeRange time_range(const std::vector<double>& seconds, const TimeRange& prior, Quantiles parts) {
    if (seconds.empty()) return prior;
    const double weight = static_cast<double>(seconds.size()) / (static_cast<double>(seconds.size()) + 1);
    const auto mixed = [&](double part, Milliseconds before) {
        return model::time_of(std::lerp(seconds_of(before), quantile(seconds, part), weight));
    };
    return {.low = mixed(parts.low, prior.low),
            .likely = mixed(parts.likely, prior.likely),
            .high = mixed(parts.high, prior.high)};
}

std::optional<RateRange> bandwidth_of(const std::vector<double>& seen) {
    if (seen.empty()) return {};
    double mean = seen.front();
    double deviation = 0;
    for (const double one : seen) {
        deviation += ewma_weight * (std::abs(std::log(one / mean)) - deviation);
        mean = std::exp(std::lerp(std::log(mean), std::log(one), ewma_weight));
    }
    const double doubt = first_spread / std::sqrt(static_cast<double>(seen.size()));
    const double spread = std::exp(1.28 * std::hypot(1.25 * deviation, doubt, 0.03));
    return RateRange{
        .low = model::rate_of(mean / spread), .likely = model::rate_of(mean), .high = model::rate_of(mean * spread)};
}

/// The median of actual / forecast, drawn towards the prior while the samples are few (n of n + 3).
Calibration calibration_of(const std::vector<double>& ratios, const Calibration& prior) {
    if (ratios.empty()) return prior;
    std::vector<double> logs;
    logs.reserve(ratios.size());
    for (const double ratio : ratios) logs.push_back(std::log(ratio));
    const double middle = quantile(logs, 0.5);
    std::vector<double> off;
    off.reserve(logs.size());
    for (const double log : logs) off.push_back(std::abs(log - middle));
    const double count = static_cast<double>(logs.size());
    const double weight = count / (count + 3);
    const double scatter = 1.48 * quantile(off, 0.5);
    return {.samples = static_cast<int>(logs.size()),
            .factor = std::clamp(std::exp(std::lerp(std::log(prior.factor), middle, weight)), 0.5, 2.0),
            .spread = std::clamp(std::lerp(prior.spread, scatter, weight), 0.02, 1.0)};
}

/// What all but the worst of the latest last copies took of their limits: one in twenty may outlast what it was given.
double overrun_of(const std::vector<double>& seen, double prior) {
    constexpr std::ptrdiff_t latest = 30;
    constexpr double most = 3;
    if (seen.empty()) return prior;
    const std::vector<double> last(seen.end() - std::min(latest, std::ssize(seen)), seen.end());
    return std::clamp(quantile(last, 0.95), 1.0, most);
}

PairHistory history_of(const Seen& seen, const PairHistory& prior) {
    constexpr Quantiles usual{.low = 0.1, .likely = 0.5, .high = 0.9};
    // What is left of a downtime may still hold some of the last dirty set: what the quicker ones took is the
    // switch-over itself.
    constexpr Quantiles quick{.low = 0.0, .likely = 0.3, .high = 0.5};
    PairHistory history;
    history.samples = seen.samples;
    history.bandwidth = seen.bandwidth.empty() ? prior.bandwidth : bandwidth_of(seen.bandwidth);
    history.setup = time_range(seen.setup, prior.setup, usual);
    history.switch_over = time_range(seen.switch_over, prior.switch_over, quick);
    history.switch_to_pull = time_range(seen.switch_to_pull, prior.switch_to_pull, usual);
    history.finish = time_range(seen.finish, prior.finish, usual);
    history.total = calibration_of(seen.total, prior.total);
    for (const MigrationMode mode : modes)
        of_mode(history.downtime, mode) = calibration_of(seen.downtime[place_of(mode)], of_mode(prior.downtime, mode));
    history.bytes = calibration_of(seen.bytes, prior.bytes);
    history.overrun = overrun_of(seen.overrun, prior.overrun);
    return history;
}

// --- one row ---

bool may_pull(MigrationMode mode) {
    return mode == MigrationMode::post_copy || mode == MigrationMode::hybrid;
}

struct Interval {
    Timestamp begin;
    Timestamp end;
};

Interval interval_of(const Migration& row) {
    return {.begin = row.called.value_or(row.started), .end = row.finished.value_or(row.started)};
}

/// How many ran on the same link at its middle, itself counted. `rows` are in the order of their calls: only near
/// neighbours are looked at.
int sharing_at(const std::vector<const Migration*>& rows, std::size_t index) {
    const Migration& row = *rows[index];
    const Interval span = interval_of(row);
    const Timestamp middle = span.begin + (span.end - span.begin) / 2;
    int from = 1;
    int to = 1;
    const std::size_t first = index > neighbours ? index - neighbours : 0;
    const std::size_t last = std::min(rows.size(), index + neighbours + 1);
    for (std::size_t i = first; i < last; ++i) {
        if (i == index) continue;
        const Interval other = interval_of(*rows[i]);
        if (other.begin > middle || other.end < middle) continue;
        from += rows[i]->from == row.from ? 1 : 0;
        to += rows[i]->to == row.to ? 1 : 0;
    }
    return std::max(from, to);
}

/// What the stream got from its first byte to the end of its last round that was seen.
std::optional<double> stream_rate(const Migration& row) {
    if (row.rounds.empty() || !row.setup) return {};
    const MigrationRound& last = row.rounds.back();
    const double seconds = seconds_of(last.at - *row.setup);
    if (last.sent < least_bytes || seconds <= 0.05) return {};
    return as_double(last.sent) / seconds;
}

/// What the stream got while it flowed: between the first and the last round, or up to the last one. Where that was too
/// short to be read, QEMU's own figure counts; and without rounds the whole time, if the hand-over at its end hardly
/// matters in it.
std::optional<double> throughput_of(const Migration& row) {
    constexpr double readable_s = 0.5;
    constexpr double long_enough_s = 2;
    if (!row.rounds.empty()) {
        const MigrationRound& first = row.rounds.front();
        const MigrationRound& last = row.rounds.back();
        const Bytes sent = last.sent - first.sent;
        const double seconds = seconds_of(last.at - first.at);
        if (sent >= least_bytes && seconds > readable_s) return as_double(sent) / seconds;
        const auto rate = stream_rate(row);
        if (rate && seconds_of(last.at - *row.setup) > readable_s) return rate;
        if (last.sent >= least_bytes && last.throughput.count() > 0) return as_double(last.throughput);
    }
    const auto wall = wall_time(row);
    if (!row.sent || *row.sent < least_bytes || !wall) return {};
    const double seconds = seconds_of(*wall - row.setup.value_or(Milliseconds(0)));
    return seconds > long_enough_s ? std::optional(as_double(*row.sent) / seconds) : std::nullopt;
}

std::optional<double> uncapped_throughput(const Migration& row) {
    const auto got = throughput_of(row);
    if (!got) return {};
    for (const auto& cap : {row.terms.bandwidth, row.terms.post_copy_bandwidth})
        if (cap && *got > 0.85 * as_double(*cap)) return {};
    return got;
}

/// What was sent after the last round that left something, or what that left.
double last_set_of(const Migration& row) {
    for (auto round = row.rounds.rbegin(); round != row.rounds.rend(); ++round) {
        if (round->remaining.count() <= 0) continue;
        return row.sent ? std::min(as_double(round->remaining), as_double(saturating_sub(*row.sent, round->sent)))
                        : as_double(round->remaining);
    }
    return 0;
}

/// The downtime less the transfer of the last dirty set and of what the socket held. Only where that set hardly counts,
/// a long one is believed: the rounds are seen four times a second, and the last one may have left more than the one
/// before it.
std::optional<double> switch_over_of(const Migration& row) {
    if (!row.downtime || row.mode != MigrationMode::pre_copy) return {};
    const double downtime = seconds_of(*row.downtime);
    const auto rate = stream_rate(row);
    if (!rate) return std::min(downtime, most_doubtful_s);
    const double last_set = last_set_of(row) / *rate;
    const double socket = seconds_of(socket_time(model::rate_of(*rate), row.terms.bandwidth));
    const double rest = std::max(downtime - last_set - socket, 0.0);
    return last_set < 0.1 * downtime ? rest : std::min(rest, most_doubtful_s);
}

/// From the last byte to the end: the wall time less the rounds and what was sent after the last of them. Moves that
/// ended by themselves only: what steering or a throttle cost is no hand-over.
std::optional<double> finish_of(const Migration& row, Milliseconds wall) {
    const auto rate = stream_rate(row);
    if (!rate || !row.sent || row.mode != MigrationMode::pre_copy) return {};
    if (row.throttle > 0 || !row.interventions.empty()) return {};
    const MigrationRound& last = row.rounds.back();
    const double after = as_double(*row.sent - last.sent) / *rate;
    const double rest = seconds_of(wall - last.at) - std::max(after, 0.0);
    return std::clamp(rest, 0.0, longest_finish_s);
}

/// Whether what the forecast was made of is no excuse for its error: the memory in use, and a curve where rounds
/// matter.
bool was_informed(const Forecast& forecast, MigrationMode mode) {
    if (forecast.input.content.count() <= 0) return false;
    const bool rounds_matter = mode == MigrationMode::pre_copy || mode == MigrationMode::hybrid;
    return !rounds_matter || (forecast.input.curve && forecast.input.curve->source != "nothing");
}

/// The last copy's time against the limit under which QEMU stopped the guest by itself. Its bandwidth is that of the
/// last 100 ms: on a line that nothing shapes it is that of a burst, up to twice what the last copy then gets.
std::optional<double> overrun_of(const Migration& row, const Forecast& forecast) {
    const bool stopped_by_qemu =
        !row.pull && !row.paused && row.mode != MigrationMode::stop_and_copy && row.interventions.empty();
    if (!row.downtime || !stopped_by_qemu) return {};
    const ForecastInput& then = forecast.input;
    const Milliseconds fixed =
        then.past.switch_over.likely + socket_time(then.link.bandwidth.likely, then.terms.bandwidth);
    return seconds_of(*row.downtime - fixed) / seconds_of(downtime_limit_of(then));
}

void see_against_forecast(Seen& seen, const Migration& row, Milliseconds wall) {
    const auto forecast = parse_as<Forecast>(row.forecast.text, "forecast");
    if (!forecast || forecast->modes.empty()) return;
    if (const auto ratio = overrun_of(row, *forecast)) seen.overrun.push_back(*ratio);
    if (!was_informed(*forecast, row.mode)) return;
    const ModeForecast& mode = of_mode(*forecast, row.mode);
    const PairHistory& then = forecast->input.past;
    const double actual = seconds_of(wall);
    const double raw = seconds_of(mode.total.likely) / std::max(then.total.factor, 0.1);
    const bool explained = mode.converges == Convergence::yes || row.mode != MigrationMode::pre_copy;
    if (raw > short_move_s && explained) seen.total.push_back(actual / raw);
    const double down = seconds_of(mode.downtime.likely) / std::max(of_mode(then.downtime, row.mode).factor, 0.1);
    if (row.downtime && *row.downtime >= Milliseconds(10) && down >= 0.01)
        seen.downtime[place_of(row.mode)].push_back(seconds_of(*row.downtime) / down);
    const double bytes = as_double(mode.bytes.likely) / std::max(then.bytes.factor, 0.1);
    if (row.sent && *row.sent >= least_bytes && bytes > 0 && explained)
        seen.bytes.push_back(as_double(*row.sent) / bytes);
}

Seen seen_of(const Migration& row, int sharing, bool compare) {
    Seen seen;
    const auto wall = wall_time(row);
    if (!wall) return seen;
    seen.samples = 1;
    if (const auto got = uncapped_throughput(row)) seen.bandwidth.push_back(*got * sharing);
    if (row.setup) seen.setup.push_back(seconds_of(*row.setup));
    if (const auto took = switch_over_of(row)) seen.switch_over.push_back(*took);
    if (const auto took = finish_of(row, *wall)) seen.finish.push_back(*took);
    if (row.downtime && may_pull(row.mode) && row.pull) seen.switch_to_pull.push_back(seconds_of(*row.downtime));
    if (compare) see_against_forecast(seen, row, *wall);
    return seen;
}

std::vector<const Migration*> succeeded(const Snapshot& snapshot) {
    std::vector<const Migration*> rows;
    snapshot.migrations.for_each([&](const Migration& row) {
        if (row.phase == MigrationPhase::succeeded && row.requested != ModeChoice::offline) rows.push_back(&row);
    });
    std::ranges::sort(rows, {}, [](const Migration* row) { return interval_of(*row).begin; });
    return rows;
}

PairHistory widened(PairHistory history) {
    history.samples = 0;
    if (history.bandwidth) {
        history.bandwidth->low = history.bandwidth->low / 2;
        history.bandwidth->high = history.bandwidth->high * 2;
    }
    history.total = history.bytes = Calibration{};
    history.downtime = ModeCalibrations{};
    return history;
}

}  // namespace

namespace {

template <class Calibrations>
auto& find_mode(Calibrations& calibrations, MigrationMode mode) {
    switch (mode) {
        case MigrationMode::stop_and_copy:
            return calibrations.stop_and_copy;
        case MigrationMode::pre_copy:
            return calibrations.pre_copy;
        case MigrationMode::post_copy:
            return calibrations.post_copy;
        case MigrationMode::hybrid:
            return calibrations.hybrid;
    }
    std::unreachable();
}

}  // namespace

const Calibration& of_mode(const ModeCalibrations& calibrations, MigrationMode mode) {
    return find_mode(calibrations, mode);
}

Calibration& of_mode(ModeCalibrations& calibrations, MigrationMode mode) {
    return find_mode(calibrations, mode);
}

std::optional<Milliseconds> wall_time(const Migration& migration) {
    if (migration.phase != MigrationPhase::succeeded) return {};
    if (migration.called && migration.finished) return *migration.finished - *migration.called;
    return migration.total;
}

PairHistories::PairHistories(const Snapshot& snapshot) {
    std::map<std::pair<HostId, HostId>, Seen> pairs;
    std::map<HostId, Seen> hosts;
    Seen all;
    const auto rows = succeeded(snapshot);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Seen one = seen_of(*rows[i], sharing_at(rows, i), i + most_compared >= rows.size());
        pairs[{rows[i]->from, rows[i]->to}].add(one);
        hosts[rows[i]->from].add(one);
        hosts[rows[i]->to].add(one);
        all.add(one);
    }
    all_ = history_of(all, assumed());
    for (const auto& [host, seen] : hosts) hosts_[host] = history_of(seen, all_);
    for (const auto& [pair, seen] : pairs) pairs_[pair] = history_of(seen, hosts_[pair.first]);
}

PairHistory PairHistories::of(const HostId& from, const HostId& to) const {
    if (const auto found = pairs_.find({from, to}); found != pairs_.end()) return found->second;
    for (const HostId& host : {from, to})
        if (const auto found = hosts_.find(host); found != hosts_.end()) return widened(found->second);
    return widened(all_);
}

// --- the link now ---

namespace {

constexpr double payload = 0.94;  // of a link's speed: headers of Ethernet, IP and TCP
constexpr RateRange assumed_link{.low = BytesPerSecond(mebibytes(10).count()),
                                 .likely = BytesPerSecond(mebibytes(110).count()),
                                 .high = BytesPerSecond(mebibytes(1200).count())};

struct Configured {
    std::optional<BytesPerSecond> speed;
    std::string host;
};

Configured configured_speed(const Snapshot& snapshot, const HostId& from, const HostId& to) {
    Configured slower;
    for (const HostId& id : {from, to}) {
        const Host* host = snapshot.hosts.find(id);
        if (host == nullptr || !host->settings.link_speed) continue;
        if (slower.speed && *slower.speed <= *host->settings.link_speed) continue;
        slower = {.speed = host->settings.link_speed, .host = host->name};
    }
    return slower;
}

/// Migrations that send from `from` or receive at `to` now, whichever are more, with the one to come.
int sharing_now(const Snapshot& snapshot, const HostId& from, const HostId& to, const std::optional<JobId>& self) {
    int sending = 1;
    int receiving = 1;
    snapshot.migrations.for_each([&](const Migration& row) {
        if (!row.called || row.finished || has_ended(row.phase) || (self && row.id == *self)) return;
        sending += row.from == from ? 1 : 0;
        receiving += row.to == to ? 1 : 0;
    });
    return std::max(sending, receiving);
}

RateRange shared(const RateRange& all, int sharing) {
    return {.low = all.low / sharing, .likely = all.likely / sharing, .high = all.high * 2 / (sharing + 1)};
}

std::string times(int samples) {
    return samples == 1 ? "1 past migration" : fmt::format("{} past migrations", samples);
}

}  // namespace

double overrun_to_expect(const Snapshot& snapshot, const PairHistory& past, const HostId& from, const HostId& to) {
    constexpr double of_a_burst = 1.5;
    constexpr double enough = 4;
    if (configured_speed(snapshot, from, to).speed) return past.overrun;
    const double weight = past.samples / (past.samples + enough);
    return std::lerp(std::max(of_a_burst, past.overrun), past.overrun, weight);
}

LinkEstimate estimate_link(const Snapshot& snapshot, const PairHistories& histories, const HostId& from,
                           const HostId& to, const std::optional<JobId>& self) {
    LinkEstimate estimate;
    estimate.sharing = sharing_now(snapshot, from, to, self);
    const PairHistory past = histories.of(from, to);
    const Configured link = configured_speed(snapshot, from, to);
    RateRange whole = assumed_link;
    estimate.source = "assumed";
    if (link.speed) {
        const double speed = as_double(*link.speed);
        whole = {.low = model::rate_of(0.8 * speed), .likely = model::rate_of(payload * speed), .high = *link.speed};
        estimate.source = fmt::format("link speed of {}", link.host);
        // What it got before narrows it; more than the link can carry is of another time.
        if (past.samples > 0 && past.bandwidth && as_double(past.bandwidth->likely) <= 1.1 * speed) {
            whole.likely = std::min(past.bandwidth->likely, *link.speed);
            whole.low = std::min(past.bandwidth->low, whole.likely);
            whole.high = std::clamp(past.bandwidth->high, whole.likely, *link.speed);
            estimate.source += fmt::format(", {}", times(past.samples));
        }
    } else if (past.bandwidth) {
        whole = *past.bandwidth;
        estimate.source = past.samples > 0 ? times(past.samples) : "past migrations of other pairs";
    }
    estimate.bandwidth = shared(whole, estimate.sharing);
    return estimate;
}

}  // namespace ballast::migration
