#pragma once
// The danger ladder of a host: how short memory is, and what is done about it. Decides; does nothing. Pure.
//
// It stands on the memory that is available, a = free + half of the page cache, in parts of the reserve R that the
// policy keeps (policy.h):
//   tight     from a < 0.80 R   until a > 1.00 R
//   pressed   from a < 0.50 R   until a > 0.65 R
//   critical  from a < 0.25 R   until a > 0.40 R
// Where the host's own pressure (PSI, some, avg10) or swapping is known: 10 % or 1 MiB/s is pressed, 40 % or 16 MiB/s
// is critical. It goes up at once, down one step at a time, and only after 30 s in which the lower one was enough.

#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "memory/facts.h"

namespace ballast::memory {

enum class Level : std::uint8_t { comfortable, tight, pressed, critical };
BOOST_DESCRIBE_ENUM(Level, comfortable, tight, pressed, critical)

/// What a level asks for; who carries it out is not decided here.
enum class Act : std::uint8_t {
    reclaim_cache,  ///< by balloon, from guests whose rest is page cache
    tax_idle,       ///< balloons down to working sets and margins
    ask_planner,    ///< for a migration away
    stop_admitting,
    squeeze,        ///< balloons below working sets, down to the minimums
    suspend_lowest  ///< the VM of lowest priority to disk
};
BOOST_DESCRIBE_ENUM(Act, reclaim_cache, tax_idle, ask_planner, stop_admitting, squeeze, suspend_lowest)

struct LadderMemo {
    Level level = Level::comfortable;
    Timestamp since;
    Timestamp lower_since;  ///< since when a lower level would do; the epoch: it would not
    friend bool operator==(const LadderMemo&, const LadderMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(LadderMemo, (), (level, since, lower_since))

struct LadderAct {
    Act act = Act::reclaim_cache;
    std::string why;
    friend bool operator==(const LadderAct&, const LadderAct&) = default;
};
BOOST_DESCRIBE_STRUCT(LadderAct, (), (act, why))

struct LadderStep {
    LadderMemo memo;
    bool changed = false;
    std::string why;  ///< of the level: the figures that hold it there
    std::vector<LadderAct> acts;
};

inline constexpr Milliseconds calm{30'000};         ///< before a step down
inline constexpr Milliseconds last_resort{30'000};  ///< critical for that long, before a VM is suspended

/// What could be given out at once: free memory and half of the page cache (the files of a tmpfs count as cache too,
/// and cannot be dropped).
[[nodiscard]] Bytes available_on(const HostMemory& host);

/// `reserve`: what the policy keeps free. `may_suspend`: the last resort is allowed.
[[nodiscard]] LadderStep climbed(const LadderMemo& before, const HostMemory& host, Bytes reserve, bool may_suspend,
                                 Timestamp now);

/// Available memory below which nothing more is given: where `pressed` begins, so that no gift brings a host into
/// danger; in danger where `critical` does.
[[nodiscard]] Bytes pressed_below(Bytes reserve);
[[nodiscard]] Bytes critical_below(Bytes reserve);

}  // namespace ballast::memory
