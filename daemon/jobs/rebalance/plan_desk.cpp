#include "daemon/jobs/rebalance/plan_desk.h"

#include <algorithm>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/jobs/rebalance/move_costs.h"

namespace ballast::jobs {
namespace {

namespace asio = boost::asio;
using scheduler::ClusterPlan;

constexpr Milliseconds look_at_stats{5'000};
constexpr Milliseconds roll_up_every{15 * 60 * 1000};  // seldom: a restart loses no more than this
constexpr Milliseconds longest_what_if{10'000};        // then no further loss of a host is tried
constexpr std::size_t texts_per_write = 500;
constexpr std::uint64_t events_to_read_back = 200'000;
constexpr const char* kept_under = "load/";

bool tells_of_plans(const Event& event) {
    return event.subject_kind == "job" && event.message.starts_with("cluster.rebalance ") &&
           (event.kind == "job.succeeded" || event.kind == "job.failed" || event.kind == "job.cancelled");
}

}  // namespace

/// Everything that one search needs, as values: it runs on another thread.
struct PlanDesk::Search {
    std::shared_ptr<const Snapshot> snapshot;
    scheduler::ClusterLoad load;
    std::vector<scheduler::RecentMove> recent;
    std::shared_ptr<MoveCostBook> costs;
    scheduler::PlanOptions options;
    Milliseconds budget;
    int threads;
    Planner planner;
    std::shared_ptr<std::atomic<bool>> stopped;

    [[nodiscard]] Result<ClusterPlan> run() const {
        if (*stopped) return fail(Code::unavailable, "ballastd is ending; nothing was planned");
        const auto end = std::chrono::steady_clock::now() + budget;
        const auto stop = [&] { return *stopped || std::chrono::steady_clock::now() >= end; };
        const auto cost = [&](const Vm& vm, const HostId& from, const HostId& to) { return costs->cost(vm, from, to); };
        return planner.plan(*snapshot, load, recent, cost, options, on_threads(threads), stop);
    }
};

scheduler::balance::RunAll on_threads(int threads) {
    return [threads](std::size_t count, const std::function<void(std::size_t)>& chain) {
        std::atomic<std::size_t> next = 0;
        const auto work = [&next, &chain, count] {
            for (std::size_t i = next++; i < count; i = next++) chain(i);
        };
        std::vector<std::jthread> others;
        const auto wanted = std::min<std::size_t>(static_cast<std::size_t>(std::max(1, threads)), count);
        for (std::size_t i = 1; i < wanted; ++i) others.emplace_back(work);
        work();
    };
}

PlanDesk::PlanDesk(const Services& services, Planner planner, StatsNow stats)
    : store_(services.store),
      clock_(services.clock),
      memory_(services.memory),
      executor_(services.executor),
      migrations_(services.migrations),
      policy_(services.settings.migration_policy),
      lanes_(std::min(services.settings.outgoing_migrations, services.settings.incoming_migrations)),
      settings_(services.settings.balance),
      planner_(std::move(planner)),
      stats_(std::move(stats)),
      outside_(settings_.no_return) {}

PlanDesk::~PlanDesk() {
    *stopped_ = true;
    pool_.join();
}

void PlanDesk::start() {
    outside_.begin(*store_->snapshot());
    subscription_ = store_->subscribe(executor_, [weak = weak_from_this()](const std::vector<Event>& events) {
        if (const auto self = weak.lock()) self->on_commit(events);
    });
    const auto detached = [](auto self, auto member) {
        return [self, member]() -> asio::awaitable<void> { co_await ((*self).*member)(); };
    };
    asio::co_spawn(executor_, detached(shared_from_this(), &PlanDesk::read_back), asio::detached);
    asio::co_spawn(executor_, detached(shared_from_this(), &PlanDesk::follow_stats), asio::detached);
    asio::co_spawn(executor_, detached(shared_from_this(), &PlanDesk::settle), asio::detached);
}

void PlanDesk::stop() {
    *stopped_ = true;
    subscription_.reset();
    if (const auto timer = timer_.lock()) timer->cancel();
    pool_.join();
}

void PlanDesk::on_commit(const std::vector<Event>& events) {
    bool ended = false;
    for (const Event& event : events) {
        outside_.note(event);
        ended |= tells_of_plans(event);
    }
    if (ended)
        asio::co_spawn(
            executor_, [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->settle(); },
            asio::detached);
}

/// Moves that others made before this daemon began, and the load history of the one before it.
asio::awaitable<void> PlanDesk::read_back() {
    const auto texts = co_await store_->kept(kept_under);
    if (texts)
        loads_.restore(*texts);
    else
        spdlog::warn("the load history can't be read, it begins anew: {}", texts.error().chain());
    const std::uint64_t seq = store_->snapshot()->seq;
    store::EventQuery query{.after = seq > events_to_read_back ? seq - events_to_read_back : 0,
                            .limit = 10'000,
                            .subject_kind = "vm",
                            .subject_id = {},
                            .kind_prefix = "vm.moved"};
    const auto events = co_await store_->events(std::move(query));
    if (!events) co_return;
    OutsideMoves past(settings_.no_return);
    for (const Event& event : *events) past.note(event);
    outside_.add(past.recent(clock_->now()));
}

asio::awaitable<void> PlanDesk::follow_stats() {
    const auto self = shared_from_this();
    auto rolled_up = std::chrono::steady_clock::now();
    const auto timer = std::make_shared<asio::steady_timer>(executor_);
    timer_ = timer;
    boost::system::error_code stopped;
    while (!stopped && !*stopped_) {
        timer->expires_after(look_at_stats);
        co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, stopped));
        if (stopped || *stopped_) co_return;
        if (const auto table = stats_ ? stats_() : nullptr) loads_.note(*table);
        if (std::chrono::steady_clock::now() - rolled_up < roll_up_every) continue;
        rolled_up = std::chrono::steady_clock::now();
        const auto kept = co_await roll_up();
        if (!kept) spdlog::warn("the load history could not be kept: {}", kept.error().chain());
        co_await settle();
    }
}

Task<> PlanDesk::roll_up() {
    const auto self = shared_from_this();
    if (const auto table = stats_ ? stats_() : nullptr) loads_.note(*table);
    const auto snapshot = store_->snapshot();
    std::vector<std::pair<std::string, std::string>> texts;
    for (const auto& vm : loads_.forget_all_but([&](const VmId& id) { return snapshot->vms.find(id) != nullptr; }))
        texts.emplace_back(kept_under + vm.str(), "");
    for (auto& [vm, text] : loads_.take_changed()) texts.emplace_back(kept_under + vm, std::move(text));
    for (std::size_t from = 0; from < texts.size(); from += texts_per_write) {
        const std::size_t to = std::min(texts.size(), from + texts_per_write);
        std::vector<std::pair<std::string, std::string>> part(texts.begin() + static_cast<std::ptrdiff_t>(from),
                                                              texts.begin() + static_cast<std::ptrdiff_t>(to));
        BALLAST_CO_CHECK(
            co_await store_->write({}, [part = std::move(part)](store::Transaction& transaction) -> Result<void> {
                for (const auto& [key, text] : part) transaction.keep(key, text);
                return {};
            }));
    }
    co_return Result<void>{};
}

asio::awaitable<void> PlanDesk::settle() {
    const auto self = shared_from_this();
    if (settling_ || *stopped_ || !any_to_settle(*store_->snapshot(), settings_, clock_->now())) co_return;
    settling_ = true;
    const auto settled = co_await store_->write(
        {}, [settings = settings_](store::Transaction& transaction) { return settle_plans(transaction, settings); });
    settling_ = false;
    if (!settled) spdlog::warn("ended plans could not be settled: {}", settled.error().chain());
}

std::vector<scheduler::RecentMove> PlanDesk::outside_moves() const {
    return outside_.recent(clock_->now());
}

Task<ClusterPlan> PlanDesk::make(PlanAsk ask) {
    const auto self = shared_from_this();
    const auto snapshot = store_->snapshot();
    const Timestamp now = clock_->now();
    BALLAST_CO_TRY(auto options, options_of(*snapshot, ask, settings_, now));
    BALLAST_CO_TRY(const auto budget, budget_of(ask, settings_));
    options.lanes_per_host = lanes_;
    options.memory = memory_();
    if (const auto table = stats_ ? stats_() : nullptr) loads_.note(*table);
    if (*stopped_) co_return fail(Code::unavailable, "ballastd is ending; nothing was planned");
    auto search = std::make_shared<const Search>(
        Search{.snapshot = snapshot,
               .load = loads_.load(now),
               .recent = recent_moves(*snapshot, outside_, settings_.no_return, now),
               .costs = std::make_shared<MoveCostBook>(
                   snapshot, migrations_ ? migrations_->known_guests() : KnownGuests{}, policy_, now),
               .options = std::move(options),
               .budget = budget,
               .threads = settings_.threads,
               .planner = planner_,
               .stopped = stopped_});
    auto run = [](std::shared_ptr<const Search> one) -> Task<ClusterPlan> { co_return one->run(); };
    auto plan = co_await asio::co_spawn(asio::any_io_executor(pool_.get_executor()), run(std::move(search)),
                                        asio::use_awaitable);
    if (plan && migrations_)
        for (const auto& step : plan->steps) migrations_->curves().want(step.vm);
    co_return plan;
}

Task<scheduler::WhatIfAnswer> PlanDesk::what_if(scheduler::WhatIfAsk ask) {
    const auto self = shared_from_this();
    const auto snapshot = store_->snapshot();
    const Timestamp now = clock_->now();
    if (const auto table = stats_ ? stats_() : nullptr) loads_.note(*table);
    if (*stopped_) co_return fail(Code::unavailable, "ballastd is ending; nothing was answered");
    const auto costs = std::make_shared<MoveCostBook>(
        snapshot, migrations_ ? migrations_->known_guests() : KnownGuests{}, policy_, now);
    auto work = [snapshot, load = loads_.load(now), costs, ask = std::move(ask), now, memory = memory_(),
                 stopped = stopped_]() -> Task<scheduler::WhatIfAnswer> {
        const auto end = std::chrono::steady_clock::now() + longest_what_if;
        const auto stop = [&] { return *stopped || std::chrono::steady_clock::now() >= end; };
        const auto cost = [&](const Vm& vm, const HostId& from, const HostId& to) { return costs->cost(vm, from, to); };
        co_return scheduler::what_if(*snapshot, load, cost, ask, now, memory, stop);
    };
    auto answer =
        co_await asio::co_spawn(asio::any_io_executor(pool_.get_executor()), std::move(work), asio::use_awaitable);
    co_return answer;
}

}  // namespace ballast::jobs
