#pragma once
// The moves of a plan made one by one on a scratch copy of the snapshot, each judged by every ordinary rule on the rows
// of that moment: the proof that a plan is safe at each step. The VM counts on both hosts while it moves, since it
// still counts where it leaves when the target is asked. Decides nothing beyond the rules, which ask what is known of
// memory (memory_admission.h). Pure.

#include <optional>
#include <string>
#include <vector>

#include "scheduler/plan/group_book.h"
#include "scheduler/plan/model.h"
#include "scheduler/plan/spare.h"

namespace ballast::scheduler::plan {

class Replay {
  public:
    explicit Replay(const Model& model);

    [[nodiscard]] const HostView& view(Index host) const { return views_[pos(host)]; }
    [[nodiscard]] const Snapshot& snapshot() const { return snapshot_; }
    [[nodiscard]] Index host_of(Index vm) const { return at_[pos(vm)]; }

    /// What each rule says of a move to that host now.
    [[nodiscard]] std::vector<RuleVerdict> judge(Index vm, Index to) const;
    [[nodiscard]] bool accepts(Index vm, Index to) const;
    /// From now on a move is accepted only if N+1 outlives it. Before the first move.
    void keep(const std::optional<Spare>& spare) { spare_ = spare; }
    [[nodiscard]] bool keeps_spare(Index vm, Index to) const { return !spare_ || spare_->accepts(vm, to); }
    /// Whether no other member of its groups breaks a rule because it left: a rule is asked about who comes, and of
    /// those about groups only an even spread suffers when somebody goes. Leaves everything as it was.
    [[nodiscard]] bool outlived_by_groups(Index vm, Index to);
    /// Whether a VM that is not there yet would be taken.
    [[nodiscard]] bool accepts(const VmSpec& spec, Index host) const;
    /// The rules that the VM breaks where it is; empty: none.
    [[nodiscard]] std::vector<RuleVerdict> broken(Index vm) const;
    /// The VM is there now. Precondition: accepts().
    StepProof make(Index vm, Index to);
    /// The VM is taken out of its host, as if it had left the cluster.
    void take_out(Index vm);

  private:
    [[nodiscard]] Surroundings around(Index vm) const { return with_memory(groups_.around(vm)); }
    [[nodiscard]] Surroundings with_memory(Surroundings around) const;
    [[nodiscard]] Bytes lost_sharing(Index vm, Index to) const;
    [[nodiscard]] std::size_t count_broken(const std::vector<Index>& vms) const;
    void forget(Index vm, Index host);
    void view_again(Index host);

    const Model* model_;
    Snapshot snapshot_;
    std::vector<HostView> views_;
    std::vector<Residents> residents_;  ///< by host
    GroupBook groups_;
    mutable std::optional<Spare> spare_;  ///< it remembers what it has found out
    Assignment at_;
};

}  // namespace ballast::scheduler::plan
