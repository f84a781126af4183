#include "scheduler/scorers/memory_left.h"

#include "scheduler/scorers/share.h"

namespace ballast::scheduler {

double MemoryLeft::operator()(const Candidate& candidate) const {
    return 1 - memory_used(candidate);
}

}  // namespace ballast::scheduler
