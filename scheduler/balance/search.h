#pragma once
// The search for a better assignment, by simulated annealing (anneal.h). Decides which assignment is best for
// score + price * moves within the bound; never in which order the moves are made (plan.h).
//
// Pure: no clock and no thread. A chain is a function of problem, options and its number; chains may run side by side
// and the best is chosen by number where they tie, so that the result does not depend on how many threads there were.
// Only `stop` may cut it short: then the best so far is the answer, and `cut` says so.

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "scheduler/balance/problem.h"

namespace ballast::scheduler::balance {

struct SearchOptions {
    std::optional<std::int64_t> max_moves;
    std::uint64_t seed = 1;
    std::uint64_t effort = 0;  ///< candidates that each chain looks at; 0: nothing is changed
    double price = 0;          ///< what a move must gain, in units of the score
    std::size_t chains = 2;
};

/// Candidates that a cluster of this size deserves: the fourth power of its hosts (steepest descent looks at about
/// their cube for each move, and makes moves in proportion to them), up to about a second of one core. On 20 and 50
/// hosts ten times as many gain nothing.
[[nodiscard]] std::uint64_t default_effort(const Problem& problem);
/// What a move must gain by default: a tenth of a point spread over the hosts. A VM's share of a deviation falls with
/// the number of hosts.
[[nodiscard]] double default_price(const Problem& problem, const std::optional<std::int64_t>& max_moves);

struct Found {
    Assignment at;
    double score = 0;
    std::int64_t moves = 0;
    std::uint64_t candidates = 0;  ///< looked at
    bool cut = false;              ///< `stop` ended it
};

using Stop = std::function<bool()>;

[[nodiscard]] Found run_chain(const Problem& problem, const SearchOptions& options, std::size_t chain,
                              const Stop& stop);

/// The chain whose score + price * moves is lowest, the first of equals. Precondition: not empty.
[[nodiscard]] const Found& best_of(const std::vector<Found>& chains, double price);

}  // namespace ballast::scheduler::balance
