#include "scheduler/scorers/vcpus_left.h"

#include "scheduler/scorers/share.h"

namespace ballast::scheduler {

double VcpusLeft::operator()(const Candidate& candidate) const {
    return 1 - vcpus_used(candidate);
}

}  // namespace ballast::scheduler
