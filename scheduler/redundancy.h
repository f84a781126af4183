#pragma once
// N+1 for placement: hosts as the absorber (absorb.h) wants them, and whether one more VM on a host would leave some
// host's VMs without room if that failed. Decides that alone; the rule n_plus_one refuses by it, the scorer
// `redundancy` prefers by it. Pure; one thread at a time.
//
// What counts on a host are its VMs, those that are claimed to come there, and reservations (host_view.h). The guard in
// the store's transaction does not ask for N+1.

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/absorb.h"
#include "scheduler/host_view.h"
#include "scheduler/placement.h"

namespace ballast::scheduler {

class Redundancy {
  public:
    explicit Redundancy(NPlusOne wanted) : wanted_(std::move(wanted)) {}

    /// Replaces what is known of a host.
    void set(const HostView& view);
    /// It is gone.
    void remove(const HostId& host);

    [[nodiscard]] const NPlusOne& wanted() const { return wanted_; }
    /// The host whose failure could no longer be absorbed if a VM of this spec came to that host.
    [[nodiscard]] std::optional<HostId> exposed_by(const Host& host, const VmSpec& spec);

  private:
    [[nodiscard]] Absorber::Index index_of(const HostId& host);

    NPlusOne wanted_;
    Absorber absorber_;
    std::unordered_map<HostId, Absorber::Index> indices_;
    std::vector<HostId> hosts_;
};

}  // namespace ballast::scheduler
