#pragma once
// The simulator's clock and timer queue. Timers of one moment fire in the order in which they were made, so a run is
// deterministic. Never sleeps, never reads a real clock. Thread rule: none of its own; World's mutex guards it.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "core/units.h"

namespace ballast::drivers::simulated {

using Micros = std::chrono::microseconds;
using Instant = std::chrono::sys_time<Micros>;

class VirtualTime {
  public:
    using Act = std::function<void()>;
    using Timer = std::pair<Instant, std::uint64_t>;

    explicit VirtualTime(Instant start) : now_(start) {}

    [[nodiscard]] Instant now() const { return now_; }

    Timer at(Instant when, Act act) {
        const Timer timer{std::max(when, now_), next_++};
        timers_.emplace(timer, std::move(act));
        return timer;
    }
    Timer after(Micros delay, Act act) { return at(now_ + delay, std::move(act)); }
    void cancel(const Timer& timer) { timers_.erase(timer); }

    [[nodiscard]] std::optional<Instant> next() const {
        if (timers_.empty()) return std::nullopt;
        return timers_.begin()->first.first;
    }

    /// Takes the first timer that is due by `limit` and moves the clock to it.
    [[nodiscard]] std::optional<Act> take(Instant limit) {
        if (timers_.empty() || timers_.begin()->first.first > limit) return std::nullopt;
        now_ = std::max(now_, timers_.begin()->first.first);
        Act act = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        return act;
    }
    void move_to(Instant when) { now_ = std::max(now_, when); }

  private:
    Instant now_;
    std::uint64_t next_ = 0;
    std::map<Timer, Act> timers_;
};

}  // namespace ballast::drivers::simulated
