#include "scheduler/absorb.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace ballast::scheduler {
namespace {

/// Steps of the search with backtracking: bounds a check at well under a millisecond.
constexpr int most_steps = 4'000;
/// Hosts whose failure could not be absorbed that are tried again with one question.
constexpr std::size_t most_retries = 32;

bool has_apart(const std::vector<Absorber::Guest>& guests, std::uint64_t apart) {
    return std::ranges::find(guests, apart, &Absorber::Guest::apart) != guests.end();
}

std::int64_t memory_of(const Absorber::Guest& guest, const Absorber::HostState& host) {
    return host.squeezes ? guest.memory - guest.squeezed : guest.memory;
}

bool freed_room(const Absorber::HostState& before, const Absorber::HostState& after) {
    return after.takes &&
           (!before.takes || after.free_memory > before.free_memory || after.free_vcpus > before.free_vcpus ||
            (after.squeezes && !before.squeezes) || before.guests != after.guests);
}

}  // namespace

/// One attempt to place the guests of a host that failed on the others of its ring, largest first.
struct Absorber::Packing {
    const std::vector<Entry>& hosts;
    const Ring& ring;
    Index failed;
    const std::vector<Guest>& guests;
    std::optional<Index> changed = {};  ///< a host that would have one more guest
    Guest newcomer = {};
    std::vector<Index> targets = {};
    int steps = 0;

    [[nodiscard]] bool takes(Index target, const Guest& guest) const {
        const HostState& state = hosts[target].state;
        if (target == failed || !state.takes) return false;
        std::int64_t memory = state.free_memory;
        std::int64_t vcpus = state.free_vcpus;
        if (changed == target) {
            memory -= memory_of(newcomer, state);
            vcpus -= newcomer.vcpus;
        }
        if (memory_of(guest, state) > memory || guest.vcpus > vcpus) return false;
        if (guest.apart != 0 &&
            (has_apart(state.guests, guest.apart) || (changed == target && newcomer.apart == guest.apart)))
            return false;
        for (std::size_t i = 0; i < targets.size(); ++i) {
            if (targets[i] != target) continue;
            memory -= memory_of(guests[i], state);
            vcpus -= guests[i].vcpus;
            if (guest.apart != 0 && guests[i].apart == guest.apart) return false;
        }
        return memory_of(guest, state) <= memory && guest.vcpus <= vcpus;
    }

    [[nodiscard]] Index at(std::size_t step) const {
        return ring.members[(hosts[failed].position + step) % ring.members.size()];
    }

    bool first_fit() {
        for (const Guest& guest : guests) {
            std::size_t step = 1;
            while (step < ring.members.size() && !takes(at(step), guest)) ++step;
            if (step >= ring.members.size()) return false;
            targets.push_back(at(step));
        }
        return true;
    }

    /// The rest of the guests, each wherever it may go. False also when the steps are spent.
    bool search() {
        if (targets.size() == guests.size()) return true;
        const Guest& guest = guests[targets.size()];
        for (std::size_t step = 1; step < ring.members.size(); ++step) {
            if (++steps > most_steps) return false;
            if (!takes(at(step), guest)) continue;
            targets.push_back(at(step));
            if (search()) return true;
            targets.pop_back();
        }
        return false;
    }

    /// Whether each guest would find a place if it were alone: without that no search helps.
    [[nodiscard]] bool hopeless() {
        targets.clear();
        return std::ranges::any_of(guests, [&](const Guest& guest) {
            std::size_t step = 1;
            while (step < ring.members.size() && !takes(at(step), guest)) ++step;
            return step >= ring.members.size();
        });
    }

    bool pack() { return first_fit() || (!hopeless() && search()); }
};

void Absorber::join_ring(Index host, std::uint64_t group) {
    auto at = std::ranges::find(rings_, group, &Ring::group);
    if (at == rings_.end()) at = rings_.insert(rings_.end(), Ring{.group = group, .members = {}});
    hosts_[host].ring = static_cast<std::size_t>(at - rings_.begin());
    hosts_[host].position = at->members.size();
    at->members.push_back(host);
    ++at->freed;
}

void Absorber::leave_ring(Index host) {
    Ring& ring = rings_[hosts_[host].ring];
    ring.members.erase(ring.members.begin() + static_cast<std::ptrdiff_t>(hosts_[host].position));
    for (std::size_t i = 0; i < ring.members.size(); ++i) hosts_[ring.members[i]].position = i;
    for (const Index user : hosts_[host].users) {
        hosts_[user].known = false;
        mark(user);
    }
    hosts_[host].users.clear();
}

void Absorber::mark(Index host) {
    if (hosts_[host].pending) return;
    hosts_[host].pending = true;
    pending_.push_back(host);
}

void Absorber::set(Index host, HostState state) {
    std::ranges::sort(state.guests, std::ranges::greater{}, [](const Guest& guest) {
        return std::make_tuple(guest.memory, guest.vcpus, guest.apart, guest.squeezed);
    });
    const bool fresh = host >= hosts_.size();
    while (hosts_.size() <= host) {
        hosts_.emplace_back();
        join_ring(static_cast<Index>(hosts_.size() - 1), state.group);
    }
    Entry& entry = hosts_[host];
    if (!fresh && entry.state == state) return;
    if (rings_[entry.ring].group != state.group) {
        leave_ring(host);
        join_ring(host, state.group);
        entry.known = false;
    }
    mark(host);
    if (freed_room(entry.state, state)) ++rings_[entry.ring].freed;
    if (entry.state.guests != state.guests) entry.known = false;
    for (const Index user : entry.users) {
        hosts_[user].verify = true;
        mark(user);
    }
    entry.state = std::move(state);
}

bool Absorber::still_holds(const Entry& entry) const {
    if (entry.targets.size() != entry.state.guests.size()) return false;
    const Index failed = rings_[entry.ring].members[entry.position];
    Packing packing{hosts_, rings_[entry.ring], failed, entry.state.guests};
    for (std::size_t i = 0; i < entry.targets.size(); ++i) {
        if (!packing.takes(entry.targets[i], entry.state.guests[i])) return false;
        packing.targets.push_back(entry.targets[i]);
    }
    return true;
}

void Absorber::keep_witness(Index host, std::vector<Index> targets) {
    for (const Index target : targets) {
        auto& users = hosts_[target].users;
        if (std::ranges::find(users, host) == users.end()) users.push_back(host);
    }
    hosts_[host].targets = std::move(targets);
}

void Absorber::renew(Index host) {
    Entry& entry = hosts_[host];
    const Ring& ring = rings_[entry.ring];
    if (entry.known && entry.verify && entry.absorbed) entry.known = still_holds(entry);
    entry.verify = false;
    if (entry.known && (entry.absorbed || entry.tried == ring.freed)) return;
    Packing packing{hosts_, ring, host, entry.state.guests};
    entry.absorbed = packing.pack();
    entry.known = true;
    entry.tried = ring.freed;
    keep_witness(host, entry.absorbed ? std::move(packing.targets) : std::vector<Index>{});
    if (entry.absorbed || entry.listed) return;
    entry.listed = true;
    unabsorbed_.push_back(host);
}

void Absorber::refresh() {
    const auto pending = std::exchange(pending_, {});
    for (const Index host : pending) {
        hosts_[host].pending = false;
        renew(host);
    }
    const std::size_t retries = std::min(most_retries, unabsorbed_.size());
    for (std::size_t i = 0; i < retries && !unabsorbed_.empty(); ++i) {
        next_retry_ = next_retry_ < unabsorbed_.size() ? next_retry_ : 0;
        const Index host = unabsorbed_[next_retry_];
        renew(host);
        if (!hosts_[host].absorbed) {
            ++next_retry_;
            continue;
        }
        hosts_[host].listed = false;
        unabsorbed_.erase(unabsorbed_.begin() + static_cast<std::ptrdiff_t>(next_retry_));
    }
}

bool Absorber::absorbs(Index host) {
    renew(host);
    return hosts_[host].absorbed;
}

std::vector<Absorber::Index> Absorber::exposed() {
    std::vector<Index> found;
    for (Index host = 0; host < hosts_.size(); ++host)
        if (hosts_[host].state.counts && !absorbs(host)) found.push_back(host);
    return found;
}

/// Whether the witness of `failed` breaks by one more guest on `host`, and no other is found.
bool Absorber::exposes_other(Index failed, Index host, const Guest& guest) const {
    const Entry& entry = hosts_[failed];
    const HostState& target = hosts_[host].state;
    std::int64_t memory = memory_of(guest, target);
    std::int64_t vcpus = guest.vcpus;
    bool meets = false;
    for (std::size_t i = 0; i < entry.targets.size(); ++i) {
        if (entry.targets[i] != host) continue;
        memory += memory_of(entry.state.guests[i], target);
        vcpus += entry.state.guests[i].vcpus;
        meets = meets || (guest.apart != 0 && entry.state.guests[i].apart == guest.apart);
    }
    if (!meets && memory <= target.free_memory && vcpus <= target.free_vcpus) return false;
    Packing packing{hosts_, rings_[entry.ring], failed, entry.state.guests, host, guest};
    return !packing.pack();
}

std::optional<Absorber::Index> Absorber::exposed_by(Index host, const Guest& guest) {
    refresh();
    auto& users = hosts_[host].users;
    for (std::size_t i = 0; i < users.size();) {
        const Index failed = users[i];
        const Entry& entry = hosts_[failed];
        if (std::ranges::find(entry.targets, host) == entry.targets.end()) {  // it has stopped to use this host
            users.erase(users.begin() + static_cast<std::ptrdiff_t>(i));
            continue;
        }
        if (entry.state.counts && entry.absorbed && exposes_other(failed, host, guest)) return failed;
        ++i;
    }
    if (!hosts_[host].state.counts) return std::nullopt;
    std::vector<Guest> guests = hosts_[host].state.guests;
    guests.insert(std::ranges::upper_bound(guests, guest.memory, std::ranges::greater{}, &Guest::memory), guest);
    Packing packing{hosts_, rings_[hosts_[host].ring], host, guests};
    return packing.pack() ? std::nullopt : std::optional(host);
}

}  // namespace ballast::scheduler
