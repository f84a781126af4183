#include "migration/steer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace ballast::migration {
namespace {

constexpr int forecast_rounds = 60;       ///< a push that needs more of them does not converge
constexpr int doubled_by_throttling = 2;  ///< patience, where auto-converge is at work
constexpr Milliseconds least_raise{10};
constexpr int most_rounding = 2;        ///< per cent of vCPU time
constexpr Milliseconds warm_up{5'000};  ///< before it, a throughput says little

/// How long `bytes` take; nothing where nothing moves.
std::optional<Milliseconds> time_for(Bytes bytes, BytesPerSecond rate) {
    if (rate.count() <= 0) return std::nullopt;
    constexpr double longest_ms = 1e12;
    const double ms = static_cast<double>(bytes.count()) * 1000.0 / static_cast<double>(rate.count());
    return Milliseconds(static_cast<std::int64_t>(std::min(std::ceil(ms), longest_ms)));
}

Bytes moved_in(Milliseconds time, BytesPerSecond rate) {
    const double bytes = static_cast<double>(rate.count()) * static_cast<double>(time.count()) / 1000.0;
    return Bytes(static_cast<std::int64_t>(std::min(bytes, 9e18)));
}

/// What the rounds say about progress.
struct Trend {
    int since = 0;              ///< rounds since the last one that made progress
    std::optional<Bytes> best;  ///< what the last round that made progress left
    Bytes least;                ///< of all rounds
};

/// XBZRLE shortens no round before the third: until then it may not have been stalled.
Trend trend_of(const Migration& row, double progress) {
    constexpr int cache_is_full_after = 2;
    Trend trend;
    for (const MigrationRound& round : row.rounds) {
        const bool better = !trend.best || static_cast<double>(round.remaining.count()) <
                                               progress * static_cast<double>(trend.best->count());
        trend.least = trend.best ? std::min(trend.least, round.remaining) : round.remaining;
        if (better) trend.best = round.remaining;
        const bool warming_up = row.knobs.xbzrle && round.round <= cache_is_full_after;
        trend.since = better || warming_up ? 0 : trend.since + 1;
    }
    return trend;
}

/// One decision.
class Steersman {
  public:
    Steersman(const Migration& row, const PushSample& sample, bool can_switch, Timestamp now, const SteerLimits& limits)
        : row_(row),
          sample_(sample),
          may_switch_(can_switch && row.terms.post_copy),
          limits_(limits),
          trend_(trend_of(row, limits.progress)),
          end_(forecast_end(row, sample)),
          left_(time_left(now)) {}

    [[nodiscard]] Steering decide() const {
        if (row_.phase != MigrationPhase::push) return {};
        if (left_ && left_->count() <= 0) return abort("the time that its terms give it is over");
        if (sample_.disk_remaining.count() > 0) return {};
        if (sample_.throttle > row_.terms.max_throttle + rounding()) return too_slow_a_guest();
        if (const Steering act = against_the_clock(); act.act != SteeringAct::none) return act;
        if (trend_.since >= limits_.window) return stalled();
        return {};
    }

  private:
    static Steering act(SteeringAct what, std::string reason) { return {.act = what, .reason = std::move(reason)}; }
    static Steering abort(std::string reason) { return act(SteeringAct::abort, std::move(reason)); }

    [[nodiscard]] std::optional<Milliseconds> time_left(Timestamp now) const {
        std::optional<Milliseconds> left;
        if (row_.terms.max_total) left = *row_.terms.max_total - sample_.elapsed;
        if (row_.terms.deadline) {
            const auto until = std::chrono::duration_cast<Milliseconds>(*row_.terms.deadline - now);
            left = left ? std::min(*left, until) : until;
        }
        return left;
    }

    [[nodiscard]] Milliseconds limit() const {
        return sample_.downtime_limit.value_or(
            first_downtime_limit(row_.terms, limits_.switch_cost, limits_.socket, limits_.overrun));
    }

    [[nodiscard]] Milliseconds most() const { return last_downtime_limit(row_.terms, limits_.socket); }

    /// A fine step that ends just above the limit is no reason to throw away what was sent.
    [[nodiscard]] int rounding() const {
        return row_.terms.max_throttle > 0 ? std::clamp(row_.knobs.throttle_increment, 0, most_rounding) : 0;
    }

    [[nodiscard]] Steering too_slow_a_guest() const {
        std::string reason = fmt::format("auto-converge takes {} % of the guest's CPU time, the policy allows {} %",
                                         sample_.throttle, row_.terms.max_throttle);
        if (may_switch_) return act(SteeringAct::switch_to_post_copy, std::move(reason));
        return abort(std::move(reason) + ", and there is no other way to end it");
    }

    /// It has a time to keep: sent once, what is left must fit; and where going on would take too long, post-copy is
    /// the way that sends it once.
    [[nodiscard]] Steering against_the_clock() const {
        if (!left_ || !known()) return {};
        const bool settled = sample_.round_ended || sample_.elapsed >= warm_up;
        if (settled && end_.at_best > *left_ * 2)
            return abort(fmt::format("{} are left, which takes {} at {}; its terms leave {}", sample_.remaining,
                                     to_string(end_.at_best), sample_.throughput, to_string(*left_)));
        const bool late = !row_.rounds.empty() && (!end_.left || *end_.left > *left_);
        if (!late || !may_switch_) return {};
        const bool urgent = end_.at_best * 5 / 4 >= *left_;
        if (!sample_.round_ended && !urgent) return {};
        return act(
            SteeringAct::switch_to_post_copy,
            fmt::format("going on as now takes {}, its terms leave {}; post-copy sends the {} that are left once",
                        end_.left ? to_string(*end_.left) : "without end", to_string(*left_), sample_.remaining));
    }

    [[nodiscard]] bool known() const { return sample_.throughput.count() > 0; }

    [[nodiscard]] std::string stall() const {
        return fmt::format("no round has left a tenth less than {} for {} {}", *trend_.best, trend_.since,
                           trend_.since == 1 ? "round" : "rounds");
    }

    [[nodiscard]] Steering stalled() const {
        const auto needed = time_for(trend_.least, sample_.throughput);
        if (limit() < most() && needed && *needed <= most()) return raise(*needed);
        if (may_switch_) return switch_at_a_minimum();
        if (throttle_has_steps_left()) return {};
        if (trend_.since < patience()) return {};
        return abort(
            fmt::format("{}: the guest dirties its memory as fast as it is sent ({}), {} of downtime are not enough, "
                        "and the policy "
                        "allows no post-copy",
                        stall(), sample_.throughput, to_string(row_.terms.max_downtime)));
    }

    /// Differences show what they are worth as soon as the cache is full; a throttle takes its time.
    [[nodiscard]] int patience() const {
        constexpr int of_xbzrle = 6;
        if (row_.knobs.auto_converge) return limits_.patience * doubled_by_throttling;
        return row_.knobs.xbzrle ? std::min(of_xbzrle, limits_.patience) : limits_.patience;
    }

    /// In one step, with room for a round that leaves a little more: each step costs a round.
    [[nodiscard]] Steering raise(Milliseconds needed) const {
        if (!sample_.round_ended) return {};
        Steering raised = act(SteeringAct::raise_downtime, {});
        raised.downtime = std::min(most(), std::max(needed + needed / 4, limit() + least_raise));
        raised.reason = fmt::format("{}; {} fit: the downtime limit goes from {} to {}, the policy allows {}", stall(),
                                    trend_.least, to_string(limit()), to_string(raised.downtime),
                                    to_string(row_.terms.max_downtime));
        return raised;
    }

    [[nodiscard]] Steering switch_at_a_minimum() const {
        if (!sample_.round_ended) return {};
        constexpr double hardly_more = 1.1;
        const bool small =
            static_cast<double>(sample_.remaining.count()) <= hardly_more * static_cast<double>(trend_.best->count());
        if (!small && trend_.since < limits_.window + limits_.wait_for_minimum) return {};
        return act(SteeringAct::switch_to_post_copy,
                   fmt::format("{}; {} are left to pull", stall(), sample_.remaining));
    }

    /// QEMU takes one step every other round that does not converge.
    [[nodiscard]] bool throttle_has_steps_left() const {
        constexpr int qemu_increment = 10;
        if (!row_.knobs.auto_converge || sample_.throttle == 0) return false;
        const int step = row_.knobs.throttle_increment > 0 ? row_.knobs.throttle_increment : qemu_increment;
        return sample_.throttle + step <= row_.terms.max_throttle &&
               trend_.since < limits_.patience * doubled_by_throttling;
    }

    const Migration& row_;
    const PushSample& sample_;
    bool may_switch_;
    const SteerLimits& limits_;
    Trend trend_;
    EndForecast end_;
    std::optional<Milliseconds> left_;
};

/// What the rounds so far say of the guest's writing.
struct Writing {
    double rate = 0;            ///< bytes per ms
    std::optional<Bytes> most;  ///< that any round saw dirtied: once writes fall on the same pages, rounds grow no more
};

Writing writing_of(const Migration& row, const PushSample& sample) {
    Writing writing;
    for (std::size_t i = 1; i < row.rounds.size(); ++i) {
        const MigrationRound& round = row.rounds[i];
        const Milliseconds length = round.at - row.rounds[i - 1].at;
        if (length.count() <= 0) continue;
        writing.rate = static_cast<double>(round.remaining.count()) / static_cast<double>(length.count());
        writing.most = writing.most ? std::max(*writing.most, round.remaining) : round.remaining;
    }
    if (!writing.most)
        writing.rate = static_cast<double>(sample.dirty_pages_per_second * sample.page_size.count()) / 1000.0;
    return writing;
}

/// V(i+1) = min(rate x V(i)/B, most): docs/MIGRATION.md (Clark et al., NSDI 2005, with a set that saturates).
EndForecast forecast_push(const Migration& row, const PushSample& sample, EndForecast end) {
    const Writing writing = writing_of(row, sample);
    const Milliseconds limit = sample.downtime_limit.value_or(first_downtime_limit(row.terms, Milliseconds{0}));
    const Bytes fits = moved_in(limit, sample.throughput);
    const Milliseconds begun = row.rounds.empty() ? Milliseconds{0} : row.rounds.back().at;
    Bytes left = sample.remaining;
    Milliseconds spent{0};
    for (int i = 0; i < forecast_rounds; ++i) {
        const Milliseconds copy = *time_for(left, sample.throughput);
        spent += copy;
        if (left <= fits) {
            end.converges = true;
            end.left = spent;
            end.downtime = copy;
            return end;
        }
        const Milliseconds in_this_round = i == 0 ? std::max(sample.elapsed - begun, Milliseconds{0}) + copy : copy;
        const double dirtied = writing.rate * static_cast<double>(in_this_round.count());
        left = Bytes(static_cast<std::int64_t>(std::min(dirtied, static_cast<double>(sample.total.count()))));
        if (writing.most) left = std::min(left, *writing.most);
    }
    return end;
}

}  // namespace

Steering steer(const Migration& row, const PushSample& sample, bool can_switch, Timestamp now,
               const SteerLimits& limits) {
    return Steersman(row, sample, can_switch, now, limits).decide();
}

Milliseconds last_downtime_limit(const MigrationTerms& terms, Milliseconds socket) {
    const Milliseconds certain = std::clamp(socket, Milliseconds{0}, terms.max_downtime * 3 / 5);
    return std::max(terms.max_downtime - certain, Milliseconds{1});
}

Milliseconds first_downtime_limit(const MigrationTerms& terms, Milliseconds switch_cost, Milliseconds socket,
                                  double overrun) {
    const Milliseconds most = last_downtime_limit(terms, socket);
    const Milliseconds believed = most - std::clamp(switch_cost, Milliseconds{0}, most / 3);
    const double limit = static_cast<double>(believed.count()) / std::max(overrun, 1.0);
    return std::max(Milliseconds(std::llround(limit)), Milliseconds{1});
}

Milliseconds socket_time(BytesPerSecond line, const std::optional<BytesPerSecond>& cap) {
    constexpr Bytes payload{1'650'000};
    constexpr Milliseconds slice{100};  // QEMU's rate limiter counts in these
    if (line.count() <= 0) return Milliseconds{0};
    const bool capped = cap && cap->count() * 20 < line.count() * 19;
    const Bytes held = capped ? std::min(payload, moved_in(slice, *cap)) : payload;
    return time_for(held, line).value_or(Milliseconds{0});
}

Milliseconds time_to_empty_socket(BytesPerSecond line) {
    constexpr Bytes full_socket = mebibytes(2);
    constexpr Milliseconds not_worth_it{50};
    constexpr Milliseconds longest{1'000};
    constexpr Milliseconds slice{100};  // QEMU's rate limiter counts in these
    const auto emptied = time_for(full_socket, line);
    if (!emptied || *emptied <= not_worth_it) return Milliseconds{0};
    return std::min(*emptied + slice, longest);
}

std::optional<BytesPerSecond> pull_bandwidth(const MigrationTerms& terms, BytesPerSecond line) {
    if (terms.post_copy_bandwidth || line.count() <= 0) return terms.post_copy_bandwidth;
    constexpr std::int64_t of_a_hundred = 93;     // measured: docs/MIGRATION.md 6
    constexpr std::int64_t mebibyte = 1'048'576;  // libvirt speaks in these, and rounds up
    return BytesPerSecond(std::max<std::int64_t>(1, line.count() / 100 * of_a_hundred / mebibyte) * mebibyte);
}

EndForecast forecast_end(const Migration& row, const PushSample& sample) {
    EndForecast end;
    const auto once = time_for(sample.remaining, sample.throughput);
    if (!once) return end;
    end.at_best = *once;
    switch (row.phase) {
        case MigrationPhase::push:
            return forecast_push(row, sample, end);
        case MigrationPhase::stop_and_copy:
            end.downtime = end.at_best;
            [[fallthrough]];
        case MigrationPhase::pull:
            end.converges = true;
            end.left = end.at_best;
            return end;
        default:
            return end;
    }
}

}  // namespace ballast::migration
