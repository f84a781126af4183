#include "drivers/simulated/connection.h"

#include <algorithm>

namespace ballast::drivers::simulated {

Result<void> Connection::check_sendable(State& state, const Session& session, const VmId& vm) {
    if (session.closed) return fail(Code::unavailable, "the connection to host '{}' is closed", session.host);
    const SimHost* host = state.find_host(session.host);
    if (host == nullptr || !host->reachable) return fail(Code::unavailable, "host '{}' is not connected", session.host);
    if (!vm.empty() && session.overdue.contains(vm))
        return fail(Code::unavailable, "domain {} on host '{}' has a call that is overdue", vm, session.host);
    return {};
}

std::optional<Fault> Connection::take_fault(SimHost& host, Call kind) {
    const auto found = std::ranges::find(host.faults, kind, &Fault::call);
    if (found == host.faults.end()) return std::nullopt;
    Fault fault = std::move(*found);
    host.faults.erase(found);
    return fault;
}

void Connection::note_overdue(State& state, const std::shared_ptr<Session>& session, const VmId& vm) {
    if (!vm.empty()) session->overdue.insert(vm);
    session->overdue_calls += 1;
    state.set_session_link(session, LinkState::slow, "a call is overdue");
}

}  // namespace ballast::drivers::simulated
