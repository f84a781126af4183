#include "daemon/jobs/placer.h"

namespace ballast::jobs {

void Placer::prefer(scheduler::Preferences preferences) {
    preferences_ = std::move(preferences);
    fleet_.prefer(preferences_);
}

std::optional<HostId> Placer::choose(const scheduler::PlacementRequest& request, std::uint64_t seed) {
    fleet_.follow(store_->snapshot());
    return fleet_.choose(request, seed);
}

scheduler::Basis Placer::basis_of(const HostId& host, const VmSpec& spec) {
    fleet_.follow(store_->snapshot());
    return fleet_.basis_of(host, spec);
}

Placer::Hold Placer::hold(Claim claim) {
    ClaimId id = claim.id;
    fleet_.hold(std::move(claim));
    return {shared_from_this(), std::move(id)};
}

}  // namespace ballast::jobs
