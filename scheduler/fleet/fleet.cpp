#include "scheduler/fleet/fleet.h"

#include <algorithm>

#include "scheduler/fleet/request_class.h"

namespace ballast::scheduler {
namespace {

/// Flavours that are asked for in turn; each costs 16 bytes per host.
constexpr std::size_t most_classes = 256;

}  // namespace

/// One question on its way: the best host so far.
struct Fleet::Search {
    const PlacementRequest& request;
    std::uint64_t seed = 0;
    Surroundings around = {};
    std::optional<Slot> best = {};
    Standing standing = {};

    [[nodiscard]] bool leaves_out(const HostId& host) const {
        return std::ranges::find(request.exclude, host) != request.exclude.end();
    }
};

bool Fleet::takes_part(Slot slot) const {
    const auto& host = residency_.places()[slot].host;
    return host != nullptr && host->state != HostState::removed;
}

void Fleet::follow(std::shared_ptr<const Snapshot> next) {
    take(residency_.follow(std::move(next)));
}

void Fleet::prefer(Preferences preferences) {
    preferences_ = std::move(preferences);
    classes_.clear();
    redundancy_.reset();
    if (!preferences_.n_plus_one) return;
    redundancy_.emplace(*preferences_.n_plus_one);
    for (Slot slot = 0; slot < views_.size(); ++slot) follow_redundancy(slot);
}

void Fleet::hold(Claim claim) {
    take(residency_.hold(std::move(claim)));
}

void Fleet::release(const ClaimId& id) {
    take(residency_.release(id));
}

void Fleet::take(const Residency::Changes& changes) {
    const auto places = residency_.places();
    for (std::size_t slot = views_.size(); slot < places.size(); ++slot) {
        views_.emplace_back();
        hashes_.push_back(hash_of(places[slot].id));
        changed_at_.push_back(0);
        counted_.emplace_back();
    }
    if (changes.everywhere) ++epoch_;
    for (const Slot slot : changes.slots) {
        const auto& place = places[slot];
        views_[slot] = takes_part(slot) ? view_host(*snapshot(), *place.host, VmId(), place.residents) : HostView{};
        count_again(slot);
        follow_redundancy(slot);
        changed_at_[slot] = journal_begin_ + journal_.size();
        journal_.push_back(slot);
    }
    // Whoever is further behind than this ranks every host again.
    if (journal_.size() > 4 * places.size() + 1024) {
        const std::size_t drop = journal_.size() / 2;
        journal_.erase(journal_.begin(), journal_.begin() + static_cast<std::ptrdiff_t>(drop));
        journal_begin_ += drop;
    }
}

void Fleet::count_again(Slot slot) {
    const auto& host = residency_.places()[slot].host;
    if (counted_[slot] == host) return;
    if (counted_[slot]) count_place(places_, *counted_[slot], -1);
    if (host) count_place(places_, *host, 1);
    counted_[slot] = host;
}

void Fleet::follow_redundancy(Slot slot) {
    if (!redundancy_) return;
    if (takes_part(slot))
        redundancy_->set(views_[slot]);
    else
        redundancy_->remove(residency_.places()[slot].id);
}

Fleet::Class& Fleet::class_of(const PlacementRequest& request) {
    const std::size_t hash = class_hash(request);
    const auto [first, last] = classes_.equal_range(hash);
    const auto known = std::find_if(first, last, [&](const auto& kind) { return alike(kind.second.request, request); });
    if (known != last) return known->second;
    make_room();
    Class fresh;
    fresh.request = relaxed(request);
    fresh.around = without_groups(fresh.request, preferences_);
    return classes_.emplace(hash, std::move(fresh))->second;
}

void Fleet::make_room() {
    if (classes_.size() < most_classes) return;
    classes_.erase(std::ranges::min_element(classes_, {}, [](const auto& kind) { return kind.second.used; }));
}

void Fleet::rank_slot(Class& kind, Slot slot) {
    Tournament::Key key = Tournament::out;
    if (takes_part(slot)) {
        const Candidate candidate{*snapshot(), kind.request, views_[slot], kind.around};
        if (fits(candidate)) key = rank(score_of(candidate));
    }
    kind.order.set(slot, key);
}

void Fleet::rank_changed(Class& kind) {
    const std::uint64_t end = journal_begin_ + journal_.size();
    kind.order.grow(views_.size());
    if (kind.epoch != epoch_ || kind.seen < journal_begin_) {
        for (Slot slot = 0; slot < views_.size(); ++slot) rank_slot(kind, slot);
    } else {
        for (std::uint64_t entry = kind.seen; entry < end; ++entry) {
            const Slot slot = journal_[entry - journal_begin_];
            if (changed_at_[slot] == entry) rank_slot(kind, slot);
        }
    }
    kind.epoch = epoch_;
    kind.seen = end;
}

void Fleet::consider(Search& search, Slot slot, const HostView& view) const {
    const Candidate candidate{*snapshot(), search.request, view, search.around};
    if (!fits(candidate)) return;
    const Standing standing{rank(score_of(candidate)), tie_break(search.seed, hashes_[slot])};
    if (search.best && standing <= search.standing) return;
    search.best = slot;
    search.standing = standing;
}

/// A host where the VM holds something itself, which does not count against it.
HostView Fleet::view_without(Slot slot, const VmId& vm) const {
    const auto& place = residency_.places()[slot];
    return view_host(*snapshot(), *place.host, vm, place.residents);
}

void Fleet::consider_own(Search& search, Slot slot) const {
    consider(search, slot, view_without(slot, search.request.vm));
}

/// By class where the request has one, best host first; else every host.
void Fleet::look_through(Search& search, const std::vector<Slot>& own) {
    const PlacementRequest& request = search.request;
    const auto is_own = [&](Slot slot) { return std::ranges::binary_search(own, slot); };
    const auto look = [&](Slot slot) {
        if (!takes_part(slot)) return;
        is_own(slot) ? consider_own(search, slot) : consider(search, slot, views_[slot]);
    };
    if (request.only) {
        if (const auto slot = residency_.find(*request.only)) look(*slot);
        return;
    }
    const bool has_past = load_of(preferences_.load.get(), request.vm) != nullptr;  // it is scored by that
    if (has_past || !has_class(*snapshot(), request)) {
        for (Slot slot = 0; slot < views_.size(); ++slot) look(slot);
        return;
    }
    Class& kind = class_of(request);
    kind.used = ++asked_;
    rank_changed(kind);
    for (const Slot slot : own) look(slot);
    kind.order.visit_best_first([&](std::size_t index, Tournament::Key bound) {
        const auto slot = static_cast<Slot>(index);
        const Standing at_best{bound, tie_break(search.seed, hashes_[slot])};
        const bool beaten = search.best && at_best <= search.standing;
        if (!beaten && !is_own(slot) && !search.leaves_out(residency_.places()[slot].id))
            consider(search, slot, views_[slot]);
        return search.best ? search.standing.rank : Tournament::out + 1;
    });
}

std::optional<HostId> Fleet::choose(const PlacementRequest& request, std::uint64_t seed) {
    Search search{.request = request, .seed = seed, .around = without_groups(request, preferences_)};
    search.around.groups =
        view_groups(*snapshot(), request.spec, request.vm, residency_.members_of(request.spec), places_);
    if (redundancy_) search.around.redundancy = &*redundancy_;
    const auto own = residency_.places_of(request.vm);
    for (const Slot slot : own)  // what the VM holds itself does not count, for N+1 neither
        if (redundancy_ && takes_part(slot)) redundancy_->set(view_without(slot, request.vm));
    look_through(search, own);
    for (const Slot slot : own) follow_redundancy(slot);
    return search.best ? std::optional(residency_.places()[*search.best].id) : std::nullopt;
}

Basis Fleet::basis_of(const HostId& host, const VmSpec& spec) const {
    Basis basis{.snapshot = snapshot(),
                .host = host,
                .residents = {},
                .groups = groups_of(spec),
                .members = residency_.members_of(spec),
                .places = places_,
                .load = preferences_.load,
                .memory = preferences_.memory};
    if (const auto slot = residency_.find(host)) basis.residents = residency_.places()[*slot].residents;
    const auto held = [&](const auto& claim) { return snapshot()->claims.find(claim->id) == nullptr; };
    std::erase_if(basis.residents.claims, held);
    std::erase_if(basis.members.claims, held);
    return basis;
}

}  // namespace ballast::scheduler
