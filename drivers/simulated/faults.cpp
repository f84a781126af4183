#include "drivers/simulated/state.h"
#include "drivers/simulated/world.h"

namespace ballast::drivers::simulated {
namespace {

/// Calls that wait on the host's connections end now: nobody will answer them. What they asked for may still happen.
void end_pending(SimHost& host, const std::string& why) {
    for (const auto& weak : host.sessions) {
        const auto session = weak.lock();
        if (!session) continue;
        for (const auto& waiting : std::exchange(session->pending, {}))
            if (const auto pending = waiting.lock())
                pending->end(Error(Code::unavailable, fmt::format("host '{}': {}", host.model.name, why)));
    }
}

void disconnect(State& state, SimHost& host, const std::string& why) {
    host.reachable = false;
    state.set_link(host, LinkState::unreachable, why);
    end_pending(host, why);
}

void connect(State& state, SimHost& host) {
    host.reachable = true;
    for (const auto& weak : host.sessions)
        if (const auto session = weak.lock()) {
            session->overdue.clear();
            session->overdue_calls = 0;
        }
    state.set_link(host, LinkState::up, "connected");
}

void set_cut(World& world, const std::string& a, const std::string& b, Cut cut) {
    world.with([&](State& state) {
        state.link_between(a, b).cut = cut;
        state.link_changed(a, b);
    });
}

}  // namespace

void Faults::cut(const std::string& a, const std::string& b, Cut how) {
    set_cut(*world_, a, b, how);
}

void Faults::heal(const std::string& a, const std::string& b) {
    set_cut(*world_, a, b, Cut::none);
}

void Faults::make_unreachable(const std::string& host) {
    world_->with([&](State& state) { disconnect(state, state.hosts.at(host), "keepalive timeout"); });
}

void Faults::make_reachable(const std::string& host) {
    world_->with([&](State& state) { connect(state, state.hosts.at(host)); });
}

void Faults::hang(const std::string& host) {
    world_->with([&](State& state) { state.hosts.at(host).hung = true; });
}

void Faults::release(const std::string& host) {
    world_->with([&](State& state) {
        SimHost& hung = state.hosts.at(host);
        hung.hung = false;
        for (const auto& act : std::exchange(hung.parked, {})) act();
        if (hung.reachable) connect(state, hung);
    });
}

void Faults::crash(const std::string& host) {
    world_->with([&](State& state) {
        SimHost& dead = state.hosts.at(host);
        state.before_change(dead);
        dead.crashed = true;
        dead.hung = false;
        disconnect(state, dead, "connection reset");  // ends the waiting before what is waited for goes
        dead.parked.clear();
        std::vector<VmId> ids;
        for (const auto& [id, domain] : dead.domains) ids.push_back(id);
        for (const VmId& id : ids) state.end_qemu(host, id, "crashed", DomainState::shut_off);
    });
}

void Faults::revive(const std::string& host) {
    world_->with([&](State& state) {
        SimHost& back = state.hosts.at(host);
        if (!back.crashed) return;
        back.crashed = false;
        back.booted = back.cpu_settled = state.time.now();
        const bool exporter = back.memory.exporter;
        back.memory = HostMemory();
        back.memory.settled = state.time.now();
        back.memory.scanner = back.model.ksm;
        back.memory.exporter = exporter;
        back.busy_seconds = 0;
        connect(state, back);
    });
}

void Faults::kill_qemu(const std::string& host, const VmId& vm) {
    world_->with([&](State& state) { state.end_qemu(host, vm, "crashed", DomainState::shut_off); });
}

void Faults::fill_pool(const std::string& host, const std::string& pool) {
    world_->with([&](State& state) {
        SimStore& store = state.stores.at(state.hosts.at(host).pools.at(pool).model.store);
        store.foreign += store.available();
    });
}

void Faults::drain_pool(const std::string& host, const std::string& pool) {
    world_->with(
        [&](State& state) { state.stores.at(state.hosts.at(host).pools.at(pool).model.store).foreign = Bytes(0); });
}

void Faults::fail_next(const std::string& host, Call call, Error error, When when) {
    world_->with([&](State& state) { state.hosts.at(host).faults.push_back({call, std::move(error), when}); });
}

void Faults::drop_events(const std::string& host, bool drop) {
    world_->with([&](State& state) { state.hosts.at(host).drops_events = drop; });
}

void Faults::bind(const std::string& host, const VmId& vm, std::string by) {
    world_->with([&](State& state) {
        if (const auto found = state.domain(host, vm)) (*found)->bound_by.push_back(std::move(by));
    });
}

void Faults::set_autostart(const std::string& host, const VmId& vm, bool on) {
    world_->with([&](State& state) {
        if (const auto found = state.domain(host, vm)) (*found)->autostart = on;
    });
}

void Faults::set_guest(const VmId& vm, GuestFaults faults) {
    world_->with([&](State& state) {
        for (auto& [name, host] : state.hosts) {
            const auto found = host.domains.find(vm);
            if (found == host.domains.end()) continue;
            state.before_change(host);
            SimDomain& domain = found->second;
            if (!faults.silent)
                domain.said.reset();
            else if (is_active(domain.state) && !domain.said)
                domain.said = state.stats_of(host, domain);
        }
        state.guest_faults[vm] = faults;
    });
}

Result<void> Faults::set_balloon(const std::string& host, const VmId& vm, Bytes target) {
    return world_->with([&](State& state) { return state.set_balloon(host, vm, target); });
}

Result<void> Faults::set_ksm(const std::string& host, const KsmSettings& settings) {
    return world_->with([&](State& state) { return state.set_ksm(host, settings); });
}

void Faults::run_ksm(const std::string& host, bool runs) {
    world_->with([&](State& state) {
        SimHost& at = state.hosts.at(host);
        state.before_change(at);
        at.memory.scanner.runs = runs;
    });
}

void Faults::advise_ksm(const std::string& host, bool advised) {
    world_->with([&](State& state) {
        SimHost& at = state.hosts.at(host);
        state.before_change(at);
        at.memory.scanner.advised = advised;
    });
}

void Faults::set_memory(const std::string& host, Bytes memory) {
    world_->with([&](State& state) {
        SimHost& at = state.hosts.at(host);
        state.before_change(at);
        at.model.facts.memory = memory;
        state.plan_memory(at);
    });
}

void Faults::set_save_room(const std::string& host, Bytes room) {
    world_->with([&](State& state) { state.hosts.at(host).model.save_room = room; });
}

void Faults::silence_exporter(const std::string& host, bool silent) {
    world_->with([&](State& state) { state.hosts.at(host).memory.exporter = !silent; });
}

}  // namespace ballast::drivers::simulated
