#include "tests/support/virtual_clock.h"

#include <atomic>
#include <cerrno>
#include <ctime>
#include <map>
#include <mutex>
#include <set>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace ballast::testing {
namespace {

using std::chrono::nanoseconds;

std::atomic<bool> is_virtual{false};
std::atomic<std::int64_t> virtual_now{0};
std::int64_t began = 0;
std::mutex timers_mutex;
std::map<int, std::int64_t> timers;  ///< by descriptor: when it is to fire
std::set<int> fired;                 ///< descriptors that stay readable until they are set again

std::int64_t real_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

int set_real_timer(int descriptor, int flags, const itimerspec* wanted, itimerspec* before) {
    return static_cast<int>(::syscall(SYS_timerfd_settime, descriptor, flags, wanted, before));
}

void fire_now(int descriptor) {
    itimerspec past{};
    past.it_value.tv_nsec = 1;
    set_real_timer(descriptor, TFD_TIMER_ABSTIME, &past, nullptr);
    fired.insert(descriptor);
}

}  // namespace

/// Called for timerfd_settime while time is virtual: notes when the loop wants to be woken, and lets no real timer run.
int note_timer(int descriptor, int flags, const itimerspec* wanted) {
    const bool at_once = (flags & TFD_TIMER_ABSTIME) != 0 || (wanted->it_value.tv_sec | wanted->it_value.tv_nsec) == 0;
    const std::scoped_lock lock(timers_mutex);
    timers.erase(descriptor);
    if (at_once) {
        fire_now(descriptor);
        return 0;
    }
    timers[descriptor] = virtual_now + wanted->it_value.tv_sec * 1'000'000'000 + wanted->it_value.tv_nsec;
    if (fired.erase(descriptor) == 0) return 0;
    const itimerspec never{};
    return set_real_timer(descriptor, 0, &never, nullptr);
}

bool time_is_virtual() {
    return is_virtual;
}

std::int64_t monotonic_now() {
    return is_virtual ? virtual_now.load() : real_now();
}

int pass_on_timer(int descriptor, int flags, const itimerspec* wanted, itimerspec* before) {
    return set_real_timer(descriptor, flags, wanted, before);
}

VirtualClock::VirtualClock() {
    began = real_now();
    virtual_now = began;
    is_virtual = true;
}

VirtualClock::~VirtualClock() {
    forget_timers();
    is_virtual = false;
}

nanoseconds VirtualClock::elapsed() const {
    return nanoseconds(virtual_now - began);
}

std::optional<nanoseconds> VirtualClock::next_timer() const {
    const std::scoped_lock lock(timers_mutex);
    std::optional<nanoseconds> first;
    for (const auto& [descriptor, due] : timers)
        if (!first || nanoseconds(due - began) < *first) first = nanoseconds(due - began);
    return first;
}

void VirtualClock::move_to(nanoseconds elapsed) {
    virtual_now = std::max(virtual_now.load(), began + elapsed.count());
    const std::scoped_lock lock(timers_mutex);
    std::erase_if(timers, [](const auto& timer) {
        if (timer.second > virtual_now) return false;
        fire_now(timer.first);
        return true;
    });
}

void VirtualClock::forget_timers() {
    const std::scoped_lock lock(timers_mutex);
    timers.clear();
    fired.clear();
}

}  // namespace ballast::testing

// The library's own, for the whole program.
std::chrono::steady_clock::time_point std::chrono::_V2::steady_clock::now() noexcept {
    return time_point(duration(ballast::testing::monotonic_now()));
}

extern "C" int timerfd_settime(int descriptor, int flags, const itimerspec* wanted, itimerspec* before) noexcept {
    if (!ballast::testing::time_is_virtual()) return ballast::testing::pass_on_timer(descriptor, flags, wanted, before);
    return ballast::testing::note_timer(descriptor, flags, wanted);
}
