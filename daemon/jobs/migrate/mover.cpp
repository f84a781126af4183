#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "core/json_impl.h"
#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/migrate/move.h"
#include "migration/forecast.h"

namespace ballast::jobs {
namespace {

using migration::MigrationAct;
using migration::MigrationEvent;
using migration::MigrationEventKind;
using migration::MigrationMemo;
using migration::Step;

/// The journal's name for a step: its first act that does something. Watching and asking need no intent.
std::string journal_name(const std::vector<MigrationAct>& acts) {
    const auto does_something = [](MigrationAct act) {
        return act != MigrationAct::watch_job && act != MigrationAct::ask_both_sides &&
               act != MigrationAct::check_pair && act != MigrationAct::release_claim;
    };
    const auto at = std::ranges::find_if(acts, does_something);
    return at == acts.end() ? "" : boost::describe::enum_to_string(*at, "act");
}

/// The owner changes together with the machine's step: store first, host afterwards (SAFETY.md 7).
Result<void> change_owner(store::Transaction& transaction, const VmId& id, const HostId& to) {
    BALLAST_TRY(Vm vm, vm_of(transaction, id));
    if (vm.host == to) return {};
    vm.host = to;
    ++vm.epoch;
    const std::string message =
        fmt::format("{} owns VM {} now (epoch {})", host_name(transaction.snapshot(), to), vm.name, vm.epoch);
    transaction.put(std::move(vm), {"vm.owner_changed", message});
    return {};
}

bool holds_act(const Step& step, MigrationAct act) {
    return std::ranges::find(step.acts, act) != step.acts.end();
}

Result<void> put_step(store::Transaction& transaction, const JobId& job, Step step) {
    BALLAST_CHECK(keep_memo(transaction, job, to_json_text(step.memo)));
    if (holds_act(step, MigrationAct::adopt_target))
        BALLAST_CHECK(change_owner(transaction, step.migration.vm, step.migration.to));
    if (holds_act(step, MigrationAct::call_migrate)) step.migration.called = transaction.now();
    const bool sends =
        step.migration.phase == MigrationPhase::push || step.migration.phase == MigrationPhase::stop_and_copy;
    if (sends && step.migration.called && !step.migration.setup)
        step.migration.setup = std::chrono::duration_cast<Milliseconds>(transaction.now() - *step.migration.called);
    const bool ended = migration::has_ended(step.migration.phase);
    if (ended && !step.migration.finished) step.migration.finished = transaction.now();
    const std::string phase = boost::describe::enum_to_string(step.migration.phase, "unknown");
    const std::string message =
        step.migration.phase_reason.empty() ? phase : fmt::format("{}: {}", phase, step.migration.phase_reason);
    transaction.put(std::move(step.migration), {ended ? "migration." + phase : "migration.phase", message});
    return {};
}

}  // namespace

Result<std::shared_ptr<Move>> Move::open(RunPtr run) {
    const auto row = run->snapshot()->migrations.find_ptr(run->id());
    if (!row) return fail(Code::internal, "migration {} is not in the store", run->id());
    std::shared_ptr<Move> move(new Move(run));
    move->vm_ = row->vm;
    move->from_ = row->from;
    move->to_ = row->to;
    move->source_ = run->services().hosts->find(row->from);
    move->target_ = run->services().hosts->find(row->to);
    if (!move->source_ || !move->target_)
        return fail(Code::not_found, "a host of migration {} is gone from the inventory", run->id());
    const auto forecast = parse_as<migration::Forecast>(row->forecast.text, "forecast");
    if (forecast && forecast->choice) {
        move->limits_.hybrid_rounds = forecast->choice->hybrid_rounds;
        move->limits_.switch_cost = forecast->input.past.switch_over.likely;
        move->limits_.overrun = forecast->input.past.overrun;
        move->limits_.socket = migration::socket_time(forecast->input.link.bandwidth.likely, row->terms.bandwidth);
    }
    return move;
}

std::shared_ptr<const Migration> Move::row() const {
    return run_->snapshot()->migrations.find_ptr(run_->id());
}

MigrationMemo Move::memo() const {
    auto memo = parse_as<MigrationMemo>(run_->row()->memo.text, "memo");
    return memo ? *memo : MigrationMemo{};
}

void Move::post(MigrationEvent event) {
    events_.push_back(std::move(event));
    wake_.notify();
}

void Move::post(MigrationEventKind kind, std::string detail) {
    post(MigrationEvent{.kind = kind, .detail = std::move(detail)});
}

Milliseconds Move::since_call() const {
    const auto migration = row();
    const Timestamp from = migration->called.value_or(migration->started);
    return std::chrono::duration_cast<Milliseconds>(run_->services().clock->now() - from);
}

Result<void> Move::ask(MigrationEvent event) {
    event.at = since_call();
    BALLAST_TRY(const Step would_be, migration::next(*row(), memo(), event, limits_));
    static_cast<void>(would_be);
    post(std::move(event));
    return {};
}

void Move::post_later(Milliseconds delay, MigrationEventKind kind) {
    boost::asio::co_spawn(
        run_->services().executor,
        [self = shared_from_this(), delay, kind]() -> boost::asio::awaitable<void> {
            static_cast<void>(co_await self->run_->sleep(delay));
            self->post(kind);
        },
        boost::asio::detached);
}

/// A cancel that was asked for becomes one event; the machine says whether it is still possible.
void Move::notice_cancel() {
    if (cancel_noticed_ || !run_->cancel_requested()) return;
    cancel_noticed_ = true;
    post(MigrationEventKind::cancel_requested, "asked to cancel");
}

/// The end was persisted before its acts: a daemon that died in between has not restarted the VM yet. The alert is the
/// first of those acts, and gives the step its name.
bool Move::owes_restart() const {
    const std::string step = "alert_operator";
    return row()->phase == MigrationPhase::failed && run_->is_intended(step) && !run_->is_done(step);
}

Task<Json> Move::go() {
    const auto begun = row();
    if (owes_restart()) {
        const Result<void> restarted = co_await restart_until_done(false);
        static_cast<void>(co_await withdraw_undecided());
        if (!restarted) spdlog::warn("job={} vm={} {}", run_->id().str(), vm_.str(), restarted.error().chain());
    }
    post(begun->phase == MigrationPhase::claimed ? MigrationEventKind::begin : MigrationEventKind::restarted);
    while (!migration::has_ended(row()->phase)) {
        notice_cancel();
        if (events_.empty()) {
            co_await wake_.wait(run_->services().settings.retry_pause);
            continue;
        }
        MigrationEvent event = std::move(events_.front());
        events_.pop_front();
        const Result<void> handled = co_await handle(std::move(event));
        if (!handled) spdlog::warn("job={} vm={} {}", run_->id().str(), vm_.str(), handled.error().chain());
    }
    if (row()->phase == MigrationPhase::succeeded) co_return result();
    co_return std::unexpected(failure());
}

Task<> Move::handle(MigrationEvent event) {
    const auto now = row();
    const MigrationMemo then = memo();
    BALLAST_CO_TRY(const Step step, migration::next(*now, then, event, limits_));
    const bool changed = step.migration != *now || step.memo != then || !journal_name(step.acts).empty();
    const std::string name = journal_name(step.acts);
    last_reason_ = step.migration.phase_reason;
    if (changed) BALLAST_CO_CHECK(co_await persist(&step, name));
    Result<void> outcome{};
    for (const MigrationAct act : step.acts) {
        const Result<void> performed = co_await perform(act);
        if (!performed && outcome) outcome = performed;
    }
    if (!name.empty()) BALLAST_CO_CHECK(co_await run_->done(name));
    if (step.due_in) post_later(*step.due_in, MigrationEventKind::recovery_due);
    co_return outcome;
}

/// `step` is only read before the first suspension.
Task<> Move::persist(const Step* step, std::string name) {
    const store::Change change = [id = run_->id(), copy = *step](store::Transaction& transaction) {
        return put_step(transaction, id, copy);
    };
    if (name.empty()) return run_->commit(change);
    return run_->intend(std::move(name), step->migration.phase_reason, change);
}

Json Move::result() const {
    const auto snapshot = run_->snapshot();
    const auto migration = row();
    Json result{{"vm", vm_.str()}, {"from", host_name(*snapshot, from_)}, {"to", host_name(*snapshot, to_)}};
    result["mode"] = boost::describe::enum_to_string(migration->mode, "");
    if (migration->total) result["total_ms"] = migration->total->count();
    if (migration->downtime) result["downtime_ms"] = migration->downtime->count();
    if (migration->sent) result["sent_bytes"] = migration->sent->count();
    result["rounds"] = migration->rounds.size();
    result["reason"] = migration->reason;
    return result;
}

/// What the job answers when the source kept the VM.
Error Move::failure() const {
    const auto migration = row();
    const std::string name = run_->row()->subject;
    const std::string host = host_name(*run_->snapshot(), from_);
    if (migration->phase == MigrationPhase::cancelled)
        return Error(Code::cancelled, fmt::format("the migration of VM {} was cancelled; it stays on {}", name, host));
    Error failure(Code::failed_precondition, fmt::format("VM {} did not move: {}", name, migration->phase_reason));
    if (call_error_) return std::move(failure).caused_by(*call_error_);
    return failure;
}

}  // namespace ballast::jobs
