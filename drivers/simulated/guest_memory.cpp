#include "drivers/simulated/guest_memory.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "drivers/simulated/load.h"

namespace ballast::drivers::simulated {
namespace {

constexpr double page = 4096;
/// Of what lies on the swap device, so much is touched in a second.
constexpr double touched_again = 0.1;
/// A guest that waits for its swap device all the time still does so much of its work.
constexpr double slowest = 0.05;
/// Linux keeps some memory free before it fills the cache further.
constexpr double kept_free = 0.01;

double as_double(Bytes bytes) {
    return static_cast<double>(bytes.count());
}
double in(BytesPerSecond rate, double seconds) {
    return static_cast<double>(rate.count()) * seconds;
}

bool stepped(const MemoryLoad& load, Instant when) {
    if (when < load.step_at) return false;
    auto since = when - load.step_at;
    if (load.step_every) since %= *load.step_every;
    return !load.step_for || since < *load.step_for;
}

/// What inflating takes: unused pages, then the cache, then programs are swapped out.
void move_balloon(GuestMemory& guest, const MemoryLoad& load, double seconds) {
    if (guest.target >= guest.balloon) {
        guest.balloon = std::min(guest.balloon + in(load.deflate, seconds), guest.target);
        return;
    }
    const double after = std::max(guest.balloon - in(load.inflate, seconds), guest.target);
    guest.cache = std::min(guest.cache, std::max(after - guest.anonymous, 0.0));
    const double room = std::max(as_double(load.swap) - guest.swapped, 0.0);
    const double out = std::clamp(guest.anonymous - after, 0.0, std::min(in(load.disk, seconds), room));
    guest.anonymous -= out;
    guest.swapped += out;
    guest.swap_out += out;
    guest.balloon = std::max(after, guest.anonymous);
}

/// Neither memory nor swap is left for `lacking`: the balloon gives way, or its kernel ends a program.
void run_out(GuestMemory& guest, double lacking, const GuestRules& rules) {
    if (rules.autodeflate) {
        const double given = std::min(lacking, std::max(guest.maximum - guest.balloon, 0.0));
        guest.balloon += given;
        guest.anonymous += given;
        lacking -= given;
    }
    if (lacking < page) return;
    guest.oom_kills += guest.dropped <= 0 ? 1 : 0;
    guest.dropped += lacking;
}

/// Programs let go of memory, or fill more of it as far as there is any; older pages make way to the swap device.
void follow_programs(GuestMemory& guest, const MemoryLoad& load, double seconds, const GuestRules& rules) {
    const double room_now = std::max(guest.balloon - guest.anonymous, 0.0);
    guest.dropped = std::clamp(guest.dropped - room_now, 0.0, guest.wanted);  // they are started again
    const double surplus = guest.anonymous + guest.swapped - (guest.wanted - guest.dropped);
    if (surplus > 0) {
        const double from_disk = std::min(guest.swapped, surplus);
        guest.swapped -= from_disk;
        guest.anonymous = std::max(guest.anonymous - (surplus - from_disk), 0.0);
        return;
    }
    const double fresh = std::min(-surplus, in(load.touch, seconds));
    const double taken = std::min(fresh, std::max(guest.balloon - guest.anonymous, 0.0));
    const double swap_room = std::max(as_double(load.swap) - guest.swapped, 0.0);
    const double pushed = std::min({fresh - taken, in(load.disk, seconds), swap_room});
    guest.anonymous += taken;
    guest.swapped += pushed;
    guest.swap_out += pushed;
    if (fresh - taken - pushed >= page && swap_room - pushed < page) run_out(guest, fresh - taken - pushed, rules);
}

/// What is on the swap device is wanted: it comes back where there is room; elsewhere pages go in and out for it.
void swap(GuestMemory& guest, const MemoryLoad& load, double seconds) {
    const double most = in(load.disk, seconds);
    const double back = std::min({guest.swapped, most, std::max(guest.balloon - guest.anonymous, 0.0)});
    guest.anonymous += back;
    guest.swapped -= back;
    const double exchanged = std::min(guest.swapped * touched_again * seconds, most - back);
    guest.swap_in += back + exchanged;
    guest.swap_out += exchanged;
    guest.major_faults += (back + exchanged) / page;
    guest.speed = most > 0 ? 1 - (1 - slowest) * (back + exchanged) / most : 1;
}

/// Where its page cache comes to rest.
double cache_goal(const GuestMemory& guest, const MemoryLoad& load) {
    const double room = std::max(guest.balloon * (1 - kept_free) - guest.anonymous, 0.0);
    return load.cache ? std::min(as_double(*load.cache), room) : room;
}

bool is_settled(const GuestMemory& guest, const MemoryLoad& load, const GuestRules& rules) {
    const bool balloon = !rules.follows || guest.balloon == guest.target;
    const double lacking = guest.wanted - guest.anonymous;
    return balloon && guest.dropped <= 0 && std::abs(lacking) < page &&
           std::abs(cache_goal(guest, load) - guest.cache) < page;
}

}  // namespace

double wanted_memory(const MemoryLoad& load, Instant when) {
    const double mean = as_double(load.wants);
    const double swing = as_double(load.swing);
    const double seconds = std::chrono::duration<double>(when.time_since_epoch() + load.phase).count();
    switch (load.pattern) {
        case MemoryPattern::constant:
            return mean;
        case MemoryPattern::diurnal:
            return std::max(0.0, mean + swing * std::cos(2 * std::numbers::pi *
                                                         position(load.period, seconds - load.peak_hour * 3600)));
        case MemoryPattern::sawtooth:
            return std::max(0.0, mean + swing * (2 * position(load.period, seconds) - 1));
        case MemoryPattern::step:
            return stepped(load, when) ? as_double(load.step_to) : mean;
    }
    return mean;
}

Instant next_change(const MemoryLoad& load, Instant when) {
    if (load.pattern == MemoryPattern::constant) return Instant::max();
    if (load.pattern != MemoryPattern::step) return load.swing.count() > 0 ? when : Instant::max();
    if (when < load.step_at) return load.step_at;
    Instant begun = load.step_at;
    if (load.step_every) begun = when - (when - load.step_at) % *load.step_every;
    if (load.step_for && when < begun + *load.step_for) return begun + *load.step_for;
    return load.step_every ? begun + *load.step_every : Instant::max();
}

bool advance(GuestMemory& guest, const MemoryLoad& load, double wanted, double seconds, const GuestRules& rules) {
    const GuestMemory before = guest;
    guest.wanted = wanted;
    if (rules.follows) move_balloon(guest, load, seconds);
    follow_programs(guest, load, seconds, rules);
    swap(guest, load, seconds);
    guest.cache = std::min(guest.cache + in(load.reads, seconds), cache_goal(guest, load));
    const double used = guest.anonymous + guest.cache;
    guest.held = rules.reports ? used : std::min(std::max(guest.held, used), guest.balloon);
    if (is_settled(guest, load, rules)) return false;
    return guest.balloon != before.balloon || guest.anonymous != before.anonymous || guest.cache != before.cache ||
           guest.swapped != before.swapped;
}

}  // namespace ballast::drivers::simulated
