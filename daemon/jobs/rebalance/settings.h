#pragma once
// What [balance] of the configuration says: how plans are made and carried out where the request says nothing.

#include <cstdint>

#include "core/units.h"
#include "scheduler/plan/cluster_plan.h"

namespace ballast::jobs {

/// manual: only what somebody asks for. advised: recommendations that wait for a yes. automatic: they are carried out.
enum class BalanceMode : std::uint8_t { manual, advised, automatic };

struct BalanceSettings {
    BalanceMode mode = BalanceMode::manual;
    scheduler::Goal goal = scheduler::Goal::level;  ///< of the daemon's own plans
    Milliseconds interval{15 * 60 * 1000};
    Milliseconds budget{5'000};  ///< for one search
    Seconds stay{3'600};
    double margin = 1.2;
    Seconds no_return{6 * 3'600};
    int max_moves = 100;  ///< of one plan: what a storm can be at most
    int moves_per_vm_hour = 1;
    int moves_per_host_hour = 8;
    int warm_spares = 1;
    Milliseconds plan_age{30 * 60 * 1000};  ///< older ones are planned again, not carried out
    int replans = 3;                        ///< of the rest, within one run
    int outside_moves = 3;  ///< moves by others within no_return at which the daemon's own balancing stands back; 0:
                            ///< never
    int threads = 1;        ///< of one search
};

}  // namespace ballast::jobs
