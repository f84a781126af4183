#include "daemon/jobs/rebalance/balancer.h"

#include <algorithm>
#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"

namespace ballast::jobs {
namespace {

namespace asio = boost::asio;
using scheduler::ClusterPlan;
using scheduler::PlanStep;

/// Moves of managed VMs by somebody else.
int disturbances(const Snapshot& snapshot, const std::vector<scheduler::RecentMove>& moves) {
    return static_cast<int>(std::ranges::count_if(moves, [&](const scheduler::RecentMove& move) {
        const Vm* vm = snapshot.vms.find(move.vm);
        return vm != nullptr && vm->managed;
    }));
}

std::set<std::pair<VmId, HostId>> targets_of(const ClusterPlan& plan) {
    std::set<std::pair<VmId, HostId>> targets;
    for (const PlanStep& step : plan.steps) targets.emplace(step.vm, step.to);
    return targets;
}

bool waits_from_us(const Plan& plan) {
    return plan.actor == "ballast" && (plan.state == PlanStage::advised || plan.state == PlanStage::approved);
}

/// A recommendation of the same moves that waits already, or nullptr.
std::shared_ptr<const Plan> find_same(const Snapshot& snapshot, const ClusterPlan& plan) {
    for (const auto& row : snapshot.plans.select(waits_from_us)) {
        const auto moves = moves_of(*row);
        if (moves && targets_of(*moves) == targets_of(plan)) return row;
    }
    return nullptr;
}

bool all_ask(const ClusterPlan& plan) {
    return asking_moves(plan) == static_cast<int>(plan.steps.size());
}

/// The one recommendation of the moment: those before it are out of date.
Result<PlanId> put_advice(store::Transaction& transaction, const Plan& row) {
    for (const auto& old : transaction.snapshot().plans.select(waits_from_us))
        expire_plan(transaction, *old, "a newer plan takes its place");
    return put_plan(transaction, row).id;
}

Event about_balance(std::string kind, std::string message) {
    Event event;
    event.kind = std::move(kind);
    event.subject_kind = "cluster";
    event.subject_name = "balance";
    event.message = std::move(message);
    return event;
}

}  // namespace

Balancer::Balancer(const Services& services)
    : store_(services.store),
      plans_(services.plans),
      settings_(services.settings.balance),
      executor_(services.executor) {}

void Balancer::start() {
    if (settings_.mode == BalanceMode::manual) return;
    asio::co_spawn(
        executor_, [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->look_for_ever(); },
        asio::detached);
}

void Balancer::stop() {
    stopped_ = true;
    if (const auto timer = timer_.lock()) timer->cancel();
}

asio::awaitable<void> Balancer::look_for_ever() {
    const auto self = shared_from_this();
    const auto timer = std::make_shared<asio::steady_timer>(executor_);
    timer_ = timer;
    boost::system::error_code stopped;
    while (!stopped && !stopped_) {
        timer->expires_after(settings_.interval);
        co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, stopped));
        if (stopped || stopped_) co_return;
        const auto looked = co_await look();
        if (!looked) spdlog::warn("balance: nothing was planned: {}", looked.error().chain());
    }
}

Task<bool> Balancer::stands_back() {
    const int count = disturbances(*store_->snapshot(), plans_->outside_moves());
    const bool back = settings_.outside_moves > 0 && count >= settings_.outside_moves;
    if (back == stood_back_) co_return back;
    const std::string message =
        back ? fmt::format(
                   "balancing stands back: within {} somebody else has moved managed VMs {} times (limit: "
                   "balance.outside_moves, {}); let one of the two do it",
                   to_string(Milliseconds(settings_.no_return)), count, settings_.outside_moves)
             : "balancing goes on: nobody else moves managed VMs any more";
    if (back)
        spdlog::warn("balance: {}", message);
    else
        spdlog::info("balance: {}", message);
    const std::string kind = back ? "cluster.balance_stands_back" : "cluster.balance_goes_on";
    BALLAST_CO_CHECK(co_await store_->write({}, [kind, message](store::Transaction& transaction) -> Result<void> {
        transaction.emit(about_balance(kind, message));
        return {};
    }));
    stood_back_ = back;
    co_return back;
}

/// Automatic: what may move without a question moves; a plan of which every VM asks is left to wait.
Task<> Balancer::advise(PlanAsk ask, ClusterPlan plan) {
    const bool act = settings_.mode == BalanceMode::automatic && !all_ask(plan);
    const auto same = find_same(*store_->snapshot(), plan);
    if (same && !act) co_return Result<void>{};
    Plan row = make_plan_row(ask, plan, "ballast");
    BALLAST_CO_CHECK(
        co_await store_->write({}, [row, act, settings = settings_](store::Transaction& transaction) -> Result<void> {
            BALLAST_TRY(const PlanId id, put_advice(transaction, row));
            if (act) BALLAST_CHECK(apply_plan(transaction, id, settings));
            return {};
        }));
    co_return Result<void>{};
}

Task<> Balancer::look() {
    const auto self = shared_from_this();
    if (!store_->health().writable || find_open_rebalance(*store_->snapshot()) != nullptr) co_return Result<void>{};
    BALLAST_CO_TRY(const bool back, co_await stands_back());
    if (back) co_return Result<void>{};
    PlanAsk ask;
    ask.goal = settings_.goal;
    BALLAST_CO_TRY(const auto plan, co_await plans_->make(ask));
    if (!plan.steps.empty()) BALLAST_CO_CHECK(co_await advise(ask, plan));
    co_return Result<void>{};
}

}  // namespace ballast::jobs
