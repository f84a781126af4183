#pragma once
// A plan of moves as the inventory keeps it: who wanted it, what was asked, the moves themselves, and how far it got.
// Core does not look into the moves: they are the scheduler's (scheduler/plan/cluster_plan.h), carried as text.

#include <cstdint>
#include <optional>
#include <string>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/ids.h"
#include "core/json.h"
#include "core/units.h"

namespace ballast {

/// advised: waits for a yes. approved: has it. applying: its job is at work. expired: too old, or replaced by a newer
/// one, before anybody said yes.
enum class PlanStage : std::uint8_t { advised, approved, applying, applied, failed, cancelled, expired };
BOOST_DESCRIBE_ENUM(PlanStage, advised, approved, applying, applied, failed, cancelled, expired)

/// Whether nothing more will become of it.
[[nodiscard]] bool is_finished(PlanStage stage);

struct Plan {
    PlanId id;
    std::string goal;
    PlanStage state = PlanStage::advised;
    std::string state_reason;
    std::string actor;    ///< token name that asked, or "ballast"
    JsonText options;     ///< what was asked
    JsonText plan;        ///< scheduler::ClusterPlan: the moves, in order
    int moves = 0;        ///< of the plan as it was made
    std::string verdict;  ///< its one sentence
    std::string approved_by;
    std::optional<JobId> job;  ///< that carries it out
    Timestamp made;
    std::optional<Timestamp> approved;
    std::optional<Timestamp> finished;
    std::uint64_t revision = 0;
    friend bool operator==(const Plan&, const Plan&) = default;
};
BOOST_DESCRIBE_STRUCT(Plan, (),
                      (id, goal, state, state_reason, actor, options, plan, moves, verdict, approved_by, job, made,
                       approved, finished, revision))

}  // namespace ballast
