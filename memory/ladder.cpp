#include "memory/ladder.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

struct Rung {
    Level level;
    double enter;  ///< available memory, in parts of the reserve
    double leave;
    double pressure;  ///< PSI
    Bytes swap_in;    ///< per second
};

constexpr double never = 2;
constexpr std::array rungs{
    Rung{Level::tight, 0.80, 1.00, never, Bytes(std::numeric_limits<std::int64_t>::max())},
    Rung{Level::pressed, 0.50, 0.65, 0.10, mebibytes(1)},
    Rung{Level::critical, 0.25, 0.40, 0.40, mebibytes(16)},
};

/// The acts of each level, mildest first; a level has those of the lower ones too.
struct RungAct {
    Level from;
    Act act;
};
constexpr std::array acts{
    RungAct{Level::tight, Act::reclaim_cache}, RungAct{Level::tight, Act::tax_idle},
    RungAct{Level::pressed, Act::ask_planner}, RungAct{Level::pressed, Act::stop_admitting},
    RungAct{Level::pressed, Act::squeeze},     RungAct{Level::critical, Act::suspend_lowest},
};

std::string_view name_of(Level level) {
    switch (level) {
        case Level::comfortable:
            return "comfortable";
        case Level::tight:
            return "tight";
        case Level::pressed:
            return "pressed";
        case Level::critical:
            return "critical";
    }
    return "";
}

bool swaps(const HostMemory& host, Bytes per_second) {
    return host.swap_in && host.swap_in->count() >= per_second.count();
}

/// The highest rung whose threshold is passed: the one to enter where the host stands below it, the one to leave where
/// it stands on it or above.
Level level_for(const HostMemory& host, double part, Level standing) {
    Level level = Level::comfortable;
    for (const Rung& rung : rungs) {
        const double limit = standing >= rung.level ? rung.leave : rung.enter;
        if (part < limit || host.pressure.value_or(0) >= rung.pressure || swaps(host, rung.swap_in)) level = rung.level;
    }
    return level;
}

std::string figures(const HostMemory& host, Bytes available, Bytes reserve) {
    std::string text = fmt::format("{} available, {} are kept in reserve", available, reserve);
    if (host.pressure && *host.pressure > 0) text += fmt::format(", pressure {:.0f} %", 100 * *host.pressure);
    if (host.swap_in && host.swap_in->count() > 0) text += fmt::format(", swaps in {}", *host.swap_in);
    return text;
}

LadderMemo stepped(LadderMemo memo, Level wanted, Timestamp now) {
    if (memo.since == Timestamp{}) memo.since = now;
    if (wanted > memo.level) return {.level = wanted, .since = now, .lower_since = {}};
    if (wanted == memo.level) {
        memo.lower_since = {};
        return memo;
    }
    if (memo.lower_since == Timestamp{}) memo.lower_since = now;
    if (between(memo.lower_since, now) < calm) return memo;
    const auto down = static_cast<Level>(static_cast<int>(memo.level) - 1);
    return {.level = down, .since = now, .lower_since = down == wanted ? Timestamp{} : now};
}

}  // namespace

Bytes available_on(const HostMemory& host) {
    return std::min(std::max(host.free, Bytes(0)) + std::max(host.cached, Bytes(0)) / 2,
                    std::max(host.total, Bytes(0)));
}

Bytes pressed_below(Bytes reserve) {
    return bytes_of(as_double(reserve) * rungs[static_cast<std::size_t>(Level::pressed) - 1].enter);
}

Bytes critical_below(Bytes reserve) {
    return bytes_of(as_double(reserve) * rungs.back().enter);
}

LadderStep climbed(const LadderMemo& before, const HostMemory& host, Bytes reserve, bool may_suspend, Timestamp now) {
    const Bytes available = available_on(host);
    const double part = available / std::max(reserve, Bytes(1));
    LadderStep step;
    step.memo = stepped(before, level_for(host, part, before.level), now);
    step.changed = step.memo.level != before.level;
    step.why = figures(host, available, reserve);
    for (const RungAct& one : acts) {
        if (step.memo.level < one.from) continue;
        const bool last = one.act == Act::suspend_lowest;
        if (last && (!may_suspend || between(step.memo.since, now) < last_resort)) continue;
        step.acts.push_back({one.act, fmt::format("{}: {}", name_of(step.memo.level), step.why)});
    }
    return step;
}

}  // namespace ballast::memory
