#include "memory/balloon.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "memory/arithmetic.h"
#include "memory/shares.h"

namespace ballast::memory {
namespace {

constexpr int haste = 4;  ///< times the usual step, where somebody waits for the memory

Bytes guaranteed(const BalloonVm& vm) {
    return std::min(vm.minimum, vm.maximum);
}
Bytes bare_working_set(const BalloonVm& vm) {
    return std::clamp(vm.working_set, guaranteed(vm), vm.maximum);
}
Bytes bare_programs(const BalloonVm& vm) {
    return std::clamp(std::min(vm.programs, vm.working_set), guaranteed(vm), vm.maximum);
}

template <class Size>
Bytes sum_of(std::span<const BalloonVm> vms, Size size) {
    return std::accumulate(vms.begin(), vms.end(), Bytes(0),
                           [&](Bytes sum, const BalloonVm& vm) { return sum + size(vm); });
}

/// The most that can be kept for each: working sets with margins; in danger without, or without their page cache (a
/// guest without a swap device can give nothing else), or the minimums alone.
std::vector<ShareClaim> claims_of(std::span<const BalloonVm> vms, const BalloonTerms& terms) {
    auto least = comfortable_size;
    if (terms.danger && sum_of(vms, least) > terms.budget) least = bare_working_set;
    if (terms.danger && sum_of(vms, least) > terms.budget) least = bare_programs;
    if (terms.danger && sum_of(vms, least) > terms.budget) least = guaranteed;
    std::vector<ShareClaim> claims;
    claims.reserve(vms.size());
    for (const BalloonVm& vm : vms)
        claims.push_back({.shares = vm.shares,
                          .active = vm.working_set,
                          .tax = vm.policy->idle_tax,
                          .least = least(vm),
                          .most = vm.maximum});
    return claims;
}

Bytes dead_band(const BalloonVm& vm) {
    return std::max(bytes_of(as_double(vm.maximum) * vm.policy->dead_band), least_change);
}

Bytes step_of(const BalloonVm& vm) {
    return std::max(bytes_of(as_double(vm.maximum) * vm.policy->step), least_step);
}
Bytes hasty_step_of(const BalloonVm& vm) {
    return step_of(vm) * haste;
}

/// Builds the moves of one pass.
class Pass {
  public:
    Pass(std::span<const BalloonVm> vms, const BalloonTerms& terms) : vms_(vms), terms_(terms), given_(vms.size()) {
        plan_.entitled = divide(claims_of(vms, terms), std::max(terms.budget, Bytes(0)));
        const Gift& gift = terms.may_give;
        left_ = std::max({gift.sure, std::min(gift.likely, gift.lent + on_its_way()), Bytes(0)});
    }

    BalloonPlan made() && {
        deflate_by_need();
        deflate_to_entitlement();
        report_deflations();
        count_owed();
        inflate();
        return std::move(plan_);
    }

  private:
    [[nodiscard]] Bytes missing(std::size_t i) const {
        return saturating_sub(std::min(comfortable_size(vms_[i]), plan_.entitled[i]), vms_[i].balloon);
    }

    /// What is taken from it in this pass and later ones.
    [[nodiscard]] Bytes excess_of(std::size_t i) const {
        const Bytes excess = saturating_sub(vms_[i].balloon, plan_.entitled[i]);
        return excess < dead_band(vms_[i]) ? Bytes(0) : excess;
    }

    /// What all give in this pass if it is made in haste: they can't fill it any more.
    [[nodiscard]] Bytes on_its_way() const {
        Bytes all;
        for (std::size_t i = 0; i < vms_.size(); ++i) all += std::min(excess_of(i), hasty_step_of(vms_[i]));
        return all;
    }

    void deflate_by_need() {
        order_.resize(vms_.size());
        std::iota(order_.begin(), order_.end(), 0U);
        const auto urgency = [&](std::size_t i) { return missing(i) / std::max(vms_[i].working_set, mebibytes(1)); };
        std::ranges::sort(order_, [&](std::size_t a, std::size_t b) {
            if (vms_[a].lacks != vms_[b].lacks) return vms_[a].lacks;
            if (urgency(a) != urgency(b)) return urgency(a) > urgency(b);
            return vms_[a].id < vms_[b].id;
        });
        for (const std::size_t i : order_) {
            const Bytes shortage = saturating_sub(comfortable_size(vms_[i]), vms_[i].balloon);
            const bool felt = vms_[i].lacks || shortage >= least_change;
            const Bytes gets = felt ? std::min(missing(i), left_) : Bytes(0);
            if (felt) plan_.unmet += shortage - std::min(gets, shortage);
            left_ -= gets;
            given_[i] = gets;
        }
    }

    /// Only where all balloons, as they are now, leave room in the budget, and of what is surely there: what is being
    /// inflated is not there yet.
    void deflate_to_entitlement() {
        const Bytes given = std::accumulate(given_.begin(), given_.end(), Bytes(0));
        const Bytes all = sum_of(vms_, [](const BalloonVm& vm) { return vm.balloon; }) + given;
        Bytes room = std::min(saturating_sub(terms_.may_give.sure, given), saturating_sub(terms_.budget, all));
        for (const std::size_t i : order_) {
            const Bytes rest = saturating_sub(plan_.entitled[i], vms_[i].balloon + given_[i]);
            const Bytes gets = std::min(rest, room);
            if (given_[i] == Bytes(0) && gets < dead_band(vms_[i])) continue;
            room -= gets;
            given_[i] += gets;
        }
    }

    void report_deflations() {
        for (const std::size_t i : order_) {
            const BalloonVm& vm = vms_[i];
            if (given_[i] == Bytes(0)) continue;
            const Bytes to = vm.balloon + given_[i];
            const Bytes wanted = comfortable_size(vm);
            if (vm.balloon < wanted)
                add(i, to, BalloonCause::need,
                    fmt::format("{} {} and has {}", vm.lacks ? "swaps or faults: needs" : "needs", wanted, vm.balloon));
            else
                add(i, to, BalloonCause::entitled, fmt::format("there is room: {} of {}", to, vm.maximum));
        }
    }

    void inflate() {
        const bool hurry = terms_.danger || terms_.awaited || plan_.unmet > Bytes(0) || plan_.owed > Bytes(0);
        for (std::size_t i = 0; i < vms_.size(); ++i) {
            const BalloonVm& vm = vms_[i];
            const Bytes excess = excess_of(i);
            if (excess == Bytes(0)) continue;
            if (!hurry && terms_.plenty && !vm.policy->ahead_of_need) continue;
            const Bytes to = vm.balloon - std::min(excess, hurry ? hasty_step_of(vm) : step_of(vm));
            const bool squeezed = to < comfortable_size(vm);
            add(i, to, squeezed ? BalloonCause::danger : BalloonCause::idle,
                squeezed ? fmt::format("the host is in danger: keeps {} of the {} it needs", to, comfortable_size(vm))
                         : fmt::format("uses {} of {}, entitled to {}", vm.working_set, vm.balloon, plan_.entitled[i]));
        }
    }

    /// Before anything is taken back; what nobody will give back is not owed.
    void count_owed() {
        Bytes balloons = sum_of(vms_, [](const BalloonVm& vm) { return vm.balloon; });
        Bytes lent = terms_.owed;
        for (const BalloonMove& gift : plan_.moves) {
            balloons += gift.to - gift.from;
            if (gift.cause == BalloonCause::need) lent += gift.to - gift.from;
        }
        Bytes excess;
        for (std::size_t i = 0; i < vms_.size(); ++i) excess += excess_of(i);
        plan_.owed = std::min({lent, saturating_sub(balloons, terms_.budget), excess});
    }

    void add(std::size_t i, Bytes to, BalloonCause cause, std::string why) {
        plan_.moves.push_back({.vm = vms_[i].id,
                               .from = vms_[i].balloon,
                               .to = to,
                               .entitled = plan_.entitled[i],
                               .cause = cause,
                               .why = std::move(why)});
    }

    std::span<const BalloonVm> vms_;
    const BalloonTerms& terms_;
    Bytes left_;
    std::vector<std::size_t> order_;
    std::vector<Bytes> given_;
    BalloonPlan plan_;
};

}  // namespace

Bytes comfortable_size(const BalloonVm& vm) {
    return std::clamp(vm.working_set + margin_of(*vm.policy, vm.working_set), guaranteed(vm), vm.maximum);
}

BalloonPlan plan_balloons(std::span<const BalloonVm> vms, const BalloonTerms& terms) {
    return Pass(vms, terms).made();
}

Bytes size_before_move(const BalloonVm& vm, Bytes not_sent, BytesPerSecond bandwidth, BytesPerSecond follow_rate) {
    const Bytes target = comfortable_size(vm);
    if (target >= vm.balloon || bandwidth.count() <= 0 || follow_rate.count() <= 0) return vm.balloon;
    const Bytes freed = vm.balloon - target;
    const double saved = as_double(saturating_sub(freed, not_sent)) / static_cast<double>(bandwidth.count());
    const double spent = as_double(freed) / static_cast<double>(follow_rate.count());
    return saved > spent ? target : vm.balloon;
}

}  // namespace ballast::memory
