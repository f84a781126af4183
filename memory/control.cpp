#include "memory/control.h"

#include <algorithm>

#include "memory/budget.h"

namespace ballast::memory {
namespace {

constexpr Milliseconds hour{3'600'000};

/// One sweep, part by part; each part reads what those before it found.
class Sweep {
  public:
    Sweep(const HostMemory& host, std::span<const VmMemory> vms, const HostMemo& before, MemoryPolicy policy,
          Timestamp now, const ControlOptions& options)
        : host_(host),
          vms_(vms),
          before_(before),
          policy_(policy_of(policy)),
          now_(now),
          options_(options),
          reserve_(reserve_of(policy_, host.total, host.pressure || host.swap_in)) {}

    Controlled made() && {
        estimate_all();
        climb();
        count();
        move_balloons();
        tune();
        state_risk();
        choose_suspended();
        return {std::move(out_), std::move(next_)};
    }

  private:
    void estimate_all() {
        out_.vms.reserve(vms_.size());
        working_sets_.reserve(vms_.size());
        for (const VmMemory& vm : vms_) {
            const auto known = before_.vms.find(vm.id);
            const VmMemo& memo = known != before_.vms.end() ? known->second : nothing_known_;
            auto [working_set, next] = estimate(vm, memo.working_set, now_, options_.working_set);
            VmMemo kept{.working_set = next, .follow = watched(memo.follow, vm.reading.balloon, now_, options_.follow)};
            out_.vms.push_back({vm.id, working_set, why_left_alone(vm, kept.follow)});
            working_sets_.push_back(std::move(working_set));
            next_.vms.insert_or_assign(vm.id, std::move(kept));
        }
    }

    [[nodiscard]] std::string why_left_alone(const VmMemory& vm, const FollowMemo& follow) const {
        if (!policy_.acts) return "the host's memory policy is none";
        if (!policy_of(vm.policy).acts) return "its memory policy is none";
        if (!vm.balloon) return "has no balloon";
        if (vm.migrating) return "is being moved";
        if (left_alone(follow, now_)) return follow.why;
        return {};
    }

    void climb() {
        LadderStep step = climbed(before_.ladder, host_, reserve_, policy_.may_suspend, now_);
        next_.ladder = step.memo;
        out_.level = step.memo.level;
        out_.level_changed = step.changed;
        out_.level_why = std::move(step.why);
        if (policy_.acts) out_.acts = std::move(step.acts);
    }

    /// Shared memory counts only as far as un-sharing leaves it for an hour.
    void count() {
        const Bytes saved = saved_by(host_.ksm);
        const Bytes sure = saturating_sub(saved, unsharing_within(before_.ksm, saved, hour, options_.ksm).memory);
        budget_ = budget_of(host_, vms_, reserve_, sure, policy_.counted_sharing);
        budget_.untouched += host_.coming;
        out_.ledger = ledger_of(host_, vms_, working_sets_, reserve_);
    }

    /// A guest that is not believed may get more, up to its maximum, and gives nothing.
    [[nodiscard]] BalloonVm balloon_of(std::size_t i) const {
        const VmMemory& vm = vms_[i];
        const WorkingSet& set = working_sets_[i];
        const bool believed = set.trust == Trust::trusted;
        const Bytes least = guaranteed(vm);
        return {.id = vm.id,
                .balloon = vm.reading.balloon,
                .maximum = vm.maximum,
                .minimum = believed ? least : std::max(least, vm.reading.balloon),
                .working_set = set.size,
                .programs = believed && !set.lacks && vm.reading.usable
                                ? saturating_sub(vm.reading.balloon, *vm.reading.usable)
                                : set.size,
                .shares = vm.shares,
                .lacks = set.lacks,
                .policy = &policy_of(vm.policy)};
    }

    /// Whoever boots may take all it has before its balloon is moved; a start waits until that is over, so what can be
    /// made leaves it out. Who is never believed may take it at any time. What nobody was promised is there in any
    /// case: with it the host is not overcommitted.
    void find_start_room(Bytes squeezable) {
        Bytes kept = pressed_below(reserve_);
        Bytes booting;
        Bytes promised = budget_.own;
        for (std::size_t i = 0; i < vms_.size(); ++i) {
            promised += vms_[i].maximum + vms_[i].overhead;
            if (!working_sets_[i].guessed) continue;
            Bytes& filled = working_sets_[i].trust == Trust::trusted || vms_[i].boots ? booting : kept;
            filled += saturating_sub(vms_[i].reading.balloon + vms_[i].overhead, vms_[i].reading.resident);
        }
        const Bytes left = saturating_sub(host_.total, promised);
        out_.start_room = std::max(saturating_sub(budget_.available, kept + booting), left);
        out_.start_room_made = std::max(saturating_sub(budget_.available + squeezable, kept), left);
    }

    /// Of what is in memory. Who boots is filling it.
    [[nodiscard]] Bytes squeezable(std::size_t i, Bytes to) const {
        if (working_sets_[i].guessed) return {};
        const VmMemory& vm = vms_[i];
        return saturating_sub(std::min(vm.reading.balloon, saturating_sub(vm.reading.resident, vm.overhead)), to);
    }

    void move_balloons() {
        std::vector<BalloonVm> movable;
        Bytes fixed;
        Bytes above;
        for (std::size_t i = 0; i < vms_.size(); ++i) {
            if (out_.vms[i].left_alone.empty()) {
                movable.push_back(balloon_of(i));
                above += squeezable(i, comfortable_size(movable.back()));
            } else {
                fixed += vms_[i].balloon ? vms_[i].reading.balloon : vms_[i].maximum;
            }
        }
        find_start_room(above);
        BalloonPlan plan = plan_balloons(
            movable, {.budget = saturating_sub(budget_.for_guests + budget_.sharing, fixed + host_.coming),
                      .may_give = may_give(budget_, out_.level >= Level::pressed),
                      .owed = before_.owed,
                      .awaited = host_.coming > Bytes(0),
                      .danger = out_.level >= Level::pressed,
                      .plenty = out_.level == Level::comfortable});
        for (const BalloonMove& move : plan.moves) {
            FollowMemo& follow = next_.vms.at(move.vm).follow;
            follow = asked(follow, move.from, move.to, now_);
        }
        out_.balloons = std::move(plan.moves);
        out_.unmet = plan.unmet;
        next_.owed = plan.owed;
    }

    void tune() {
        KsmTerms terms{.registered = {},
                       .plenty = budget_.plenty,
                       .pressed = out_.level >= Level::pressed,
                       .numa_cells = host_.numa_cells,
                       .cpu_share = policy_.acts ? policy_.ksm_cpu : 0};
        for (const VmMemory& vm : vms_)
            if (vm.merge) terms.registered += saturating_sub(vm.reading.resident, vm.overhead);
        KsmStep step = tune_ksm(host_.ksm, terms, before_.ksm, now_, options_.ksm);
        const bool at_rest = step.decision.state == KsmState::resting && before_.ksm.state != KsmState::resting;
        next_.sharing = at_rest ? learned(before_.sharing, groups(), saved_by(host_.ksm)) : before_.sharing;
        next_.ksm = step.memo;
        out_.ksm = std::move(step.decision);
    }

    [[nodiscard]] std::vector<GroupCount> groups() const {
        Groups groups;
        for (std::size_t i = 0; i < vms_.size(); ++i)
            if (vms_[i].merge) groups.add(vms_[i].group, working_sets_[i].size);
        return groups.counted();
    }

    void state_risk() {
        std::vector<Demand> demands;
        std::vector<CorrelationPart> parts;
        demands.reserve(vms_.size());
        parts.reserve(vms_.size());
        for (std::size_t i = 0; i < vms_.size(); ++i) {
            const WorkingSet& set = working_sets_[i];
            demands.push_back(demand_of(vms_[i], set));
            if (set.trust != Trust::trusted || set.guessed) continue;
            parts.push_back({std::hash<VmId>{}(vms_[i].id), vms_[i].group, set.needed, set.deviation});
        }
        next_.correlation = correlated(before_.correlation, parts, options_.risk, now_, options_.first_belief);
        out_.risk = assess(demands, {.capacity = budget_.for_guests + budget_.overhead,
                                     .sharing = budget_.sharing,
                                     .held = {},
                                     .risk = policy_.risk,
                                     .model = measured_model(next_.correlation, options_.risk)});
        out_.admits = out_.level < Level::pressed && out_.risk.verdict == AdmissionVerdict::admitted;
    }

    /// Of those that may be suspended and whose memory has room on disk: the lowest priority, then the largest.
    void choose_suspended() {
        if (std::ranges::find(out_.acts, Act::suspend_lowest, &LadderAct::act) == out_.acts.end()) return;
        const VmMemory* chosen = nullptr;
        for (const VmMemory& vm : vms_) {
            if (!vm.may_suspend || vm.migrating || vm.reading.resident > host_.suspend_space) continue;
            const bool lower = chosen == nullptr || vm.priority < chosen->priority ||
                               (vm.priority == chosen->priority && vm.reading.resident > chosen->reading.resident);
            if (lower) chosen = &vm;
        }
        if (chosen != nullptr) out_.suspend = chosen->id;
    }

    const HostMemory& host_;
    std::span<const VmMemory> vms_;
    const HostMemo& before_;
    const Policy& policy_;
    Timestamp now_;
    const ControlOptions& options_;
    Bytes reserve_;
    VmMemo nothing_known_;
    std::vector<WorkingSet> working_sets_;
    HostBudget budget_;
    Decisions out_;
    HostMemo next_;
};

}  // namespace

Controlled control(const HostMemory& host, std::span<const VmMemory> vms, const HostMemo& before, MemoryPolicy policy,
                   Timestamp now, const ControlOptions& options) {
    return Sweep(host, vms, before, policy, now, options).made();
}

void forget_what_was_asked(HostMemo& next, const HostMemo& before) {
    next.ksm = before.ksm;
    next.ksm.at = {};  // nobody watched it meanwhile
    next.owed = before.owed;
    for (auto& [vm, memo] : next.vms) {
        const auto known = before.vms.find(vm);
        memo.follow = known != before.vms.end() ? known->second.follow : FollowMemo{};
    }
}

bool sweep_at_once(std::span<const VmMemory> vms, const HostMemo& before, const ControlOptions& options) {
    return before.owed > Bytes(0) || std::ranges::any_of(vms, [&](const VmMemory& vm) {
               const auto known = before.vms.find(vm.id);
               return known != before.vms.end() &&
                      lacks_memory(vm.reading, known->second.working_set, options.working_set);
           });
}

}  // namespace ballast::memory
