#pragma once
// One host as one open HostDriver reaches it: whether a call arrives, when it is given up, which faults it meets.
// Internal to the simulated driver.

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "drivers/simulated/call.h"

namespace ballast::drivers::simulated {

class Connection {
  public:
    Connection(std::shared_ptr<World> world, std::shared_ptr<Session> session)
        : world_(std::move(world)), session_(std::move(session)) {}

    template <class T>
    using Done = std::function<void(Result<T>)>;
    template <class T>
    using Act = std::function<void(State&, const std::string& host, Done<T>)>;

    [[nodiscard]] const std::shared_ptr<World>& world() const { return world_; }
    [[nodiscard]] const std::shared_ptr<Session>& session() const { return session_; }

    /// A call that takes effect at once: `act(state, host)` gives its Result<T>.
    template <class T, class Sync>
    Task<T> call(Call kind, VmId vm, Sync act) {
        return call_async<T>(kind, std::move(vm),
                             [act = std::move(act)](State& state, const std::string& host, const Done<T>& done) {
                                 done(act(state, host));
                             });
    }

    /// A call whose act says itself when it is done.
    template <class T>
    Task<T> call_async(Call kind, VmId vm, Act<T> act) {
        return await_end<T>(world_, [session = session_, kind, vm = std::move(vm), act = std::move(act)](
                                        State& state, const std::shared_ptr<Pending<T>>& pending) {
            submit<T>(state, session, kind, vm, act, pending);
        });
    }

  private:
    /// `unavailable` when the call can't even be sent.
    static Result<void> check_sendable(State& state, const Session& session, const VmId& vm);
    /// The injected fault that this call meets, taken from the host's queue.
    static std::optional<Fault> take_fault(SimHost& host, Call kind);
    static void note_overdue(State& state, const std::shared_ptr<Session>& session, const VmId& vm);

    template <class T>
    static void submit(State& state, const std::shared_ptr<Session>& session, Call kind, const VmId& vm,
                       const Act<T>& act, const std::shared_ptr<Pending<T>>& pending) {
        if (const auto sendable = check_sendable(state, *session, vm); !sendable)
            return pending->complete(std::unexpected(sendable.error()));
        std::erase_if(session->pending, [](const auto& weak) { return weak.expired(); });
        session->pending.push_back(pending);
        SimHost& host = state.hosts.at(session->host);
        const auto perform = [&state, session, kind, act, pending] {
            meet<T>(state, session->host, kind, act, pending);
        };
        if (host.hung) {
            host.parked.push_back(perform);
            if (kind == Call::migrate) return;  // its own connection has no deadline
            state.time.after(session->target.call_timeout, [&state, session, vm, pending] {
                if (pending->is_over()) return;
                pending->complete(fail(Code::deadline_exceeded, "host '{}' has not answered within {}", session->host,
                                       to_string(session->target.call_timeout)));
                note_overdue(state, session, vm);
            });
        } else if (state.timing.call.count() > 0) {
            state.time.after(state.timing.call, perform);
        } else {
            perform();
        }
    }

    /// The call arrives at the host.
    template <class T>
    static void meet(State& state, const std::string& name, Call kind, const Act<T>& act,
                     const std::shared_ptr<Pending<T>>& pending) {
        SimHost& host = state.hosts.at(name);
        if (host.crashed) return pending->complete(fail(Code::unavailable, "host '{}' is down", name));
        const auto fault = take_fault(host, kind);
        if (!fault) return act(state, name, [pending](Result<T> result) { pending->complete(std::move(result)); });
        if (fault->when == When::no_answer) return act(state, name, [pending](const Result<T>&) {});
        if (fault->when == When::after_effect) act(state, name, [](const Result<T>&) {});
        pending->complete(std::unexpected(fault->error));
    }

    std::shared_ptr<World> world_;
    std::shared_ptr<Session> session_;
};

}  // namespace ballast::drivers::simulated
