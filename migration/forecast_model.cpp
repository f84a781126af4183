#include "migration/forecast_model.h"

#include <algorithm>

namespace ballast::migration::model {
namespace {

/// QEMU's rate limiter works in slices of 100 ms and looks about twice a slice: no round is shorter, where the line is
/// full. Differences do not fill it.
constexpr double shortest_round_s = 0.05;
constexpr double shortest_of_differences_s = 0.01;
constexpr double throttle_period_s = 1;
constexpr double dirty_share = 0.5;
constexpr int most_rounds = 4000;
/// So many rounds without less left than ever before: it will not end by itself.
constexpr int stuck_rounds = 40;

/// Counts as QEMU does between two looks at the throttle.
class ThrottleState {
  public:
    explicit ThrottleState(const Throttle& rule) : rule_(rule) {}

    void round_ended(double seconds, double sent, double dirtied) {
        seconds_ += seconds;
        sent_ += sent;
        dirtied_ += dirtied;
        if (seconds_ <= throttle_period_s) return;
        if (rule_.on && dirtied_ > dirty_share * sent_ && ++high_ >= 2) {
            high_ = 0;
            now_ = std::min(now_ > 0 ? now_ + rule_.increment : rule_.initial, rule_.most);
        }
        seconds_ = sent_ = dirtied_ = 0;
    }
    [[nodiscard]] double now() const { return now_; }
    [[nodiscard]] bool may_rise() const { return rule_.on && now_ < rule_.most; }

  private:
    Throttle rule_;
    double seconds_ = 0;
    double sent_ = 0;
    double dirtied_ = 0;
    double now_ = 0;
    int high_ = 0;
};

/// XBZRLE (Hudzia, 2011; QEMU's migration/ram.c) skips the first round, and keeps in the second what the later ones are
/// compared with.
double wire_of(int round, double resent) {
    constexpr int first_with_a_full_cache = 3;
    return round < first_with_a_full_cache ? 1 : resent;
}

/// The first round goes over all memory: but for its last few MiB, which Linux fills first, the zero pages near its end
/// hide the threshold.
double to_send(int round, double dirty, double threshold, double bandwidth, double wire) {
    constexpr double tail = 4.0 * 1024 * 1024;
    if (round == 1) return dirty - std::min({threshold, tail, dirty / 2});
    const double shortest = wire < 1 ? shortest_of_differences_s : shortest_round_s;
    return std::max(dirty - threshold, std::min(dirty, bandwidth / wire * shortest));
}

}  // namespace

PreCopyResult walk(const PreCopy& input) {
    const double bandwidth = std::max(input.bandwidth, page);
    const double threshold = bandwidth * input.downtime_limit;
    ThrottleState throttle(input.throttle);
    PreCopyResult result{.left = input.content};
    double least = input.content;
    int stuck = 0;
    while (result.seconds < horizon && result.rounds < most_rounds && stuck < stuck_rounds) {
        ++result.rounds;
        const double wire = wire_of(result.rounds, input.resent);
        const double sending = to_send(result.rounds, result.left, threshold, bandwidth, wire);
        const double seconds = sending * wire / bandwidth;
        const double unsent = result.left - sending;
        result.left = dirty_after(throttled(input.load, throttle.now()), seconds, unsent);
        result.last = result.left * wire_of(result.rounds + 1, input.resent);
        result.seconds += seconds;
        result.sent += sending * wire;
        if (throttle.now() > 0) result.throttled += seconds;
        throttle.round_ended(seconds, sending * wire, result.left - unsent);
        result.ends = result.left <= threshold;
        if (result.ends || result.rounds == input.rounds) return result;
        stuck = result.left < least - page || throttle.may_rise() ? 0 : stuck + 1;
        least = std::min(least, result.left);
    }
    result.sent = std::max(result.sent, bandwidth * horizon);
    result.seconds = horizon;
    return result;
}

}  // namespace ballast::migration::model
