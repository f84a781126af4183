#include "daemon/overcommit/memory_desk.h"

#include <algorithm>

#include <boost/describe/enum_to_string.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/jobs/rebalance/plan_desk.h"
#include "daemon/overcommit/history.h"
#include "daemon/overcommit/telling.h"

namespace ballast::overcommit {
namespace {

namespace asio = boost::asio;

std::vector<std::pair<HostId, MemoryPolicy>> policies_to_write(const Snapshot& snapshot,
                                                               const MemorySettings& settings) {
    std::vector<std::pair<HostId, MemoryPolicy>> changes;
    snapshot.hosts.for_each([&](const Host& host) {
        const MemoryPolicy policy = policy_for(host, settings);
        if (policy != host.memory_policy) changes.emplace_back(host.id, policy);
    });
    return changes;
}

/// One move away from the host, as the planner finds it: carried out where balancing is automatic, else it waits for a
/// yes.
store::Task<> ask_planner(jobs::Services services, HostId host, std::string why) {
    const auto plans = services.plans;
    const auto snapshot = services.store->snapshot();
    const Host* row = snapshot->hosts.find(host);
    if (!plans || row == nullptr || jobs::find_open_rebalance(*snapshot) != nullptr) co_return Result<void>{};
    jobs::PlanAsk ask;
    ask.goal = scheduler::Goal::level;
    ask.hosts = {row->name};
    ask.max_moves = 1;
    BALLAST_CO_TRY(const auto plan, co_await plans->make(ask));
    if (plan.steps.empty()) {
        spdlog::info("host={} memory is short ({}), and no move away pays", host, why);
        co_return Result<void>{};
    }
    const bool act = services.settings.balance.mode == jobs::BalanceMode::automatic && jobs::asking_moves(plan) == 0;
    const Plan made = jobs::make_plan_row(ask, plan, "ballast");
    BALLAST_CO_CHECK(co_await services.store->write(
        {}, [made, act, settings = services.settings.balance](store::Transaction& transaction) -> Result<void> {
            const auto waits = transaction.snapshot().plans.select(
                [](const Plan& plan) { return plan.actor == "ballast" && plan.state == PlanStage::advised; });
            for (const auto& old : waits) jobs::expire_plan(transaction, *old, "a newer plan takes its place");
            const Plan kept = jobs::put_plan(transaction, made);
            if (act) BALLAST_CHECK(jobs::apply_plan(transaction, kept.id, settings));
            return {};
        }));
    co_return Result<void>{};
}

}  // namespace

MemoryDesk::MemoryDesk(const jobs::Services& services, std::shared_ptr<PictureBoard> board, MemorySettings settings,
                       std::function<std::optional<Seen>(const HostId&)> see)
    : around_(std::make_shared<Surroundings>(Surroundings{.executor = services.executor,
                                                          .store = services.store,
                                                          .hosts = services.hosts,
                                                          .clock = services.clock,
                                                          .board = std::move(board),
                                                          .settings = std::move(settings),
                                                          .see = std::move(see),
                                                          .ask_for_a_move =
                                                              [services](HostId host, std::string why) {
                                                                  return ask_planner(services, std::move(host),
                                                                                     std::move(why));
                                                              }})),
      pauses_(std::make_shared<reconcile::Pauses>(services.executor)) {}

void MemoryDesk::start() {
    subscription_ =
        around_->store->subscribe(around_->executor, [weak = weak_from_this()](const std::vector<Event>& events) {
            if (const auto self = weak.lock()) self->on_commit(events);
        });
    pauses_->spawn(begin(), "the memory desk");
}

asio::awaitable<void> MemoryDesk::begin() {
    const auto self = shared_from_this();
    auto texts = co_await around_->store->kept(kept_under);
    if (!texts) spdlog::warn("what was known of the hosts' memory can't be read: {}", texts.error().chain());
    if (texts)
        for (auto& [host, text] : *texts) kept_.emplace(HostId(host), std::move(text));
    begun_ = true;
    if (const auto written = co_await write_policies(); !written)
        spdlog::warn("the hosts' memory policies can't be written: {}", written.error().chain());
    for (const auto& host : around_->store->snapshot()->hosts.rows()) follow(host->id);
    pauses_->spawn(keep_for_ever(), "what is known of the hosts' memory");
    pauses_->spawn(note_for_ever(), "the history of the hosts' memory");
}

void MemoryDesk::follow(const HostId& host) {
    const auto row = around_->store->snapshot()->hosts.find_ptr(host);
    if (pauses_->ended() || !row || row->state == HostState::removed || keepers_.contains(host)) return;
    const auto keeper = std::make_shared<Keeper>(host, around_);
    if (const auto kept = kept_.find(host); kept != kept_.end()) keeper->restore(kept->second);
    keepers_.emplace(host, keeper);
    pauses_->spawn(look_for_ever(host), "the memory of host " + host.str());
}

void MemoryDesk::on_commit(const std::vector<Event>& events) {
    if (!begun_) return;  // a keeper that is made without what was kept takes Ballast's own settings for those it found
    bool hosts_changed = false;
    for (const Event& event : events) {
        if (event.subject_kind != "host") continue;
        hosts_changed = true;
        follow(HostId(event.subject_id));
    }
    if (!hosts_changed || writing_ || policies_to_write(*around_->store->snapshot(), around_->settings).empty()) return;
    pauses_->spawn(
        [](std::shared_ptr<MemoryDesk> self) -> asio::awaitable<void> {
            if (const auto written = co_await self->write_policies(); !written)
                spdlog::warn("the hosts' memory policies can't be written: {}", written.error().chain());
        }(shared_from_this()),
        "the hosts' memory policies");
}

drivers::Task<> MemoryDesk::write_policies() {
    const auto self = shared_from_this();
    if (writing_ || !around_->store->health().writable) co_return Result<void>{};
    writing_ = true;
    const auto written = co_await around_->store->write(
        {}, [settings = around_->settings](store::Transaction& transaction) -> Result<void> {
            for (const auto& [id, policy] : policies_to_write(transaction.snapshot(), settings)) {
                Host host = *transaction.snapshot().hosts.find(id);
                host.memory_policy = policy;
                const char* name = boost::describe::enum_to_string(policy, "");
                transaction.put(std::move(host),
                                {"host.memory_policy", fmt::format("its memory is kept by the policy {}", name)});
            }
            return {};
        });
    writing_ = false;
    if (!written) co_return std::unexpected(written.error());
    co_return Result<void>{};
}

asio::awaitable<void> MemoryDesk::look_for_ever(HostId host) {
    const auto self = shared_from_this();
    const auto keeper = keepers_.at(host);
    bool failed = false;
    while (!pauses_->ended()) {
        const auto row = around_->store->snapshot()->hosts.find_ptr(host);
        if (!row || row->state == HostState::removed) break;
        if (row->state == HostState::up || row->state == HostState::slow || row->state == HostState::maintenance) {
            const auto looked = co_await keeper->look();
            if (!looked && !failed)
                spdlog::warn("host={} its memory can't be looked at: {}", host, looked.error().chain());
            failed = !looked;
        }
        const bool acts = memory::policy_of(row->memory_policy).acts;
        co_await reconcile::Pauses::wait(pauses_,
                                         acts ? around_->settings.read_interval : around_->settings.sweep_interval);
    }
    if (pauses_->ended()) co_return;
    keepers_.erase(host);
    around_->board->forget(host);
}

drivers::Task<> MemoryDesk::keep_all() {
    std::vector<std::pair<std::string, std::string>> texts;
    texts.reserve(keepers_.size() + kept_.size());
    for (const auto& [host, keeper] : keepers_) texts.emplace_back(kept_under + host.str(), keeper->kept());
    for (const auto& [host, text] : kept_)
        if (!around_->store->snapshot()->hosts.find(host)) texts.emplace_back(kept_under + host.str(), "");
    for (auto& text : texts)
        BALLAST_CO_CHECK(co_await around_->store->write(
            {}, [text = std::move(text)](store::Transaction& transaction) -> Result<void> {
                transaction.keep(text.first, text.second);
                return {};
            }));
    co_return Result<void>{};
}

asio::awaitable<void> MemoryDesk::keep_for_ever() {
    const auto self = shared_from_this();
    while (!pauses_->ended()) {
        co_await reconcile::Pauses::wait(pauses_, around_->settings.keep_interval);
        if (pauses_->ended()) co_return;
        if (const auto kept = co_await keep_all(); !kept)
            spdlog::warn("what is known of the hosts' memory can't be kept: {}", kept.error().chain());
    }
}

/// Every sweep once.
asio::awaitable<void> MemoryDesk::note_for_ever() {
    const auto self = shared_from_this();
    bool failed = false;
    while (!pauses_->ended()) {
        co_await reconcile::Pauses::wait(pauses_, around_->settings.sweep_interval / 2);
        if (pauses_->ended()) co_return;
        std::vector<store::MemoryPoint> points;
        std::vector<store::VmMemoryPoint> vms;
        const auto snapshot = around_->store->snapshot();
        const auto pictures = around_->board->all();  // named: only C++23's newest rule would keep it through the loop
        for (const auto& [host, picture] : *pictures) {
            if (std::exchange(noted_[host], picture->at) == picture->at) continue;
            points.push_back(point_of(*picture));
            add_vm_points(*picture, *snapshot, vms);
        }
        std::erase_if(noted_, [&](const auto& one) { return !keepers_.contains(one.first); });
        auto noted = co_await around_->store->memory_history().note(std::move(points));
        if (noted) noted = co_await around_->store->vm_memory_history().note(std::move(vms));
        if (!noted && !failed) spdlog::warn("the history of memory can't be kept: {}", noted.error().chain());
        failed = !noted;
    }
}

drivers::Task<std::string> MemoryDesk::room_for(VmId vm, HostId host) {
    const auto self = shared_from_this();
    const auto snapshot = around_->store->snapshot();
    const auto row = snapshot->vms.find_ptr(vm);
    const auto at = snapshot->hosts.find_ptr(host);
    const auto keeper = keepers_.find(host);
    if (keeper == keepers_.end() || !row || !at) co_return std::string();
    Bytes fills = scheduler::memory_demand(row->spec, *at);
    if (row->host && row->host != host)
        if (const auto picture = around_->board->find(*row->host))
            if (const auto there = std::ranges::find(picture->vms, vm, &VmPicture::vm); there != picture->vms.end())
                fills = brought_by(*there);
    co_return co_await keeper->second->room_for(vm, fills);
}

drivers::Task<> MemoryDesk::shrink_before_move(VmId vm, BytesPerSecond bandwidth) {
    const auto self = shared_from_this();
    const auto row = around_->store->snapshot()->vms.find_ptr(vm);
    const auto keeper = row && row->host ? keepers_.find(*row->host) : keepers_.end();
    if (keeper == keepers_.end()) co_return Result<void>{};
    if (const auto shrunk = co_await keeper->second->shrink(vm, bandwidth); !shrunk)
        spdlog::warn("vm={} it could not be made smaller before its move: {}", vm, shrunk.error().chain());
    co_return Result<void>{};
}

drivers::Task<> MemoryDesk::stop() {
    const auto self = shared_from_this();
    pauses_->end();
    subscription_.reset();
    if (around_->settings.give_back_on_stop) {
        const auto left =
            co_await give_back_all(around_->executor, in_the_order_of_hope(), around_->settings.give_back);
        if (const auto told = co_await tell_kept_back(left); !told)
            spdlog::warn("what was not given back can't be told: {}", told.error().chain());
    }
    co_return co_await keep_all();
}

/// Hosts that answer before those that are slow to: these would hold the others up.
std::vector<std::pair<HostId, std::shared_ptr<Keeper>>> MemoryDesk::in_the_order_of_hope() const {
    const auto snapshot = around_->store->snapshot();
    std::vector<std::pair<HostId, std::shared_ptr<Keeper>>> all;
    for (const bool slow : {false, true})
        for (const auto& [host, keeper] : keepers_) {
            const Host* row = snapshot->hosts.find(host);
            if ((row == nullptr || row->state == HostState::slow) == slow) all.emplace_back(host, keeper);
        }
    return all;
}

/// By name, to the log and to whoever looks for it later.
drivers::Task<> MemoryDesk::tell_kept_back(std::vector<HostId> hosts) {
    const auto self = shared_from_this();
    std::vector<std::pair<HostId, std::string>> told;
    for (const HostId& host : hosts) {
        const auto picture = around_->board->find(host);
        const std::string kept = picture ? squeezed_sentence(*picture) : "it was not looked at yet";
        if (kept.empty()) continue;
        told.emplace_back(host, fmt::format("the host did not give its guests their memory back within {}: {}",
                                            to_string(around_->settings.give_back.time), kept));
        const auto row = around_->store->snapshot()->hosts.find_ptr(host);
        spdlog::warn("host={} ({}) {}", host, row ? row->name : "gone", told.back().second);
    }
    if (told.empty()) co_return Result<void>{};
    BALLAST_CO_CHECK(co_await around_->store->write({}, [told](store::Transaction& transaction) -> Result<void> {
        for (const auto& [host, sentence] : told)
            transaction.emit(about_host(transaction.snapshot(), host, "host.memory_not_given_back", sentence));
        return {};
    }));
    co_return Result<void>{};
}

}  // namespace ballast::overcommit
