#include "scheduler/rules/lower_minimum.h"

#include "scheduler/rules/memory_fit.h"
#include "scheduler/rules/working_set_fit.h"

namespace ballast::scheduler {

std::optional<std::string> lower_minimum(const Candidate& candidate, Bytes missing) {
    const Bytes now = candidate.spec().memory_minimum;
    if (!overcommits(candidate.host()) || !may_be_squeezed(candidate.spec())) return std::nullopt;
    const Bytes lower = saturating_sub(now, missing) / mebibytes(1).count() * mebibytes(1).count();
    if (lower < least_minimum) return std::nullopt;
    PlacementRequest request = candidate.request;
    request.spec.memory_minimum = lower;
    const Candidate lowered{candidate.snapshot, request, candidate.view, candidate.around};
    if (!MemoryFit{}.fits(lowered) || !WorkingSetFit{}.fits(lowered)) return std::nullopt;
    return fmt::format("its memory_minimum is lowered by {} to {}", now - lower, lower);
}

}  // namespace ballast::scheduler
