#pragma once
// N+1 during a plan: whether the loss of any one host could still be absorbed by the others (absorb.h). Decides about
// memory, vCPUs and anti-affinity; what could be absorbed before must stay so, what could not is no reason to refuse.
// Pure; belongs to one search or one replay.

#include "scheduler/absorb.h"
#include "scheduler/plan/model.h"

namespace ballast::scheduler::plan {

class Spare {
  public:
    /// All VMs at home.
    explicit Spare(const Model& model);

    /// Whether N+1 outlives the VM's move, while it lasts and afterwards.
    [[nodiscard]] bool accepts(Index vm, Index to);
    void move(Index vm, Index to);
    /// The host is powered off or on: it absorbs nothing while it is off.
    void close(Index host, bool closed);
    /// Whether every host that could be lost at first could be lost now.
    [[nodiscard]] bool holds();

  private:
    [[nodiscard]] Absorber::Guest guest(Index vm, Index host) const;
    void count(Index vm, Index host, int sign);
    void settle(Index host);

    const Model* model_;
    Assignment at_;
    std::vector<Absorber::HostState> hosts_;
    Absorber absorber_;
};

}  // namespace ballast::scheduler::plan
