#include "daemon/overcommit/keeper.h"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/jobs/submit.h"
#include "daemon/overcommit/exporter.h"
#include "daemon/overcommit/telling.h"
#include "memory/give_back.h"

namespace ballast::overcommit {
namespace {

namespace asio = boost::asio;
using memory::BalloonMove;

/// How long a VM that was made smaller for a move stays so where the move does not begin.
constexpr Milliseconds kept_small{60'000};
constexpr int beliefs_per_guess = 6;  ///< as of the usual first belief (6 h) and the usual first guess (1 h)

/// What may be changed on that VM now, by its row of this moment.
bool may_move(const Snapshot& snapshot, const VmId& id, const HostId& host) {
    const Vm* vm = snapshot.vms.find(id);
    return vm != nullptr && vm->managed && vm->host == host && vm->state == VmState::running && !vm->job &&
           memory::policy_of(vm->spec.memory_policy).acts;
}

memory::KsmReading applied(memory::KsmReading now, const memory::KsmDecision& decision) {
    now.pages_to_scan = decision.pages_to_scan.value_or(now.pages_to_scan);
    now.merge_across_nodes = decision.merge_across_nodes.value_or(now.merge_across_nodes);
    return now;
}

drivers::KsmSettings settings_of(const memory::KsmReading& reading) {
    return {.pages_to_scan = reading.pages_to_scan,
            .sleep_ms = reading.sleep_ms,
            .merge_across_nodes = reading.merge_across_nodes};
}

std::vector<memory::GroupCount> groups_of(const std::vector<memory::VmMemory>& vms,
                                          const memory::Decisions& decisions) {
    memory::Groups groups;
    for (std::size_t i = 0; i < vms.size(); ++i)
        if (vms[i].merge) groups.add(vms[i].group, decisions.vms[i].working_set.size);
    return groups.counted();
}

/// Saved now, less what un-sharing takes back within an hour.
Bytes sure_sharing_of(const std::optional<memory::KsmReading>& ksm, const memory::KsmMemo& memo) {
    constexpr Milliseconds hour{3'600'000};
    const Bytes saved = memory::saved_by(ksm);
    return saturating_sub(saved, memory::unsharing_within(memo, saved, hour).memory);
}

KsmPicture merging_of(const std::optional<memory::KsmReading>& now, const memory::KsmMemo& memo, bool may_act) {
    if (!now) return {};
    const bool foreign = memo.state == memory::KsmState::foreign;
    return {.now = settings_of(*now),
            .found = memo.set ? memo.found : std::nullopt,
            .set = memo.set,
            .set_across = memo.set_across,
            .managed = may_act && memo.set && !foreign,
            .stands_back_until = foreign ? memo.until : Timestamp()};
}

}  // namespace

void Keeper::restore(const std::string& text) {
    auto kept = parse_as<Kept>(text, "");
    if (!kept) {
        spdlog::warn("host={} what was known of its memory can't be read again: {}", host_, kept.error().chain());
        return;
    }
    memo_ = std::move(kept->memo);
    found_kept_ = memo_.ksm.found.has_value();
    overheads_ = std::move(kept->overheads);
}

std::string Keeper::kept() const {
    return to_json_text(Kept{.memo = memo_, .overheads = overheads_});
}

/// In danger it decides at every look.
bool Keeper::is_due(const Sweep& sweep) const {
    if (sweep.now < decided_ || sweep.now - decided_ >= around_->settings.sweep_interval) return true;
    if (memo_.ladder.level >= memory::Level::pressed || !coming_.empty()) return true;
    return memory::policy_of(sweep.row->memory_policy).acts && memory::sweep_at_once(sweep.vms, memo_);
}

/// One scrape for each time that the host may be decided on.
asio::awaitable<void> Keeper::see_exporter(std::string url, Timestamp now) {
    if (url.empty()) {
        seen_ = {};
        sight_why_.clear();
        if (around_->see)
            if (auto seen = around_->see(host_)) seen_ = *std::move(seen);
        co_return;
    }
    const bool in_danger = memo_.ladder.level > memory::Level::comfortable;
    if (seen_.reading && now >= scraped_ && now - scraped_ < around_->settings.sweep_interval && !in_danger) co_return;
    auto reading = co_await scrape(std::move(url), around_->settings.exporter_timeout);
    if (!reading) {
        seen_ = {};
        sight_why_ = reading.error().chain();
        co_return;
    }
    if (seen_.reading)
        seen_.strain = strain_between(*seen_.reading, *reading, now - scraped_);
    else
        seen_.strain = {};
    seen_.reading = *std::move(reading);
    scraped_ = now;
    sight_why_.clear();
}

store::Task<Keeper::Sweep> Keeper::read() {
    Sweep sweep;
    BALLAST_CO_TRY(sweep.driver, around_->hosts->reachable(host_));
    BALLAST_CO_TRY(const auto stats, co_await sweep.driver->memory().read());
    sweep.snapshot = around_->store->snapshot();
    sweep.row = sweep.snapshot->hosts.find_ptr(host_);
    if (!sweep.row) co_return fail(Code::not_found, "host {} is gone", host_);
    sweep.now = around_->clock->now();
    co_await see_exporter(sweep.row->settings.exporter, sweep.now);
    auto host = host_memory(*sweep.row, stats, seen_);
    if (!host) {
        sight_why_ = host.error().message();
        seen_ = {};
        host = host_memory(*sweep.row, stats, seen_);
    }
    BALLAST_CO_TRY(sweep.host, std::move(host));
    sweep.vms = vm_memories(*sweep.snapshot, *sweep.row, stats, sweep.host, overheads_, sweep.now);
    forget_those_who_came(sweep);
    sweep.host.coming = coming();
    co_return sweep;
}

store::Task<> Keeper::look() {
    const auto self = shared_from_this();
    if (ended_ || std::exchange(looking_, true)) co_return Result<void>{};
    auto swept = co_await read();
    Result<void> outcome;
    if (!swept)
        outcome = std::unexpected(swept.error());
    else if (is_due(*swept))
        outcome = co_await decide(std::make_shared<const Sweep>(*std::move(swept)));
    looking_ = false;
    co_return outcome;
}

bool Keeper::may_act(const Sweep& sweep) const {
    return sweep.row->managed && memory::policy_of(sweep.row->memory_policy).acts && around_->store->health().writable;
}

store::Task<> Keeper::decide(std::shared_ptr<const Sweep> sweep) {
    const MemoryPolicy policy = sweep->row->memory_policy;
    const bool acted = acted_as_ != MemoryPolicy::none || memo_.ksm.set;  // the second: a daemon before this one
    if (acted && policy == MemoryPolicy::none) co_await let_go(sweep);
    acted_as_ = policy;
    memory::ControlOptions options;
    options.working_set.prior = around_->settings.first_guess;
    options.first_belief = around_->settings.first_guess * beliefs_per_guess;
    memory::Controlled made = memory::control(sweep->host, sweep->vms, memo_, policy, sweep->now, options);
    const auto decisions = std::make_shared<const memory::Decisions>(std::move(made.decisions));
    const memory::Level before = memo_.ladder.level;
    if (!may_act(*sweep)) memory::forget_what_was_asked(made.next, memo_);
    memo_ = std::move(made.next);
    std::erase_if(shrunk_,
                  [&](const auto& one) { return sweep->now - one.second > kept_small || sweep->now < one.second; });
    decided_ = sweep->now;
    start_room_ = decisions->start_room;
    publish(*sweep, *decisions);
    if (decisions->level_changed && may_act(*sweep))
        BALLAST_CO_CHECK(co_await around_->store->write(
            {}, [sweep, decisions, before](store::Transaction& transaction) -> Result<void> {
                transaction.emit(about_host(transaction.snapshot(), sweep->row->id, "host.memory_level",
                                            level_sentence(before, *decisions)));
                for (const auto& act : decisions->acts)
                    transaction.emit(
                        about_host(transaction.snapshot(), sweep->row->id, "host.memory_act", act_sentence(act)));
                return {};
            }));
    if (may_act(*sweep)) co_return co_await carry_out(sweep, decisions);
    co_return Result<void>{};
}

asio::awaitable<void> Keeper::move_balloons(std::shared_ptr<const Sweep> sweep, std::vector<BalloonMove> moves) {
    std::vector<BalloonMove> made;
    for (BalloonMove& move : moves) {
        if (!may_move(*around_->store->snapshot(), move.vm, host_)) continue;
        if (move.cause != memory::BalloonCause::need && shrunk_.contains(move.vm)) continue;
        const auto set = co_await sweep->driver->memory().set_balloon(move.vm, move.to);
        if (set)
            made.push_back(std::move(move));
        else
            spdlog::warn("host={} vm={} its balloon can't be moved: {}", host_, move.vm, set.error().chain());
    }
    if (made.empty()) co_return;
    const auto written =
        co_await around_->store->write({}, [sweep, made](store::Transaction& transaction) -> Result<void> {
            transaction.emit(about_host(transaction.snapshot(), sweep->row->id, "host.balloons_moved",
                                        moves_sentence(made, transaction.snapshot())));
            return {};
        });
    if (!written) spdlog::warn("host={} moved balloons, which can't be told: {}", host_, written.error().chain());
}

/// Before the first change: a daemon that is killed after it would take its own settings for what it found.
store::Task<> Keeper::keep_what_was_found() {
    if (found_kept_ || !memo_.ksm.found) co_return Result<void>{};
    BALLAST_CO_CHECK(co_await around_->store->write(
        {}, [key = kept_under + host_.str(), text = kept()](store::Transaction& transaction) -> Result<void> {
            transaction.keep(key, text);
            return {};
        }));
    found_kept_ = true;
    co_return Result<void>{};
}

asio::awaitable<void> Keeper::tune_ksm(std::shared_ptr<const Sweep> sweep, memory::KsmDecision decision) {
    std::string told;
    if (decision.state == memory::KsmState::foreign || decision.state == memory::KsmState::stopped) told = decision.why;
    if ((decision.pages_to_scan || decision.merge_across_nodes) && sweep->host.ksm) {
        const auto wanted = settings_of(applied(*sweep->host.ksm, decision));
        Result<void> set = co_await keep_what_was_found();
        if (set) set = co_await sweep->driver->memory().set_ksm(wanted);
        // A refusal is the kernel's advisor. After any other failure nobody knows what is set: it is nobody's.
        if (!set && set.error().code() != Code::failed_precondition) memo_.ksm.set.reset();
        if (!set) told = fmt::format("page merging can't be tuned: {}", set.error().chain());
    }
    if (told == told_ksm_) co_return;
    told_ksm_ = told;
    if (told.empty()) told = "page merging is Ballast's to tune again";
    const auto written =
        co_await around_->store->write({}, [sweep, told](store::Transaction& transaction) -> Result<void> {
            transaction.emit(about_host(transaction.snapshot(), sweep->row->id, "host.ksm", told));
            return {};
        });
    if (!written) spdlog::warn("host={} {}", host_, told);
}

/// By itself: a plan takes seconds, and a host in danger is looked at meanwhile.
void Keeper::ask_for_a_move(std::string why) {
    asio::co_spawn(
        around_->executor,
        [](std::shared_ptr<const Surroundings> around, HostId host, std::string why) -> asio::awaitable<void> {
            const auto asked = co_await around->ask_for_a_move(host, std::move(why));
            if (!asked) spdlog::warn("host={} no move away could be planned: {}", host, asked.error().chain());
        }(around_, host_, std::move(why)),
        asio::detached);
}

store::Task<> Keeper::carry_out(std::shared_ptr<const Sweep> sweep,
                                std::shared_ptr<const memory::Decisions> decisions) {
    co_await move_balloons(sweep, decisions->balloons);
    co_await tune_ksm(sweep, decisions->ksm);
    const auto wants = [&](memory::Act act) {
        return std::ranges::find(decisions->acts, act, &memory::LadderAct::act) != decisions->acts.end();
    };
    if (wants(memory::Act::ask_planner) && around_->ask_for_a_move &&
        (sweep->now < asked_planner_ || sweep->now - asked_planner_ >= around_->settings.planner_pause)) {
        asked_planner_ = sweep->now;
        ask_for_a_move(decisions->level_why);
    }
    std::map<VmId, std::string> told;
    for (const auto& vm : decisions->vms)
        if (const auto at = memo_.vms.find(vm.vm);
            at != memo_.vms.end() && memory::left_alone(at->second.follow, sweep->now))
            told[vm.vm] = at->second.follow.why;
    const auto before = std::exchange(told_, told);
    if (told == before && !decisions->suspend) co_return Result<void>{};
    BALLAST_CO_CHECK(co_await around_->store->write(
        {}, [sweep, decisions, told, before](store::Transaction& transaction) -> Result<void> {
            for (const auto& vm : sweep->vms) {
                const auto now = told.find(vm.id);
                const auto then = before.find(vm.id);
                if (now != told.end() && (then == before.end() || then->second != now->second))
                    transaction.emit(about_vm(transaction.snapshot(), vm.id, "vm.balloon_left_alone", now->second));
                if (now == told.end() && then != before.end())
                    transaction.emit(
                        about_vm(transaction.snapshot(), vm.id, "vm.balloon_taken_up", "its balloon is moved again"));
            }
            if (!decisions->suspend) return {};
            const Vm* row = transaction.snapshot().vms.find(*decisions->suspend);
            if (row == nullptr || row->job || row->state != VmState::running || !row->spec.overcommit.may_suspend)
                return {};
            transaction.emit(
                about_vm(transaction.snapshot(), row->id, "vm.suspended_as_last_resort", decisions->level_why));
            BALLAST_CHECK(jobs::submit(
                transaction,
                {.kind = "vm.save", .vm = row->id, .host = sweep->row->id, .subject = row->name, .params = {"{}"}}));
            return {};
        }));
    co_return Result<void>{};
}

asio::awaitable<void> Keeper::put_ksm_back(std::shared_ptr<const Sweep> sweep) {
    if (sweep->host.ksm) {
        if (const auto found = memory::restored(memo_.ksm, *sweep->host.ksm)) {
            memory::KsmReading back = *sweep->host.ksm;
            back.pages_to_scan = found->pages_to_scan;
            back.merge_across_nodes = found->merge_across_nodes;
            const auto set = co_await sweep->driver->memory().set_ksm(settings_of(back));
            if (!set) spdlog::warn("host={} KSM can't be put back: {}", host_, set.error().chain());
        }
    }
    memo_.ksm = {};
    found_kept_ = false;
}

/// The host is no longer controlled: what was changed on it is put back, once.
asio::awaitable<void> Keeper::let_go(std::shared_ptr<const Sweep> sweep) {
    co_await put_ksm_back(sweep);
    co_await move_balloons(sweep, memory::give_back(sweep->host, sweep->vms,
                                                    memory::reserve_of(memory::policy_of(MemoryPolicy::balanced),
                                                                       sweep->host.total, true)));
}

/// A look that has begun would set again what is put back.
asio::awaitable<void> Keeper::await_look() {
    constexpr Milliseconds longest{15'000};
    constexpr Milliseconds pause{20};
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (Milliseconds waited{0}; looking_ && waited < longest; waited += pause) {
        timer.expires_after(pause);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

store::Task<> Keeper::give_back() {
    const auto self = shared_from_this();
    const auto row = around_->store->snapshot()->hosts.find_ptr(host_);
    if (!row || !row->managed || !memory::policy_of(row->memory_policy).acts) co_return Result<void>{};
    ended_ = true;
    co_await await_look();
    BALLAST_CO_TRY(auto swept, co_await read());
    const auto sweep = std::make_shared<const Sweep>(std::move(swept));
    const bool sees = sweep->host.pressure || sweep->host.swap_in;
    const Bytes reserve = memory::reserve_of(memory::policy_of(row->memory_policy), sweep->host.total, sees);
    co_await put_ksm_back(sweep);
    co_await move_balloons(sweep, memory::give_back(sweep->host, sweep->vms, reserve));
    co_return Result<void>{};
}

void Keeper::publish(const Sweep& sweep, const memory::Decisions& decisions) {
    HostPicture picture{.host = host_,
                        .at = sweep.now,
                        .policy = sweep.row->memory_policy,
                        .sight = !sight_why_.empty()                         ? Sight::unreadable
                                 : sweep.host.pressure || sweep.host.swap_in ? Sight::full
                                                                             : Sight::blind,
                        .sight_why = sight_why_,
                        .standing_back = told_ksm_,
                        .level = decisions.level,
                        .level_since = memo_.ladder.since,
                        .level_why = decisions.level_why,
                        .ledger = decisions.ledger,
                        .risk = decisions.risk,
                        .ksm = decisions.ksm,
                        .merging = merging_of(sweep.host.ksm, memo_.ksm, may_act(sweep)),
                        .saving = memory::saving_of(memo_.sharing, groups_of(sweep.vms, decisions)),
                        .unmet = decisions.unmet,
                        .admits = decisions.admits,
                        .vms = {},
                        .sure_sharing = sure_sharing_of(sweep.host.ksm, memo_.ksm),
                        .sharing = memo_.sharing,
                        .model = memory::measured_model(memo_.correlation, {})};
    if (may_act(sweep)) picture.start_room = decisions.start_room_made;
    for (std::size_t i = 0; i < sweep.vms.size(); ++i) {
        const memory::VmMemory& vm = sweep.vms[i];
        picture.vms.push_back({.vm = vm.id,
                               .name = vm.name,
                               .maximum = vm.maximum,
                               .minimum = vm.minimum,
                               .balloon = vm.reading.balloon,
                               .resident = vm.reading.resident,
                               .overhead = vm.overhead,
                               .target = vm.reading.balloon,
                               .policy = vm.policy,
                               .group = vm.group,
                               .working_set = decisions.vms[i].working_set,
                               .left_alone = decisions.vms[i].left_alone});
    }
    for (const BalloonMove& move : decisions.balloons)
        if (const auto at = std::ranges::find(picture.vms, move.vm, &VmPicture::vm); at != picture.vms.end())
            at->target = move.to;
    around_->board->publish(std::move(picture));
}

}  // namespace ballast::overcommit
