#include "scheduler/plan/ledger.h"

#include <algorithm>

#include "scheduler/plan/judge.h"

namespace ballast::scheduler::plan {
namespace {

double seconds(Milliseconds time) {
    return std::max(0.0, std::chrono::duration<double>(time).count());
}

double share_of_link(const MoveCost& cost, const Host& from, const Host& to) {
    const auto& a = from.settings.link_speed;
    const auto& b = to.settings.link_speed;
    if ((!a && !b) || cost.bytes <= Bytes(0) || cost.total <= Milliseconds(0)) return 1;
    const BytesPerSecond speed = std::min(a.value_or(b.value_or(BytesPerSecond(0))), b.value_or(*a));
    if (speed <= BytesPerSecond(0)) return 1;
    const double carried = static_cast<double>(speed.count()) * seconds(cost.total);
    return std::min(1.0, static_cast<double>(cost.bytes.count()) / carried);
}

}  // namespace

double cost_in_seconds(const MoveCost& cost, const Host& from, const Host& to) {
    return std::max(least_cost, seconds(cost.total) * share_of_link(cost, from, to) + seconds(cost.downtime) +
                                    seconds(cost.brown_out));
}

Ledger::Ledger(const Model& model, const MoveCosts& costs)
    : model_(&model), costs_(&costs), words_(model.vms.size()), prices_(model.vms.size(), -1.0) {
    for (const auto& [vm, to] : model.barred) row(vm)[pos(to)] = no;
}

std::vector<Ledger::Word>& Ledger::row(Index vm) {
    auto& words = words_[pos(vm)];
    if (words.empty()) words.assign(model_->hosts.size(), unasked);
    return words;
}

bool Ledger::allowed(Index vm, Index to) {
    Word& word = row(vm)[pos(to)];
    if (word == unasked) word = judge(vm, to) ? yes : no;
    return word == yes;
}

bool Ledger::judge(Index vm, Index to) {
    const VmRow& row = model_->vms[pos(vm)];
    const HostRow& host = model_->hosts[pos(to)];
    const HostRow& home = model_->hosts[pos(row.home)];
    if (to == row.home || !host.target) return false;
    if (!is_order(model_->options.goal) && std::ranges::find(row.left, to) != row.left.end()) return false;
    if (!std::ranges::binary_search(home.reach, to)) return false;
    if (request_of_ != vm) {
        request_ = move_request(*row.row, home.row->id);
        request_of_ = vm;
    }
    if (!accept_when_empty(*model_->snapshot, request_, *host.row)) return false;
    return cost(vm, row.home, to).possible;
}

double Ledger::price(Index vm, Index to) {
    double& price = prices_[pos(vm)];
    if (price < 0) {
        const VmRow& row = model_->vms[pos(vm)];
        price = model_->options.margin *
                cost_in_seconds(cost(vm, row.home, to), *model_->hosts[pos(row.home)].row, *model_->hosts[pos(to)].row);
    }
    return price;
}

MoveCost Ledger::cost(Index vm, Index from, Index to) const {
    return (*costs_)(*model_->vms[pos(vm)].row, model_->hosts[pos(from)].row->id, model_->hosts[pos(to)].row->id);
}

}  // namespace ballast::scheduler::plan
