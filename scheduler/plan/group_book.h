#pragma once
// Where the members of every group are, kept from step to step: what the rules about groups need to know of all other
// hosts, without a walk over all VMs. Decides nothing. Pure; belongs to one search or one replay.

#include "scheduler/plan/model.h"
#include "scheduler/rules/rule.h"

namespace ballast::scheduler::plan {

class GroupBook {
  public:
    explicit GroupBook(const Model& model);

    /// What lies around this VM, itself left out.
    [[nodiscard]] Surroundings around(Index vm) const;
    void move(Index vm, Index to);
    /// The VM is in no place any more.
    void take_out(Index vm);

  private:
    void count(Index vm, int sign);
    static void count(GroupFacts& facts, const Host& host, int sign);

    const Model* model_;
    Groups all_;
    Assignment at_;
    std::vector<bool> out_;
};

}  // namespace ballast::scheduler::plan
