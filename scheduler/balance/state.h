#pragma once
// Where the VMs are during a search, and what the next step would cost: a step's price is found from the two hosts it
// touches, whatever the size of the cluster. Decides whether a step is possible (memory, vCPUs, N+1); never which step
// is taken. `width` is the number of metric columns that are computed (4 or 8, so that the compiler makes whole vectors
// of them). Pure; one state belongs to one search.
//
// A step is allowed by the rules of hbal: the target keeps free memory, does not newly fall below its reserve, and does
// not pass its vCPU limit.

#include <algorithm>
#include <cmath>
#include <vector>

#include "scheduler/balance/problem.h"

namespace ballast::scheduler::balance {

/// What leaves host `from` for host `to`, net: one VM, or one against another. Negative parts go the other way.
template <std::size_t width>
struct Transfer {
    Index from = 0;
    Index to = 0;
    std::int64_t memory = 0;
    std::int64_t vcpus = 0;
    std::int64_t guests = 0;
    std::array<double, width> load{};
};

template <std::size_t width>
class State {
  public:
    using Row = std::array<double, width>;
    using Step = Transfer<width>;

    State(const Problem& problem, Assignment at) : problem_(&problem), at_(std::move(at)) {
        counted_ = static_cast<double>(std::max<Index>(1, problem.counted_hosts()));
        place_vms();
        recount();
    }

    [[nodiscard]] Index host_of(Index vm) const { return at_[pos(vm)]; }
    [[nodiscard]] const Assignment& assignment() const { return at_; }
    [[nodiscard]] const std::vector<Index>& vms_on(Index host) const { return members_[pos(host)]; }
    /// VMs that are not where they were in the beginning.
    [[nodiscard]] const std::vector<Index>& displaced() const { return displaced_; }
    [[nodiscard]] bool is_home(Index vm) const { return problem_->vms[pos(vm)].home == at_[pos(vm)]; }
    [[nodiscard]] double score() const { return score_; }
    [[nodiscard]] std::int64_t free_memory(Index host) const { return hosts_[pos(host)].memory; }
    [[nodiscard]] std::int64_t free_vcpus(Index host) const {
        return hosts_[pos(host)].vcpu_limit - hosts_[pos(host)].vcpus;
    }

    [[nodiscard]] Step shift(Index vm, Index to) const {
        const auto& row = problem_->vms[pos(vm)];
        Step step{at_[pos(vm)], to, row.memory, row.vcpus, 1, {}};
        for (std::size_t k = 0; k < width; ++k) step.load[k] = row.load[k];
        return step;
    }

    [[nodiscard]] Step exchange(Index vm, Index other) const {
        const auto& a = problem_->vms[pos(vm)];
        const auto& b = problem_->vms[pos(other)];
        Step step{at_[pos(vm)], at_[pos(other)], a.memory - b.memory, a.vcpus - b.vcpus, 0, {}};
        for (std::size_t k = 0; k < width; ++k) step.load[k] = a.load[k] - b.load[k];
        return step;
    }

    [[nodiscard]] bool fits(const Step& step) const {
        const auto& from = hosts_[pos(step.from)];
        const auto& to = hosts_[pos(step.to)];
        return to.counted && (step.guests != 0 || from.counted) && takes(to, step.memory, step.vcpus) &&
               takes(from, -step.memory, -step.vcpus);
    }

    /// The score with that step made.
    [[nodiscard]] double score_after(const Step& step) const {
        const auto& from = hosts_[pos(step.from)];
        const auto& to = hosts_[pos(step.to)];
        double score = fixed_ + failing_change(from, to, step);
        if (!from.counted) score -= problem_->stranded_price * static_cast<double>(step.guests);
        for (std::size_t k = 0; k < width; ++k) {
            const double out = -step.load[k] * from.scale[k];
            const double in = step.load[k] * to.scale[k];
            const double sum = sum_[k] + out + in;
            const double squares =
                squares_[k] + out * (2 * from.value[k] + out) + in * (2 * to.value[k] + in) - sum * sum * inverse_;
            score += problem_->weight[k] * std::sqrt(std::max(0.0, squares * inverse_));
        }
        return score;
    }

    void make_shift(Index vm, Index to) {
        book(shift(vm, to));
        relocate(vm, to);
        score_ = current_score();
    }

    void make_exchange(Index vm, Index other) {
        const Index a = host_of(vm);
        const Index b = host_of(other);
        book(exchange(vm, other));
        relocate(vm, b);
        relocate(other, a);
        score_ = current_score();
    }

    /// Sums anew from the rows: rounding errors of many steps end here.
    void recount() {
        inverse_ = 1.0 / counted_;
        sum_ = {};
        squares_ = {};
        fixed_ = problem_->constant;
        for (auto& host : hosts_) {
            if (!host.counted) {
                fixed_ += problem_->stranded_price * static_cast<double>(host.guests);
                continue;
            }
            fixed_ += failing(host, host.memory, host.guests);
            for (std::size_t k = 0; k < width; ++k) {
                sum_[k] += host.value[k];
                squares_[k] += host.value[k] * host.value[k];
            }
        }
        score_ = current_score();
    }

  private:
    struct Host {
        Row value{};
        Row scale{};
        std::int64_t memory = 0;  ///< free now
        std::int64_t reserved = 0;
        std::int64_t vcpu_limit = 0;
        std::int64_t vcpus = 0;
        std::int64_t guests = 0;
        bool counted = true;
    };

    static std::size_t pos(Index index) { return static_cast<std::size_t>(index); }

    static bool takes(const Host& host, std::int64_t memory, std::int64_t vcpus) {
        if (vcpus > 0 && host.vcpus + vcpus > host.vcpu_limit) return false;
        if (memory <= 0) return true;
        const auto left = host.memory - memory;
        return left > 0 && (left > host.reserved || host.memory <= host.reserved);
    }

    static double failing(const Host& host, std::int64_t memory, std::int64_t guests) {
        return host.counted && memory <= host.reserved ? static_cast<double>(guests) : 0.0;
    }

    static double failing_change(const Host& from, const Host& to, const Step& step) {
        return failing(from, from.memory + step.memory, from.guests - step.guests) -
               failing(from, from.memory, from.guests) + failing(to, to.memory - step.memory, to.guests + step.guests) -
               failing(to, to.memory, to.guests);
    }

    [[nodiscard]] double current_score() const {
        double score = fixed_;
        for (std::size_t k = 0; k < width; ++k)
            score +=
                problem_->weight[k] * std::sqrt(std::max(0.0, (squares_[k] - sum_[k] * sum_[k] * inverse_) * inverse_));
        return score;
    }

    void place_vms() {
        hosts_.reserve(problem_->hosts.size());
        for (const auto& row : problem_->hosts) {
            Host host{{}, {}, row.memory, row.reserved, row.vcpu_limit, row.vcpus, row.guests, row.counted};
            std::copy_n(row.scale.begin(), width, host.scale.begin());
            for (std::size_t k = 0; k < width; ++k) host.value[k] = row.base[k] * row.scale[k];
            hosts_.push_back(host);
        }
        members_.resize(hosts_.size());
        slot_.resize(at_.size());
        displaced_slot_.assign(at_.size(), -1);
        for (std::size_t i = 0; i < at_.size(); ++i) {
            const auto& vm = problem_->vms[i];
            auto& host = hosts_[pos(at_[i])];
            host.memory -= vm.memory;
            host.vcpus += vm.vcpus;
            host.guests += 1;
            for (std::size_t k = 0; k < width; ++k) host.value[k] += vm.load[k] * host.scale[k];
            enter(static_cast<Index>(i), at_[i]);
        }
    }

    /// The books of both hosts and the cluster; where the VMs are is relocate()'s.
    void book(const Step& step) {
        auto& from = hosts_[pos(step.from)];
        auto& to = hosts_[pos(step.to)];
        fixed_ += failing_change(from, to, step);
        if (!from.counted) fixed_ -= problem_->stranded_price * static_cast<double>(step.guests);
        if (!to.counted) fixed_ += problem_->stranded_price * static_cast<double>(step.guests);
        for (std::size_t k = 0; k < width; ++k) {
            const double out = -step.load[k] * from.scale[k];
            const double in = step.load[k] * to.scale[k];
            sum_[k] += out + in;
            squares_[k] += out * (2 * from.value[k] + out) + in * (2 * to.value[k] + in);
            from.value[k] += out;
            to.value[k] += in;
        }
        from.memory += step.memory;
        to.memory -= step.memory;
        from.vcpus -= step.vcpus;
        to.vcpus += step.vcpus;
        from.guests -= step.guests;
        to.guests += step.guests;
    }

    void enter(Index vm, Index host) {
        slot_[pos(vm)] = static_cast<Index>(members_[pos(host)].size());
        members_[pos(host)].push_back(vm);
        at_[pos(vm)] = host;
        if (is_home(vm)) return;
        displaced_slot_[pos(vm)] = static_cast<Index>(displaced_.size());
        displaced_.push_back(vm);
    }

    void relocate(Index vm, Index to) {
        auto& members = members_[pos(at_[pos(vm)])];
        remove_at(members, slot_, slot_[pos(vm)]);
        if (!is_home(vm)) remove_at(displaced_, displaced_slot_, displaced_slot_[pos(vm)]);
        enter(vm, to);
    }

    static void remove_at(std::vector<Index>& list, std::vector<Index>& slots, Index slot) {
        const Index last = list.back();
        list[pos(slot)] = last;
        slots[pos(last)] = slot;
        list.pop_back();
    }

    const Problem* problem_;
    Assignment at_;
    std::vector<Host> hosts_;
    std::vector<std::vector<Index>> members_;
    std::vector<Index> slot_;  ///< in members_ of its host
    std::vector<Index> displaced_;
    std::vector<Index> displaced_slot_;
    Row sum_{};
    Row squares_{};
    double counted_ = 1;
    double inverse_ = 1;
    double fixed_ = 0;  ///< all of the score that is no deviation
    double score_ = 0;
};

}  // namespace ballast::scheduler::balance
