#pragma once
// While a VirtualClock lives, std::chrono::steady_clock of this program stands still until it is moved, and Asio's
// timers follow it: the daemon's core runs on virtual time unchanged, down to its last time-out. It stands in for two
// functions of the libraries, steady_clock::now and timerfd_settime (by which Asio asks to be woken), so it must be
// linked into the program itself. Without one alive both are what they always are.
//
// Thread rule: one at a time, on the thread that runs the loop; other threads may read the clock.

#include <chrono>
#include <optional>

namespace ballast::testing {

class VirtualClock {
  public:
    VirtualClock();
    ~VirtualClock();
    VirtualClock(const VirtualClock&) = delete;
    VirtualClock& operator=(const VirtualClock&) = delete;

    /// Since it was made.
    [[nodiscard]] std::chrono::nanoseconds elapsed() const;
    /// When the loop's first timer is due; nothing: none is set.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_timer() const;
    /// Timers that are due by then fire at the loop's next poll.
    void move_to(std::chrono::nanoseconds elapsed);
    /// The loops that set timers are gone.
    void forget_timers();
};

}  // namespace ballast::testing
