#include "daemon/jobs/engine.h"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/jobs/catalog.h"
#include "daemon/jobs/crash_point.h"
#include "daemon/jobs/placer.h"
#include "daemon/jobs/submit.h"

namespace ballast::jobs {
namespace {

constexpr int pauses_for_hosts = 30;
constexpr Milliseconds least_wait_for_hosts{2'000};

JobError describe(const Error& error) {
    JobError described{.code = std::string(name_of(error.code())), .message = error.message(), .causes = {}};
    for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause())
        described.causes.push_back(cause->message());
    return described;
}

/// The state that a VM has by its owner's definition once no job works on it.
VmState settled_state(const Vm& vm) {
    const auto own = std::ranges::find_if(
        vm.definitions, [&](const Definition& definition) { return vm.host && definition.host == *vm.host; });
    if (own == vm.definitions.end()) return vm.state;
    switch (own->state) {
        case DomainState::shut_off:
            return VmState::stopped;
        case DomainState::running:
            return VmState::running;
        case DomainState::paused:
        case DomainState::suspended:
            return VmState::paused;
        case DomainState::shutting_down:
            return VmState::stopping;
        case DomainState::crashed:
            return VmState::crashed;
        case DomainState::incoming:
        case DomainState::postcopy_source:
        case DomainState::postcopy_target:
        case DomainState::postcopy_failed:
            return VmState::migrating;
        case DomainState::unknown:
            return VmState::unknown;
    }
    std::unreachable();
}

void let_go_of_vm(store::Transaction& transaction, const Job& job) {
    const Vm* found = transaction.snapshot().vms.find(job.vm);
    if (found == nullptr || found->job != job.id) return;
    Vm vm = *found;
    vm.job.reset();
    const VmState settled = settled_state(vm);
    if (settled != vm.state) {
        vm.state_since = transaction.now();
        vm.state_reason = fmt::format("after {}", job.kind);
    }
    vm.state = settled;
    const std::string message = fmt::format("{} of {} has ended", job.kind, job.subject);
    transaction.put(std::move(vm), {"vm.job_ended", message});
}

Result<void> end_job(store::Transaction& transaction, const JobId& id, const Result<Json>& outcome) {
    const Job* found = transaction.snapshot().jobs.find(id);
    if (found == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    Job job = *found;
    if (job.state == JobState::queued) take_back_unbegun(transaction, job);
    job.finished = transaction.now();
    if (outcome)
        job.result = JsonText{dump(*outcome)};
    else
        job.error = describe(outcome.error());
    if (outcome)
        job.state = JobState::succeeded;
    else
        job.state = outcome.error().code() == Code::cancelled ? JobState::cancelled : JobState::failed;
    if (const Claim* claim = transaction.snapshot().claims.find(ClaimId(id.str())); claim != nullptr)
        transaction.erase(claim->id,
                          {"claim.released", fmt::format("{} of {} releases its claim", job.kind, job.subject)});
    let_go_of_vm(transaction, job);
    const std::string_view word = outcome ? "succeeded" : (job.state == JobState::cancelled ? "cancelled" : "failed");
    const std::string message =
        outcome ? fmt::format("{} of {} succeeded", job.kind, job.subject)
                : fmt::format("{} of {} {}: {}", job.kind, job.subject, word, outcome.error().chain());
    transaction.put(std::move(job), {fmt::format("job.{}", word), message});
    return {};
}

Result<void> begin_job(store::Transaction& transaction, const JobId& id) {
    const Job* found = transaction.snapshot().jobs.find(id);
    if (found == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    Job job = *found;
    if (job.state == JobState::queued) {
        job.state = JobState::running;
        job.started = transaction.now();
        const std::string message = fmt::format("{} of {} begins", job.kind, job.subject);
        transaction.put(job, {"job.started", message});
    }
    const Vm* vm = transaction.snapshot().vms.find(job.vm);
    if (vm == nullptr || vm->job == id) return {};
    Vm marked = *vm;
    marked.job = id;
    transaction.put(std::move(marked), {"vm.job_started", fmt::format("{} of {} begins", job.kind, job.subject)});
    return {};
}

}  // namespace

Engine::Engine(Services services)
    : services_(std::move(services)), commits_(std::make_shared<Signal>(services_.executor)) {
    if (!services_.placer)
        services_.placer =
            std::make_shared<Placer>(services_.store, services_.preferences, services_.settings.preferences_age);
}

void Engine::start() {
    subscription_ =
        services_.store->subscribe(services_.executor, [weak = weak_from_this()](const std::vector<Event>& events) {
            if (const auto self = weak.lock()) self->on_commit(events);
        });
    hosts_awaited_until_ = std::chrono::steady_clock::now() +
                           std::max(least_wait_for_hosts, pauses_for_hosts * services_.settings.retry_pause);
    services_.store->snapshot()->jobs.for_each([&](const Job& job) {
        if (!is_finished(job.state)) inherited_.insert(job.id);
    });
    dispatch();
}

void Engine::stop() {
    stopped_ = true;
    subscription_.reset();
}

void Engine::on_commit(const std::vector<Event>& events) {
    commits_->notify();
    const auto is_job = [](const Event& event) { return event.subject_kind == "job"; };
    if (std::ranges::any_of(events, is_job)) dispatch();
}

bool Engine::may_begin(const Job& job) const {
    if (takes_slot(job.kind) && slots_taken_ >= services_.settings.concurrent_jobs) return false;
    return job.vm.empty() || (!busy_vms_.contains(job.vm) && queue_.is_first_of_its_vm(job));
}

void Engine::dispatch() {
    if (stopped_) return;
    queue_.follow(services_.store->snapshot());
    JobQueue::Turn last;
    while (const auto next = queue_.next(last, slots_taken_ < services_.settings.concurrent_jobs)) {
        const auto& [turn, job] = *next;
        last = turn;
        if (is_called_off(*job))
            call_off(*job);
        else if (may_begin(*job))
            begin(*job);
    }
}

/// One that has not begun ends at once, however long it would have waited for its VM.
void Engine::call_off(const Job& job) {
    queue_.take(job.id);
    inherited_.erase(job.id);
    boost::asio::co_spawn(
        services_.executor,
        [self = shared_from_this(),
         run = std::make_shared<Run>(services_, commits_, job)]() -> boost::asio::awaitable<void> {
            const Result<void> ended = co_await run->commit([id = run->id()](store::Transaction& transaction) {
                return end_job(transaction, id, fail(Code::cancelled, "cancelled before it began"));
            });
            if (!ended)
                spdlog::error("job={} its cancelling could not be stored: {}", run->id().str(), ended.error().chain());
            self->queue_.give_back(run->id());
        },
        boost::asio::detached);
}

void Engine::begin(const Job& job) {
    queue_.take(job.id);
    slots_taken_ += takes_slot(job.kind) ? 1 : 0;
    if (!job.vm.empty()) busy_vms_[job.vm] = job.id;
    auto run = std::make_shared<Run>(services_, commits_, job);
    boost::asio::co_spawn(
        services_.executor, [self = shared_from_this(), run]() { return self->work(run); },
        [](const std::exception_ptr& error) {
            if (error) std::rethrow_exception(error);
        });
}

/// A job of a former daemon must not fail because the new one has not reached its hosts yet. Until the registry has
/// looked, a row says what the former daemon knew: so the connection is asked, not the row.
boost::asio::awaitable<void> Engine::await_hosts(RunPtr run) {
    const auto may_come = [this](const Host& host) {
        const bool hoped_for =
            host.state == HostState::connecting || host.state == HostState::up || host.state == HostState::slow;
        return hoped_for && !services_.hosts->reachable(host.id);
    };
    while (!run->cancel_requested() && std::chrono::steady_clock::now() < hosts_awaited_until_ &&
           run->snapshot()->hosts.find_if(may_come) != nullptr)
        static_cast<void>(co_await run->pause(services_.settings.retry_pause));
}

boost::asio::awaitable<void> Engine::work(RunPtr run) {
    if (inherited_.erase(run->id()) != 0) co_await await_hosts(run);
    const auto row = run->row();
    Result<Json> outcome = fail(Code::cancelled, "cancelled before it began");
    if (!(row->state == JobState::queued && row->cancel_requested)) {
        const Result<void> begun = co_await run->commit(
            [id = run->id()](store::Transaction& transaction) { return begin_job(transaction, id); });
        crash_point(row->kind + ".begin");
        const Handler* handler = find_handler(row->kind);
        if (!begun) {
            outcome = std::unexpected(begun.error());
        } else if (handler == nullptr) {
            outcome = fail(Code::unimplemented, "no job is of kind '{}'", row->kind);
        } else {
            outcome = co_await (*handler)(run);
        }
    }
    co_await finish(run, std::move(outcome));
}

/// While the store takes no writes (its disk is full), the end is kept and tried again: a job that was let go without
/// it would begin anew at once, and again, and ask its host each time.
Task<> Engine::store_end(RunPtr run, Result<Json> outcome) {
    constexpr Milliseconds pause{1'000};
    const store::Change end = [id = run->id(), outcome](store::Transaction& transaction) {
        return end_job(transaction, id, outcome);
    };
    Result<void> ended = co_await run->commit(end);
    for (bool told = false; !ended && !stopped_ && !services_.store->health().writable; told = true) {
        if (!told) spdlog::error("job={} its end waits for the store: {}", run->id().str(), ended.error().chain());
        BALLAST_CO_CHECK(co_await run->sleep(pause));
        ended = co_await run->commit(end);
    }
    co_return ended;
}

boost::asio::awaitable<void> Engine::finish(RunPtr run, Result<Json> outcome) {
    const auto row = run->row();
    if (!run->vm().empty() && run->snapshot()->vms.find(run->vm()) != nullptr) {
        const Result<void> observed = co_await services_.observer->observe(run->vm(), run->id());
        if (!observed)
            spdlog::debug("job={} vm={} could not be observed at its end: {}", run->id().str(), run->vm().str(),
                          observed.error().message());
    }
    const Result<void> ended = co_await store_end(run, outcome);
    if (!outcome)
        spdlog::error("job={} vm={} {} failed: {}", run->id().str(), run->vm().str(), row->kind,
                      outcome.error().chain());
    if (!ended)
        spdlog::error("job={} its end could not be stored, it is taken up again at the next start: {}", run->id().str(),
                      ended.error().chain());
    crash_point(row->kind + ".end");
    services_.progress->forget(run->id());
    queue_.give_back(run->id());
    slots_taken_ -= takes_slot(row->kind) ? 1 : 0;
    if (const auto busy = busy_vms_.find(run->vm()); busy != busy_vms_.end() && busy->second == run->id())
        busy_vms_.erase(busy);
    dispatch();
}

}  // namespace ballast::jobs
