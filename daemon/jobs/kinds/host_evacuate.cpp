// host.evacuate: queues the migrations of a host in one transaction and watches them to their ends. It moves nothing
// itself. After a restart its memo names the jobs, which the engine takes up on their own.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/evacuation.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/params.h"
#include "daemon/jobs/submit.h"

namespace ballast::jobs {
namespace {

constexpr Milliseconds look_again{1'000};

bool runs(const Vm& vm) {
    return vm.state == VmState::running || vm.state == VmState::paused || vm.state == VmState::migrating;
}

/// Why the VM stays, or nothing. `ask` is asked by whoever evacuates.
std::string reason_to_stay(const Vm& vm) {
    if (!vm.managed) return fmt::format("only observed; `ballast vm adopt {}` lets Ballast move it", vm.name);
    if (vm.spec.moves == MovePolicy::never) return "its policy `moves` is never; change it, or shut the VM down";
    if (!runs(vm))
        return fmt::format("does not run (it is {}); `ballast vm migrate {} --mode offline` moves its definition",
                           to_json(vm.state).get<std::string>(), vm.name);
    return {};
}

/// Smaller ones first: what moves little soon frees the host of many.
Bytes expected_size(const Vm& vm) {
    return vm.balloon.count() > 0 ? vm.balloon : vm.spec.memory;
}

bool is_known(const EvacuationMemo& memo, const VmId& vm) {
    return std::ranges::find(memo.moves, vm, &EvacuatedVm::vm) != memo.moves.end() ||
           std::ranges::find(memo.left, vm, &RemainingVm::vm) != memo.left.end();
}

std::vector<std::shared_ptr<const Vm>> vms_to_look_at(const Snapshot& snapshot, const HostId& host,
                                                      const EvacuationMemo& memo) {
    auto vms = snapshot.vms.select([&](const Vm& vm) { return vm.host == host && !is_known(memo, vm.id); });
    std::ranges::sort(vms, [](const auto& a, const auto& b) {
        return std::tuple(expected_size(*a), a->name) < std::tuple(expected_size(*b), b->name);
    });
    return vms;
}

/// A migration of the VM that was asked for before is waited for; a second one would move it twice.
const Job* find_open_move(const Snapshot& snapshot, const VmId& vm) {
    return snapshot.jobs.find_if(
        [&](const Job& job) { return job.kind == "vm.migrate" && job.vm == vm && !is_finished(job.state); });
}

Result<JobId> queue_move(store::Transaction& transaction, const Vm& vm, int priority) {
    if (const Job* open = find_open_move(transaction.snapshot(), vm.id); open != nullptr) return open->id;
    VmMigrateParams params;
    params.policy.priority = priority;
    BALLAST_TRY(
        const Job job,
        submit(transaction,
               {.kind = "vm.migrate", .vm = vm.id, .host = {}, .subject = vm.name, .params = {to_json_text(params)}}));
    return job.id;
}

Result<EvacuationMemo> memo_of(const Job& job) {
    if (job.memo.text.empty() || job.memo.text == "null") return EvacuationMemo{};
    return parse_as<EvacuationMemo>(job.memo.text, "memo");
}

Result<void> begin_maintenance(store::Transaction& transaction, const HostId& id) {
    const Host* found = transaction.snapshot().hosts.find(id);
    if (found == nullptr) return fail(Code::not_found, "host {} is gone from the inventory", id);
    if (found->maintenance) return {};
    Host host = *found;
    host.maintenance = true;
    const std::string message = fmt::format("host {} takes nothing new: it is evacuated", host.name);
    transaction.put(std::move(host), {"host.maintenance_begun", message});
    return {};
}

/// Every VM of the host that is not in the memo yet gets its job, or its reason to stay.
Result<void> queue_moves(store::Transaction& transaction, const JobId& id, const HostEvacuateParams& params) {
    const Job* job = transaction.snapshot().jobs.find(id);
    if (job == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    const HostId host = job->host;
    if (params.maintenance) BALLAST_CHECK(begin_maintenance(transaction, host));
    BALLAST_TRY(auto memo, memo_of(*job));
    for (const auto& vm : vms_to_look_at(transaction.snapshot(), host, memo)) {
        std::string reason = reason_to_stay(*vm);
        if (reason.empty()) {
            const auto queued = queue_move(transaction, *vm, params.priority);
            if (queued)
                memo.moves.push_back({.vm = vm->id, .name = vm->name, .job = *queued});
            else
                reason = queued.error().message();
        }
        if (!reason.empty()) memo.left.push_back({.vm = vm->id, .name = vm->name, .reason = std::move(reason)});
    }
    return keep_memo(transaction, id, to_json_text(memo));
}

enum class MoveState : std::uint8_t { waiting, moving, moved, failed, cancelled };

/// A job that is gone from the store was pruned: then the VM's host tells how it ended.
MoveState state_of(const Snapshot& snapshot, const HostId& host, const EvacuatedVm& move) {
    const Job* job = snapshot.jobs.find(move.job);
    if (job == nullptr) {
        const Vm* vm = snapshot.vms.find(move.vm);
        return vm != nullptr && vm->host == host ? MoveState::failed : MoveState::moved;
    }
    if (job->state == JobState::succeeded) return MoveState::moved;
    if (job->state == JobState::failed) return MoveState::failed;
    if (job->state == JobState::cancelled) return MoveState::cancelled;
    return snapshot.migrations.find(move.job) != nullptr ? MoveState::moving : MoveState::waiting;
}

std::string reason_of(const Snapshot& snapshot, const EvacuatedVm& move) {
    const Job* job = snapshot.jobs.find(move.job);
    return job != nullptr && job->error ? job->error->message : "its job is gone from the history";
}

struct Tally {
    EvacuationResult result;
    std::vector<EvacuatedVm> waiting;
    std::vector<EvacuatedVm> moving;
};

Tally count(const Snapshot& snapshot, const HostId& host, const EvacuationMemo& memo) {
    Tally tally;
    tally.result.host = host_name(snapshot, host);
    tally.result.left = memo.left;
    for (const auto& move : memo.moves) {
        switch (state_of(snapshot, host, move)) {
            case MoveState::waiting:
                tally.waiting.push_back(move);
                break;
            case MoveState::moving:
                tally.moving.push_back(move);
                break;
            case MoveState::moved:
                tally.result.moved.push_back(move);
                break;
            case MoveState::failed:
                tally.result.failed.push_back({.vm = move.vm, .name = move.name, .reason = reason_of(snapshot, move)});
                break;
            case MoveState::cancelled:
                tally.result.cancelled.push_back(
                    {.vm = move.vm, .name = move.name, .reason = reason_of(snapshot, move)});
                break;
        }
    }
    return tally;
}

/// When the last of the moves is expected to have ended: the queue knows of those that wait, progress of those that
/// run.
std::optional<Timestamp> expected_end(const Services& services, const Tally& tally) {
    std::optional<Timestamp> end;
    const auto later = [&end](Timestamp time) { end = end ? std::max(*end, time) : time; };
    const auto among = [](const std::vector<EvacuatedVm>& moves, const JobId& job) {
        return std::ranges::find(moves, job, &EvacuatedVm::job) != moves.end();
    };
    if (services.migrations)
        for (const auto& queued : services.migrations->lanes().view().queued)
            if (among(tally.waiting, queued.job)) later(queued.eta.end);
    for (const auto& move : tally.moving) {
        const Progress* progress = services.progress->find(move.job);
        const Json data = progress != nullptr ? Json::parse(progress->data.text, nullptr, false) : Json();
        if (data.is_object() && data.contains("left_ms") && data["left_ms"].is_number())
            later(progress->time + Milliseconds(data["left_ms"].get<std::int64_t>()));
    }
    return end;
}

Json moving_json(const Services& services, const std::vector<EvacuatedVm>& moving) {
    Json list = Json::array();
    for (const auto& move : moving) {
        const Progress* progress = services.progress->find(move.job);
        list.push_back({{"vm", move.name},
                        {"job", move.job.str()},
                        {"percent", progress != nullptr ? progress->percent : 0},
                        {"text", progress != nullptr ? progress->text : ""}});
    }
    return list;
}

void report(Run& run, const Tally& tally) {
    const auto& services = run.services();
    const std::size_t done = tally.result.moved.size() + tally.result.failed.size() + tally.result.cancelled.size();
    const std::size_t total = done + tally.waiting.size() + tally.moving.size();
    std::string text = fmt::format("{} of {} moved", tally.result.moved.size(), total);
    if (!tally.result.failed.empty()) text += fmt::format(", {} failed", tally.result.failed.size());
    text += fmt::format(", {} moving, {} waiting", tally.moving.size(), tally.waiting.size());
    Json data{{"moved", tally.result.moved.size()},
              {"failed", tally.result.failed.size()},
              {"cancelled", tally.result.cancelled.size()},
              {"waiting", tally.waiting.size()},
              {"left", tally.result.left.size()},
              {"total", total},
              {"moving", moving_json(services, tally.moving)}};
    if (const auto end = expected_end(services, tally)) {
        const auto left = std::max(Milliseconds(0), *end - services.clock->now());
        data["end"] = to_string(*end);
        data["left_ms"] = left.count();
        text += fmt::format(", about {} to go", to_string(Milliseconds(std::chrono::ceil<Seconds>(left))));
    }
    run.report(total == 0 ? 100 : static_cast<int>(done * 100 / total), text, &data);
}

/// Those that have not begun are asked to stop; what moves is moved to its end.
Result<void> cancel_waiting(store::Transaction& transaction, const JobId& id) {
    const Job* job = transaction.snapshot().jobs.find(id);
    if (job == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    BALLAST_TRY(const auto memo, memo_of(*job));
    const auto tally = count(transaction.snapshot(), job->host, memo);
    for (const auto& move : tally.waiting) {
        const Job* child = transaction.snapshot().jobs.find(move.job);
        if (child != nullptr && !child->cancel_requested) BALLAST_CHECK(request_cancel(transaction, move.job));
    }
    return {};
}

/// Until none is left that waits or moves. Errors: those of the store.
Task<> watch_moves(RunPtr run) {
    for (;;) {
        const auto row = run->row();
        BALLAST_CO_TRY(const auto memo, memo_of(*row));
        const auto tally = count(*run->snapshot(), row->host, memo);
        report(*run, tally);
        if (tally.waiting.empty() && tally.moving.empty()) co_return Result<void>{};
        if (run->cancel_requested() && !run->is_done("cancel"))
            BALLAST_CO_CHECK(co_await run->done(
                "cancel", "those that have not begun",
                [id = run->id()](store::Transaction& transaction) { return cancel_waiting(transaction, id); }));
        BALLAST_CO_CHECK(co_await run->pause(look_again));
    }
}

/// The result stands in the row whatever the job's end is called.
Result<void> keep_result(store::Transaction& transaction, const JobId& id, const EvacuationResult& result) {
    const Job* found = transaction.snapshot().jobs.find(id);
    if (found == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    Job job = *found;
    job.result = JsonText{to_json_text(result)};
    const std::string message =
        fmt::format("host {}: {} VMs moved, {} failed, {} cancelled, {} left", result.host, result.moved.size(),
                    result.failed.size(), result.cancelled.size(), result.left.size());
    transaction.put(std::move(job), {"host.evacuated", message});
    return {};
}

Result<Json> outcome_of(const EvacuationResult& result, bool cancelled) {
    if (cancelled)
        return fail(Code::cancelled, "the evacuation of {} was cancelled: {} VMs were moved, {} were not", result.host,
                    result.moved.size(), result.failed.size() + result.cancelled.size());
    if (result.failed.empty() && result.cancelled.empty()) return to_json(result);
    std::vector<std::string> reasons;
    for (const auto* list : {&result.failed, &result.cancelled})
        for (const auto& vm : *list) reasons.push_back(fmt::format("{}: {}", vm.name, vm.reason));
    return fail(Code::failed_precondition, "{} of {} VMs could not be moved from {}: {}", reasons.size(),
                reasons.size() + result.moved.size(), result.host, fmt::join(reasons, "; "));
}

/// In maintenance nothing new is placed on the host, but a migration that was under way may have arrived meanwhile.
bool somebody_came(const Run& run, const HostEvacuateParams& params, const EvacuationMemo& memo) {
    return params.maintenance && !run.cancel_requested() &&
           !vms_to_look_at(*run.snapshot(), run.row()->host, memo).empty();
}

}  // namespace

Task<Json> evacuate_host(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<HostEvacuateParams>(run->params(), ""));
    for (int batch = 1;; ++batch) {
        const std::string step = batch == 1 ? "queue" : fmt::format("queue {}", batch);
        if (!run->is_done(step))
            BALLAST_CO_CHECK(co_await run->done(step, {}, [id = run->id(), params](store::Transaction& transaction) {
                return queue_moves(transaction, id, params);
            }));
        BALLAST_CO_CHECK(co_await watch_moves(run));
        const auto row = run->row();
        BALLAST_CO_TRY(const auto memo, memo_of(*row));
        if (!somebody_came(*run, params, memo)) break;
    }
    const auto row = run->row();
    BALLAST_CO_TRY(const auto memo, memo_of(*row));
    const auto result = count(*run->snapshot(), row->host, memo).result;
    if (!run->is_done("result"))
        BALLAST_CO_CHECK(co_await run->done("result", {}, [id = run->id(), result](store::Transaction& transaction) {
            return keep_result(transaction, id, result);
        }));
    co_return outcome_of(result, run->is_done("cancel"));
}

}  // namespace ballast::jobs
