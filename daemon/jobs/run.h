#pragma once
// Run: one job being worked on. It keeps the journal (SAFETY.md 5): a step is committed as `intended` before its act
// begins and as `done` after it, and an act whose answer was lost is never repeated before the host was asked again. A
// handler written with `step` can therefore be started again from the top after a crash: steps that are done are passed
// over, a step that was only intended asks first.
//
// Thread rule: loop thread. Owned by shared_ptr; handlers hold a copy.

#include <functional>
#include <memory>
#include <string>

#include "core/job.h"
#include "core/json.h"
#include "daemon/jobs/services.h"
#include "daemon/jobs/signal.h"
#include "drivers/driver.h"

namespace ballast::jobs {

template <class T = void>
using Task = boost::asio::awaitable<Result<T>>;

/// The act of a step, and the question whether its effect is there already.
using Act = std::function<Task<>()>;
using Holds = std::function<Task<bool>()>;

/// Whether the error leaves open if the act happened (a lost answer, a host that went away).
[[nodiscard]] bool outcome_is_unknown(const Error& error);

class Run : public std::enable_shared_from_this<Run> {
  public:
    Run(Services services, std::shared_ptr<Signal> commits, const Job& job);

    [[nodiscard]] const Services& services() const { return services_; }
    [[nodiscard]] const JobId& id() const { return id_; }
    [[nodiscard]] const VmId& vm() const { return vm_; }
    [[nodiscard]] const std::string& params() const { return params_; }
    /// The row as it is in the store now.
    [[nodiscard]] std::shared_ptr<const Job> row() const;
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return services_.store->snapshot(); }
    [[nodiscard]] bool cancel_requested() const { return row()->cancel_requested; }

    /// Commits a change in the job's name.
    Task<> commit(store::Change change);
    /// The same, with memo (what recovery needs) and the intent of `step` in the same transaction. Crash point
    /// "<kind>.<step>.intended".
    Task<> intend(std::string step, std::string detail = {}, store::Change change = {});
    Task<> done(std::string step, std::string detail = {}, store::Change change = {});
    [[nodiscard]] bool is_done(std::string_view step) const;
    [[nodiscard]] bool is_intended(std::string_view step) const;

    /// intend, act, done; asks `holds` before an act that may have happened already. Errors: those of the act.
    Task<> step(std::string name, Act act, Holds holds);

    /// The host's connection, waited for while it is away, until the job is asked to stop. Errors: cancelled,
    /// not_found.
    Task<std::shared_ptr<drivers::HostDriver>> host(HostId host);
    /// Waits for a commit, at most `longest`.
    Task<> pause(Milliseconds longest);
    /// Waits this long.
    Task<> sleep(Milliseconds duration);

    void report(int percent, std::string text, const Json* data = nullptr);

  private:
    Task<> mark(std::string name, StepState state, std::string detail, store::Change change);

    Services services_;
    std::shared_ptr<Signal> commits_;
    JobId id_;
    std::string kind_;
    std::string actor_;
    VmId vm_;
    std::string params_;
};

using RunPtr = std::shared_ptr<Run>;

/// Puts `memo` into the job's row: call inside a change that the run commits.
Result<void> keep_memo(store::Transaction& transaction, const JobId& job, std::string memo);
/// The row to change, or not_found (it was removed meanwhile).
Result<Vm> vm_of(const store::Transaction& transaction, const VmId& vm);

}  // namespace ballast::jobs
