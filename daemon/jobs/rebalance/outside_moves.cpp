#include "daemon/jobs/rebalance/outside_moves.h"

#include <algorithm>
#include <iterator>

namespace ballast::jobs {
namespace {

constexpr std::size_t most_moves = 10'000;

bool is_within(Timestamp at, Seconds window, Timestamp now) {
    return at >= now - window;
}

}  // namespace

void OutsideMoves::begin(const Snapshot& snapshot) {
    snapshot.vms.for_each([this](const Vm& vm) {
        if (vm.host) where_.insert_or_assign(vm.id, *vm.host);
    });
}

/// By the owner before and after, not by the event's kind: one event may tell of several changes.
void OutsideMoves::note(const Event& event) {
    if (event.subject_kind != "vm") return;
    const auto host = owner_in(event.after.text);
    const VmId id(event.subject_id);
    const auto at = where_.find(id);
    const HostId from = at == where_.end() ? HostId() : at->second;
    if (!host) {
        if (at != where_.end()) where_.erase(at);
        return;
    }
    if (from == *host) return;
    where_.insert_or_assign(id, *host);
    if (event.origin != Origin::outside || from.empty()) return;
    moves_.push_back({.vm = id, .from = from, .to = *host, .at = event.time, .by_ballast = false});
    if (moves_.size() > most_moves) moves_.pop_front();
}

void OutsideMoves::add(std::vector<scheduler::RecentMove> moves) {
    moves_.insert(moves_.begin(), std::make_move_iterator(moves.begin()), std::make_move_iterator(moves.end()));
    while (moves_.size() > most_moves) moves_.pop_front();
}

std::vector<scheduler::RecentMove> OutsideMoves::recent(Timestamp now) const {
    std::vector<scheduler::RecentMove> recent;
    for (auto move : moves_) {
        if (!is_within(move.at, window_, now)) continue;
        move.at = std::min(move.at, now);
        recent.push_back(std::move(move));
    }
    return recent;
}

/// Without parsing the whole row, of every event: the row's own member stands before those of its definitions.
std::optional<HostId> owner_in(std::string_view vm) {
    constexpr std::string_view key = "\"host\":\"";
    constexpr std::string_view end_of_owner = "\"epoch\":";
    const auto at = vm.find(key);
    if (at == std::string_view::npos || at > vm.find(end_of_owner)) return std::nullopt;
    const auto begin = at + key.size();
    return HostId(std::string(vm.substr(begin, vm.find('"', begin) - begin)));
}

std::vector<scheduler::RecentMove> recent_moves(const Snapshot& snapshot, const OutsideMoves& outside, Seconds window,
                                                Timestamp now) {
    std::vector<scheduler::RecentMove> moves;
    snapshot.migrations.for_each([&](const Migration& row) {
        if (row.phase != MigrationPhase::succeeded || !row.finished || !is_within(*row.finished, window, now)) return;
        moves.push_back(
            {.vm = row.vm, .from = row.from, .to = row.to, .at = std::min(*row.finished, now), .by_ballast = true});
    });
    std::ranges::sort(moves,
                      [](const auto& a, const auto& b) { return std::pair(a.at, a.vm) < std::pair(b.at, b.vm); });
    for (auto& move : outside.recent(now)) moves.push_back(std::move(move));
    return moves;
}

}  // namespace ballast::jobs
