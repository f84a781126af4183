#include "scheduler/plan/field.h"

#include <cmath>

#include "scheduler/plan/judge.h"

namespace ballast::scheduler::plan {
namespace {

constexpr double peak_deviations = 2;  ///< one-sided 97.7 %

}  // namespace

Field::Field(const Model& model, Ledger& ledger, Assignment at)
    : model_(&model),
      ledger_(&ledger),
      loss_(&loss_table()),
      width_(model.slots.size()),
      at_(std::move(at)),
      groups_(model),
      sums_(model.hosts.size()),
      none_(width_, 0.0),
      members_(model.hosts.size()),
      slot_(at_.size()),
      displaced_slot_(at_.size(), -1) {
    for (std::size_t i = 0; i < at_.size(); ++i) {
        const auto vm = static_cast<Index>(i);
        slot_[i] = static_cast<Index>(members_[pos(at_[i])].size());
        members_[pos(at_[i])].push_back(vm);
        if (is_home(vm)) continue;
        groups_.move(vm, at_[i]);
        displaced_slot_[i] = static_cast<Index>(displaced_.size());
        displaced_.push_back(vm);
        static_cast<void>(ledger.price(vm, at_[i]));
    }
    recount();
}

void Field::recount() {
    cpu_.assign(sums_.size() * width_, 0.0);
    for (std::size_t h = 0; h < sums_.size(); ++h) {
        sums_[h] = Sums{};
        sums_[h].memory = model_->hosts[h].kept;
        sums_[h].vcpus = model_->hosts[h].vcpus_kept;
    }
    score_ = 0;
    paid_ = 0;
    for (std::size_t i = 0; i < at_.size(); ++i) {
        const auto vm = static_cast<Index>(i);
        add(vm, at_[i], 1);
        score_ += owed(vm, at_[i]);
        if (is_home(vm)) continue;
        paid_ += ledger_->paid(vm);
        ++sums_[pos(at_[i])].touched;
        ++sums_[pos(home_of(vm))].touched;
    }
    for (std::size_t h = 0; h < sums_.size(); ++h) {
        sums_[h].contention = contention_with(static_cast<Index>(h), {});
        score_ += sums_[h].contention;
    }
}

double Field::contention() const {
    double sum = 0;
    for (const Sums& host : sums_) sum += host.contention;
    return sum;
}

double Field::cpu_mean(Index host) const {
    double sum = 0;
    for (std::size_t s = 0; s < width_; ++s) sum += cpu_[pos(host) * width_ + s] * model_->slots[s].seconds;
    return model_->span > 0 ? sum / model_->span : 0;
}

double Field::slack(Index host) const {
    double most = 0;
    for (std::size_t s = 0; s < width_; ++s) most = std::max(most, cpu_[pos(host) * width_ + s]);
    return host_row(host).cores - most - std::sqrt(sums_[pos(host)].cpu_variance);
}

bool Field::peak_fits(Index host) const {
    const Sums& sums = sums_[pos(host)];
    const double spread = peak_deviations * std::sqrt(sums.cpu_variance);
    for (std::size_t s = 0; s < width_; ++s)
        if (cpu_[pos(host) * width_ + s] + spread > host_row(host).cores) return false;
    return sums.memory_mean + peak_deviations * std::sqrt(sums.memory_variance) <=
           static_cast<double>(host_row(host).memory);
}

/// Rounding may leave a variance just below zero.
double Field::contention_with(Index host, const Change& change) const {
    const HostRow& row = host_row(host);
    const Sums& sums = sums_[pos(host)];
    double cpu_variance = sums.cpu_variance;
    double memory_mean = sums.memory_mean;
    double memory_variance = sums.memory_variance;
    const auto count = [&](Index vm, double sign) {
        cpu_variance += sign * vm_row(vm).cpu_variance;
        memory_mean += sign * vm_row(vm).memory_mean;
        memory_variance += sign * vm_row(vm).memory_variance;
    };
    if (change.add >= 0) count(change.add, 1);
    if (change.drop >= 0) count(change.drop, -1);
    const double* now = cpu_.data() + pos(host) * width_;
    const double* more = change.add >= 0 ? model_->cpu_of(change.add) : none_.data();
    const double* less = change.drop >= 0 ? model_->cpu_of(change.drop) : none_.data();
    const double deviation = std::sqrt(std::max(0.0, cpu_variance));
    double waits = 0;
    for (std::size_t s = 0; s < width_; ++s)
        waits += model_->slots[s].seconds * loss_->excess(now[s] + more[s] - less[s], deviation, row.cores);
    const auto memory = static_cast<double>(row.memory);
    const double missing = loss_->excess(memory_mean, std::sqrt(std::max(0.0, memory_variance)), memory);
    if (missing > 0 && memory > 0) waits += model_->span * row.cores * memory_stall * missing / memory;
    return waits;
}

bool Field::takes(Index host, const Change& change) const {
    const Sums& sums = sums_[pos(host)];
    const std::int64_t memory =
        model_->memory_of(change.add, host) - (change.drop >= 0 ? model_->memory_of(change.drop, host) : 0);
    const std::int64_t vcpus = vm_row(change.add).vcpus - (change.drop >= 0 ? vm_row(change.drop).vcpus : 0);
    if (memory > 0 && sums.memory + memory > host_row(host).memory) return false;
    if (vcpus > 0 && sums.vcpus + vcpus > host_row(host).vcpus) return false;
    const Index apart = vm_row(change.add).apart;
    if (apart < 0) return true;
    return std::ranges::none_of(members_[pos(host)], [&](Index vm) {
        return vm != change.drop && vm != change.add && vm_row(vm).apart == apart;
    });
}

bool Field::has_room(const Step& step) const {
    const Index from = host_of(step.vm);
    if (from == step.to || !takes(step.to, {step.vm, step.other})) return false;
    return step.other < 0 || takes(from, {step.other, step.vm});
}

/// Going home gives back what leaving took.
bool Field::within_rates(const Step& step) const {
    const auto within = [&](Index vm, Index to) {
        const Index home = home_of(vm);
        if (to == home) return true;
        return sums_[pos(to)].touched < host_row(to).moves_left &&
               (!is_home(vm) || sums_[pos(home)].touched < host_row(home).moves_left);
    };
    return within(step.vm, step.to) && (step.other < 0 || within(step.other, host_of(step.vm)));
}

bool Field::permits(const Step& step) const {
    const auto may = [&](Index vm, Index to, Index leaves) {
        return (to == home_of(vm) || ledger_->allowed(vm, to)) && groups_accept(vm, to, leaves);
    };
    return may(step.vm, step.to, step.other) && (step.other < 0 || may(step.other, host_of(step.vm), step.vm));
}

/// What the rules say of the groups' present places; `leaves` is on its way elsewhere, -1: nobody.
bool Field::groups_accept(Index vm, Index to, Index leaves) const {
    const VmRow& row = vm_row(vm);
    if (row.groups.empty() || to == row.home) return true;
    const bool gone = leaves >= 0 && !vm_row(leaves).groups.empty();
    if (gone) groups_.move(leaves, host_of(vm));
    const Surroundings around = groups_.around(vm);
    if (gone) groups_.move(leaves, host_of(leaves));
    HostView view = view_host(*model_->snapshot, *host_row(to).row, VmId(), Residents{});
    for (const Index member : members_[pos(to)])
        if (member != vm && member != leaves)
            for_each_group(vm_row(member).row->spec,
                           [&](const std::string& group) { view.groups[group].push_back(vm_row(member).row->name); });
    const auto request = move_request(*row.row, host_row(row.home).row->id);
    return all_accept({*model_->snapshot, request, view, around});
}

double Field::owed(Index vm, Index at) const {
    const VmRow& row = vm_row(vm);
    if (at == row.home) return row.must_leave ? order_worth : 0;
    return std::ranges::find(row.left, at) != row.left.end() ? return_worth : 0;
}

double Field::score_after(const Step& step) const {
    const Index from = host_of(step.vm);
    double score = score_ - contention(from) - contention(step.to);
    score += contention_with(from, {step.other, step.vm}) + contention_with(step.to, {step.vm, step.other});
    score += owed(step.vm, step.to) - owed(step.vm, from);
    if (step.other >= 0) score += owed(step.other, from) - owed(step.other, step.to);
    return score;
}

double Field::price_change(Index vm, Index to) const {
    const bool was_home = is_home(vm);
    const bool goes_home = to == home_of(vm);
    if (was_home == goes_home) return 0;
    return goes_home ? -ledger_->paid(vm) : ledger_->price(vm, to);
}

double Field::price_change(const Step& step) const {
    return price_change(step.vm, step.to) + (step.other >= 0 ? price_change(step.other, host_of(step.vm)) : 0);
}

void Field::add(Index vm, Index host, int sign) {
    Sums& sums = sums_[pos(host)];
    const VmRow& row = vm_row(vm);
    sums.memory += sign * model_->memory_of(vm, host);
    sums.vcpus += sign * row.vcpus;
    sums.cpu_variance += sign * row.cpu_variance;
    sums.memory_mean += sign * row.memory_mean;
    sums.memory_variance += sign * row.memory_variance;
    const double* cpu = model_->cpu_of(vm);
    for (std::size_t s = 0; s < width_; ++s) cpu_[pos(host) * width_ + s] += sign * cpu[s];
}

void Field::make_shift(Index vm, Index to) {
    const Index from = host_of(vm);
    if (from == to) return;
    paid_ += price_change(vm, to);
    score_ += owed(vm, to) - owed(vm, from) - contention(from) - contention(to);
    add(vm, from, -1);
    add(vm, to, 1);
    relocate(vm, to);
    for (const Index host : {from, to}) {
        sums_[pos(host)].contention = contention_with(host, {});
        score_ += sums_[pos(host)].contention;
    }
}

void Field::make_exchange(Index vm, Index other) {
    const Index from = host_of(vm);
    const Index to = host_of(other);
    make_shift(vm, to);
    make_shift(other, from);
}

void Field::relocate(Index vm, Index to) {
    const auto touch = [&](int sign) {
        sums_[pos(host_of(vm))].touched += sign;
        sums_[pos(home_of(vm))].touched += sign;
    };
    remove_at(members_[pos(host_of(vm))], slot_, slot_[pos(vm)]);
    if (!is_home(vm)) {
        touch(-1);
        remove_at(displaced_, displaced_slot_, displaced_slot_[pos(vm)]);
    }
    slot_[pos(vm)] = static_cast<Index>(members_[pos(to)].size());
    members_[pos(to)].push_back(vm);
    at_[pos(vm)] = to;
    groups_.move(vm, to);
    if (is_home(vm)) return;
    touch(1);
    displaced_slot_[pos(vm)] = static_cast<Index>(displaced_.size());
    displaced_.push_back(vm);
}

void Field::remove_at(std::vector<Index>& list, std::vector<Index>& slots, Index slot) {
    const Index last = list.back();
    list[pos(slot)] = last;
    slots[pos(last)] = slot;
    list.pop_back();
}

}  // namespace ballast::scheduler::plan
