#include "scheduler/balance/place.h"

#include <algorithm>

#include "scheduler/absorb.h"
#include "scheduler/balance/state.h"

namespace ballast::scheduler::balance {
namespace {

struct Offer {
    double score = 0;
    Index host = 0;
    friend auto operator<=>(const Offer&, const Offer&) = default;
};

/// The cluster as it is, each VM on its home.
Absorber absorber_of(const Problem& problem) {
    std::vector<Absorber::HostState> states;
    for (const HostRow& host : problem.hosts)
        states.push_back({.takes = host.counted,
                          .counts = host.counted,
                          .free_memory = host.memory,
                          .free_vcpus = host.vcpu_limit - host.vcpus,
                          .guests = {}});
    for (const VmRow& vm : problem.vms) {
        auto& home = states[static_cast<std::size_t>(vm.home)];
        home.free_memory -= vm.memory;
        home.free_vcpus -= vm.vcpus;
        home.guests.push_back({.memory = vm.memory, .vcpus = vm.vcpus});
    }
    Absorber absorber;
    for (std::size_t host = 0; host < states.size(); ++host)
        absorber.set(static_cast<Absorber::Index>(host), std::move(states[host]));
    return absorber;
}

/// The first offer, best first, that leaves every host's loss absorbable.
std::optional<Offer> first_safe(const Problem& problem, const VmRow& vm, std::vector<Offer> offers,
                                std::int64_t& exposed) {
    std::ranges::sort(offers);
    Absorber absorber = absorber_of(problem);
    const Absorber::Guest guest{.memory = vm.memory, .vcpus = vm.vcpus};
    for (const Offer& offer : offers) {
        if (!absorber.exposed_by(static_cast<Absorber::Index>(offer.host), guest)) return offer;
        ++exposed;
    }
    return std::nullopt;
}

}  // namespace

Placement place_vm(const Problem& problem, const VmRow& vm, bool n_plus_one) {
    // The VM waits on a host that is not there, so that placing it is a move like every other.
    Problem with = problem;
    HostRow nowhere;
    nowhere.counted = false;
    with.hosts.push_back(nowhere);
    with.vms.push_back(vm);
    with.vms.back().home = static_cast<Index>(problem.hosts.size());
    const auto index = static_cast<Index>(problem.vms.size());
    const State<metrics_max> state(with, homes(with));

    Placement found;
    found.score_before = state.score() - problem.stranded_price;
    std::vector<Offer> offers;
    for (std::size_t h = 0; h < problem.hosts.size(); ++h) {
        const auto host = static_cast<Index>(h);
        const auto step = state.shift(index, host);
        if (!problem.hosts[h].counted)
            ++found.offline;
        else if (!state.fits(step))
            ++(state.free_vcpus(host) < vm.vcpus ? found.no_vcpus : found.no_memory);
        else
            offers.push_back({state.score_after(step), host});
    }
    found.candidates = std::ssize(offers);
    std::optional<Offer> best;
    if (n_plus_one)
        best = first_safe(problem, vm, std::move(offers), found.exposed);
    else if (!offers.empty())
        best = *std::ranges::min_element(offers);
    if (!best) return found;
    found.host = best->host;
    found.score_after = best->score;
    return found;
}

}  // namespace ballast::scheduler::balance
