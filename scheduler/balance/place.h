#pragma once
// On which host one more VM is best for the objective, and why the others cannot take it: what hail answers. Decides;
// reserves nothing. Pure.

#include <optional>
#include <vector>

#include "scheduler/balance/problem.h"

namespace ballast::scheduler::balance {

struct Placement {
    std::optional<Index> host;
    double score_before = 0;
    double score_after = 0;
    std::int64_t candidates = 0;  ///< hosts that could take it
    std::int64_t offline = 0;     ///< hosts that could not, each by its first reason
    std::int64_t no_memory = 0;
    std::int64_t no_vcpus = 0;
    std::int64_t exposed = 0;  ///< better hosts that could, but then the loss of some host could not be absorbed
};

/// The VM as the objective counts it; its home is ignored. With `n_plus_one` a host that would leave some host's VMs
/// without room if that failed (scheduler/absorb.h) is passed over.
[[nodiscard]] Placement place_vm(const Problem& problem, const VmRow& vm, bool n_plus_one = false);

}  // namespace ballast::scheduler::balance
