// What the absorber says after any changes is what an exhaustive search says of the numbers of that moment.
#include <algorithm>
#include <functional>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "scheduler/absorb.h"

namespace ballast::scheduler {
namespace {

using State = Absorber::HostState;
using Guest = Absorber::Guest;

int any(int low, int high) {
    return *rc::gen::inRange(low, high);
}

State any_state() {
    State state{.group = static_cast<std::uint64_t>(any(0, 2)),
                .takes = any(0, 5) != 0,
                .counts = any(0, 5) != 0,
                .free_memory = any(0, 9),
                .free_vcpus = any(0, 9),
                .guests = {},
                .squeezes = any(0, 3) == 0};
    const int guests = any(0, 4);
    for (int i = 0; i < guests; ++i) {
        const int memory = any(1, 6);
        state.guests.push_back({.memory = memory,
                                .vcpus = any(1, 4),
                                .apart = static_cast<std::uint64_t>(any(0, 4)),
                                .squeezed = any(0, 2) * any(0, memory)});
    }
    return state;
}

std::int64_t memory_of(const Guest& guest, const State& host) {
    return guest.memory - (host.squeezes ? guest.squeezed : 0);
}

/// Tries every place for every guest.
bool can_be_absorbed(const std::vector<State>& hosts, std::size_t failed) {
    std::vector<State> rest = hosts;
    std::function<bool(std::size_t)> place = [&](std::size_t next) {
        if (next == hosts[failed].guests.size()) return true;
        const Guest guest = hosts[failed].guests[next];
        for (std::size_t i = 0; i < rest.size(); ++i) {
            State& host = rest[i];
            const bool meets =
                guest.apart != 0 && std::ranges::find(host.guests, guest.apart, &Guest::apart) != host.guests.end();
            if (i == failed || host.group != hosts[failed].group || !host.takes || meets ||
                host.free_memory < memory_of(guest, host) || host.free_vcpus < guest.vcpus)
                continue;
            const State before = host;
            host.free_memory -= memory_of(guest, host);
            host.free_vcpus -= guest.vcpus;
            host.guests.push_back(guest);
            if (place(next + 1)) return true;
            host = before;
        }
        return false;
    };
    return place(0);
}

std::vector<State> with_guest(std::vector<State> hosts, std::size_t host, const Guest& guest) {
    hosts[host].guests.push_back(guest);
    hosts[host].free_memory -= memory_of(guest, hosts[host]);
    hosts[host].free_vcpus -= guest.vcpus;
    return hosts;
}

/// Whether some host's failure that had to be absorbed, and could be, no longer could with the guest there.
bool exposes(const std::vector<State>& hosts, std::size_t host, const Guest& guest) {
    const auto after = with_guest(hosts, host, guest);
    for (std::size_t i = 0; i < hosts.size(); ++i)
        if (hosts[i].counts && (i == host || can_be_absorbed(hosts, i)) && !can_be_absorbed(after, i)) return true;
    return false;
}

RC_GTEST_PROP(AbsorbProperty, AgreesWithTheExhaustiveSearchAfterEveryChange, ()) {
    const int count = any(1, 6);
    std::vector<State> hosts;
    Absorber absorber;
    for (int i = 0; i < count; ++i) {
        hosts.push_back(any_state());
        absorber.set(static_cast<Absorber::Index>(i), hosts.back());
    }
    const int steps = any(1, 30);
    for (int step = 0; step < steps; ++step) {
        const auto changed = static_cast<std::size_t>(any(0, count));
        hosts[changed] = any_state();
        absorber.set(static_cast<Absorber::Index>(changed), hosts[changed]);
        const auto asked = static_cast<std::size_t>(any(0, count));
        RC_ASSERT(absorber.absorbs(static_cast<Absorber::Index>(asked)) == can_be_absorbed(hosts, asked));
        const int memory = any(0, 5);
        const Guest guest{.memory = memory,
                          .vcpus = any(0, 3),
                          .apart = static_cast<std::uint64_t>(any(0, 4)),
                          .squeezed = any(0, memory + 1)};
        RC_ASSERT(absorber.exposed_by(static_cast<Absorber::Index>(asked), guest).has_value() ==
                  exposes(hosts, asked, guest));
    }
}

}  // namespace
}  // namespace ballast::scheduler
