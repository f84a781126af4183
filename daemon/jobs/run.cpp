#include "daemon/jobs/run.h"

#include <algorithm>
#include <ranges>

#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/crash_point.h"

namespace ballast::jobs {
namespace {

const JobStep* find_step(const Job& job, std::string_view name) {
    const auto at = std::ranges::find(job.steps, name, &JobStep::name);
    return at == job.steps.end() ? nullptr : &*at;
}

std::string_view suffix_of(StepState state) {
    switch (state) {
        case StepState::intended:
            return "intended";
        case StepState::done:
            return "done";
        case StepState::undone:
            return "undone";
        case StepState::failed:
            return "failed";
    }
    std::unreachable();
}

/// Writes the step's new state into the job's row.
Result<void> put_step(store::Transaction& transaction, const JobId& id, const std::string& name, StepState state,
                      const std::string& detail) {
    const Job* found = transaction.snapshot().jobs.find(id);
    if (found == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    Job job = *found;
    auto at = std::ranges::find(job.steps, name, &JobStep::name);
    if (at == job.steps.end()) {
        job.steps.push_back(
            {.name = name, .state = state, .intended_at = transaction.now(), .ended_at = {}, .detail = detail});
        at = std::prev(job.steps.end());
    }
    at->state = state;
    if (!detail.empty()) at->detail = detail;
    if (state != StepState::intended) at->ended_at = transaction.now();
    const std::string message = fmt::format("{} of {}: {} {}", job.kind, job.subject, name, suffix_of(state));
    transaction.put(std::move(job), {"job.step", message});
    return {};
}

}  // namespace

bool outcome_is_unknown(const Error& error) {
    return error.code() == Code::deadline_exceeded || error.code() == Code::unavailable;
}

Run::Run(Services services, std::shared_ptr<Signal> commits, const Job& job)
    : services_(std::move(services)),
      commits_(std::move(commits)),
      id_(job.id),
      kind_(job.kind),
      actor_(job.actor),
      vm_(job.vm),
      params_(job.params.text) {}

std::shared_ptr<const Job> Run::row() const {
    auto row = services_.store->snapshot()->jobs.find_ptr(id_);
    if (row) return row;
    static const auto gone = std::make_shared<const Job>();
    return gone;
}

Task<> Run::commit(store::Change change) {
    store::WriteContext context{.actor = actor_, .origin = Origin::ballast, .job = id_};
    BALLAST_CO_CHECK(co_await services_.store->write(std::move(context), std::move(change)));
    co_return Result<void>{};
}

Task<> Run::mark(std::string name, StepState state, std::string detail, store::Change change) {
    BALLAST_CO_CHECK(
        co_await commit([id = id_, name, state, detail, change](store::Transaction& transaction) -> Result<void> {
            if (change) BALLAST_CHECK(change(transaction));
            return put_step(transaction, id, name, state, detail);
        }));
    crash_point(fmt::format("{}.{}.{}", kind_, name, suffix_of(state)));
    co_return Result<void>{};
}

Task<> Run::intend(std::string step, std::string detail, store::Change change) {
    return mark(std::move(step), StepState::intended, std::move(detail), std::move(change));
}

Task<> Run::done(std::string step, std::string detail, store::Change change) {
    return mark(std::move(step), StepState::done, std::move(detail), std::move(change));
}

bool Run::is_done(std::string_view step) const {
    const auto job = row();
    const JobStep* found = find_step(*job, step);
    return found != nullptr && found->state == StepState::done;
}

bool Run::is_intended(std::string_view step) const {
    const auto job = row();
    return find_step(*job, step) != nullptr;
}

Task<> Run::step(std::string name, Act act, Holds holds) {
    if (is_done(name)) co_return Result<void>{};
    bool may_have_happened = is_intended(name);
    if (!may_have_happened) BALLAST_CO_CHECK(co_await intend(name));
    for (;;) {
        if (may_have_happened) {
            const Result<bool> there = co_await holds();
            if (there && *there) break;
            if (!there && !outcome_is_unknown(there.error())) co_return std::unexpected(there.error());
            if (!there) {
                BALLAST_CO_CHECK(co_await pause(services_.settings.retry_pause));
                continue;
            }
        }
        const Result<void> outcome = co_await act();
        if (outcome) break;
        if (!outcome_is_unknown(outcome.error())) co_return std::unexpected(outcome.error());
        report(0, fmt::format("{}: {}; asking again", name, outcome.error().message()));
        may_have_happened = true;
        BALLAST_CO_CHECK(co_await pause(services_.settings.retry_pause));
    }
    co_return co_await done(name);
}

Task<std::shared_ptr<drivers::HostDriver>> Run::host(HostId host) {
    for (;;) {
        auto driver = services_.hosts->reachable(host);
        if (driver) co_return *driver;
        if (driver.error().code() != Code::unavailable) co_return std::unexpected(driver.error());
        if (cancel_requested())
            co_return std::unexpected(
                Error(Code::cancelled, "cancelled while the host was away").caused_by(driver.error()));
        report(0, fmt::format("waits: {}", driver.error().message()));
        BALLAST_CO_CHECK(co_await pause(services_.settings.retry_pause));
    }
}

Task<> Run::pause(Milliseconds longest) {
    co_await commits_->wait(longest);
    co_return Result<void>{};
}

Task<> Run::sleep(Milliseconds duration) {
    boost::asio::steady_timer timer(services_.executor, duration);
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    co_return Result<void>{};
}

void Run::report(int percent, std::string text, const Json* data) {
    services_.progress->publish({.job = id_,
                                 .vm = vm_,
                                 .percent = percent,
                                 .text = std::move(text),
                                 .data = JsonText{data != nullptr ? dump(*data) : "{}"},
                                 .time = services_.clock->now()});
}

Result<void> keep_memo(store::Transaction& transaction, const JobId& id, std::string memo) {
    const Job* found = transaction.snapshot().jobs.find(id);
    if (found == nullptr) return fail(Code::internal, "job {} is not in the store", id);
    Job job = *found;
    job.memo = JsonText{std::move(memo)};
    const std::string message = fmt::format("{} of {} noted what recovery needs", job.kind, job.subject);
    transaction.put(std::move(job), {"job.noted", message});
    return {};
}

Result<Vm> vm_of(const store::Transaction& transaction, const VmId& vm) {
    const Vm* found = transaction.snapshot().vms.find(vm);
    if (found == nullptr) return fail(Code::not_found, "VM {} is gone from the inventory", vm);
    return *found;
}

}  // namespace ballast::jobs
