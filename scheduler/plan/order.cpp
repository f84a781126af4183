#include "scheduler/plan/order.h"

#include <algorithm>
#include <set>

namespace ballast::scheduler::plan {
namespace {

constexpr std::size_t window = 256;     ///< moves among which the best is chosen next
constexpr std::size_t trims_max = 400;  ///< omissions that are tried
constexpr double noise = 1e-6;

/// Finds an order; every move fits when its turn comes.
class Orderer {
  public:
    Orderer(const Model& model, Ledger& ledger, const Assignment& target, const std::optional<Spare>& spare)
        : model_(model), target_(target), field_(model, ledger, model.homes()), replay_(model) {
        for (std::size_t i = 0; i < target.size(); ++i)
            if (target[i] != model.vms[i].home) waiting_.push_back(static_cast<Index>(i));
        detoured_.assign(target.size(), false);
        replay_.keep(spare);
    }

    Ordered run() {
        while (!waiting_.empty() && (make_best() || make_detour())) {
        }
        Ordered ordered{std::move(moves_), {}};
        for (const Index vm : waiting_) ordered.stuck.emplace_back(vm, target_[pos(vm)]);
        return ordered;
    }

  private:
    void make(Index vm, Index to, bool temporary) {
        Move move;
        move.vm = vm;
        move.from = field_.host_of(vm);
        move.to = to;
        move.temporary = temporary;
        move.forecast = field_.ledger().cost(vm, move.from, to);
        move.cost = cost_in_seconds(move.forecast, *model_.hosts[pos(move.from)].row, *model_.hosts[pos(to)].row);
        field_.make_shift(vm, to);
        static_cast<void>(replay_.make(vm, to));
        moves_.push_back(std::move(move));
    }

    /// The best of the first window in which the rules take any.
    bool make_best() {
        for (std::size_t start = 0; start < waiting_.size(); start += window) {
            std::vector<std::pair<double, std::size_t>> fitting;
            for (std::size_t i = start; i < std::min(waiting_.size(), start + window); ++i) {
                const auto step = field_.shift(waiting_[i], target_[pos(waiting_[i])]);
                if (field_.fits(step)) fitting.emplace_back(field_.score_after(step), i);
            }
            std::ranges::sort(fitting);
            for (const auto& [score, i] : fitting) {
                const Index vm = waiting_[i];
                if (!replay_.accepts(vm, target_[pos(vm)]) || !replay_.outlived_by_groups(vm, target_[pos(vm)]))
                    continue;
                make(vm, target_[pos(vm)], false);
                waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
                return true;
            }
        }
        return false;
    }

    /// All that wait, wait for each other: one of them makes room by going where most memory is free.
    bool make_detour() {
        const auto& most = model_.options.max_moves;
        if (most && moves_.size() + waiting_.size() >= static_cast<std::size_t>(*most)) return false;
        for (const Index vm : waiting_) {
            if (detoured_[pos(vm)]) continue;
            const auto place = roomiest(vm);
            if (!place) continue;
            detoured_[pos(vm)] = true;
            make(vm, *place, true);
            return true;
        }
        return false;
    }

    [[nodiscard]] std::optional<Index> roomiest(Index vm) const {
        std::optional<Index> best;
        const Index goal = target_[pos(vm)];
        for (const Index host : model_.hosts[pos(field_.host_of(vm))].reach) {
            if (host == goal || !std::ranges::binary_search(model_.hosts[pos(host)].reach, goal)) continue;
            if (best && field_.free_memory(host) <= field_.free_memory(*best)) continue;
            const auto step = field_.shift(vm, host);
            if (field_.fits(step) && field_.permits(step) && replay_.accepts(vm, host)) best = host;
        }
        return best;
    }

    const Model& model_;
    const Assignment& target_;
    Field field_;
    Replay replay_;
    std::vector<Index> waiting_;
    std::vector<bool> detoured_;  ///< once is enough: then the VM stays
    std::vector<Move> moves_;
};

/// Moves made one after the other, those passed over that do not fit without the ones that were left out.
struct Course {
    std::vector<Move> moves;
    double net = 0;  ///< worth less price, seconds
};

class Trimmer {
  public:
    Trimmer(const Model& model, Ledger& ledger) : model_(model), field_(model, ledger, model.homes()) {}

    Course run(const std::vector<Move>& moves, std::optional<std::size_t> without) {
        Course course;
        std::set<Index> stranded;  // VMs whose temporary place has become their last one
        for (std::size_t i = 0; i < moves.size(); ++i) {
            Move move = moves[i];
            if (i == without || move.from != field_.host_of(move.vm)) continue;
            if (!field_.fits(field_.shift(move.vm, move.to))) continue;
            make(move);
            course.net += move.worth - model_.options.margin * move.cost;
            if (move.temporary)
                stranded.insert(move.vm);
            else
                stranded.erase(move.vm);
            course.moves.push_back(std::move(move));
        }
        if (!stranded.empty()) course.net = -std::numeric_limits<double>::infinity();
        for (auto move = course.moves.rbegin(); move != course.moves.rend(); ++move)
            field_.make_shift(move->vm, move->from);
        return course;
    }

    /// Leaves out what does not pay in its place, unless others that do need the room it makes.
    std::vector<Move> keep_paying(const std::vector<Move>& moves) {
        Course best = run(moves, std::nullopt);
        std::set<Index> needed;
        for (std::size_t tries = 0; tries < trims_max; ++tries) {
            const auto suspect = std::find_if(best.moves.rbegin(), best.moves.rend(), [&](const Move& move) {
                return move.worth < model_.options.margin * move.cost && !needed.contains(move.vm);
            });
            if (suspect == best.moves.rend()) break;
            const Index vm = suspect->vm;
            const auto at = static_cast<std::size_t>(best.moves.rend() - suspect) - 1;
            Course other = run(best.moves, at);
            if (other.net >= best.net - noise)
                best = std::move(other);
            else
                needed.insert(vm);
        }
        return best.net >= -noise ? std::move(best.moves) : std::vector<Move>{};
    }

  private:
    void make(Move& move) {
        const double score = field_.score();
        const double contention = field_.contention(move.from) + field_.contention(move.to);
        field_.make_shift(move.vm, move.to);
        move.worth = score - field_.score();
        move.gain = contention - field_.contention(move.from) - field_.contention(move.to);
    }

    const Model& model_;
    Field field_;
};

/// The replay: whatever a rule refuses on the rows of its moment falls out.
std::vector<Move> prove(const Model& model, const std::vector<Move>& moves, const std::optional<Spare>& spare) {
    Replay replay(model);
    replay.keep(spare);
    std::vector<Move> proven;
    for (Move move : moves) {
        if (move.from != replay.host_of(move.vm) || !replay.accepts(move.vm, move.to)) continue;
        if (!replay.outlived_by_groups(move.vm, move.to)) continue;
        if (!move.forecast.possible) continue;
        move.proof = replay.make(move.vm, move.to);
        proven.push_back(std::move(move));
    }
    return proven;
}

/// A temporary place from which the VM does not get on is none.
std::vector<Move> drop_stranded(const std::vector<Move>& moves) {
    std::set<Index> goes_on;
    std::vector<Move> kept;
    for (auto move = moves.rbegin(); move != moves.rend(); ++move) {
        if (move->temporary && !goes_on.contains(move->vm)) continue;
        goes_on.insert(move->vm);
        kept.push_back(*move);
    }
    std::ranges::reverse(kept);
    return kept;
}

/// A VM that does not reach its target breaks its bundle, and with it the moves of the others.
std::vector<Move> whole_bundles(const std::vector<Move>& moves, const Assignment& target, const Assignment& homes,
                                const Bundles& bundles) {
    if (bundles.empty()) return moves;
    Assignment end = homes;
    for (const Move& move : moves) end[pos(move.vm)] = move.to;
    std::set<Index> broken;
    for (std::size_t vm = 0; vm < end.size(); ++vm)
        if (bundles[vm] >= 0 && end[vm] != target[vm]) broken.insert(bundles[vm]);
    std::vector<Move> kept;
    std::ranges::copy_if(moves, std::back_inserter(kept),
                         [&](const Move& move) { return !broken.contains(bundles[pos(move.vm)]); });
    return kept;
}

/// What each move waits for. Arrivals up to a move fit once the earliest departures have made room for them (where
/// memory is overcommitted, once all that come before it have); these, and what concerns the same VM or its group, must
/// have ended. Any moves that wait for nothing of each other may then run at once: the last one of those under way has
/// counted the others.
class Waits {
  public:
    Waits(const Model& model, std::vector<Move>& moves) : model_(model), moves_(moves) {
        for (const HostRow& host : model.hosts)
            rooms_.push_back({host.memory - host.kept, host.vcpus - host.vcpus_kept, {}});
        for (std::size_t i = 0; i < model.vms.size(); ++i) {
            const auto vm = static_cast<Index>(i);
            Room& room = rooms_[pos(model.vms[i].home)];
            room.memory -= model.memory_of(vm, model.vms[i].home);
            room.vcpus -= model.vms[i].vcpus;
        }
    }

    void find() {
        for (std::size_t i = 0; i < moves_.size(); ++i) {
            std::set<int> after;
            wait_for_kin(i, after);
            wait_for_room(i, after);
            moves_[i].after.assign(after.begin(), after.end());
            rooms_[pos(moves_[i].from)].leaving.push_back(static_cast<int>(i));
            last_of_vm_[moves_[i].vm] = static_cast<int>(i);
            for (const Index group : model_.vms[pos(moves_[i].vm)].groups) last_of_group_[group] = static_cast<int>(i);
        }
    }

  private:
    struct Room {
        std::int64_t memory = 0;  ///< free with all arrivals so far and the departures that were waited for
        std::int64_t vcpus = 0;
        std::vector<int> leaving;  ///< moves away from here that nobody has waited for yet
        std::vector<int> left{};   ///< those that an earlier arrival waits for
    };

    void wait_for_kin(std::size_t i, std::set<int>& after) const {
        const Index vm = moves_[i].vm;
        if (const auto at = last_of_vm_.find(vm); at != last_of_vm_.end()) after.insert(at->second);
        for (const Index group : model_.vms[pos(vm)].groups)
            if (const auto at = last_of_group_.find(group); at != last_of_group_.end()) after.insert(at->second);
    }

    void wait_for_room(std::size_t i, std::set<int>& after) {
        const Move& move = moves_[i];
        Room& room = rooms_[pos(move.to)];
        room.memory -= model_.memory_of(move.vm, move.to);
        room.vcpus -= model_.vms[pos(move.vm)].vcpus;
        const bool counted =
            overcommits(*model_.hosts[pos(move.to)].row);  // on whoever has left, as its risk was judged
        while ((counted || room.memory < 0 || room.vcpus < 0) && !room.leaving.empty()) {
            const int first = room.leaving.front();
            const Index gone = moves_[static_cast<std::size_t>(first)].vm;
            room.memory += model_.memory_of(gone, move.to);
            room.vcpus += model_.vms[pos(gone)].vcpus;
            room.left.push_back(first);
            room.leaving.erase(room.leaving.begin());
        }
        after.insert(room.left.begin(), room.left.end());
    }

    const Model& model_;
    std::vector<Move>& moves_;
    std::vector<Room> rooms_;
    std::map<Index, int> last_of_vm_;
    std::map<Index, int> last_of_group_;
};

}  // namespace

double Ordered::net(double margin) const {
    double sum = 0;
    for (const Move& move : moves) sum += move.worth - margin * move.cost;
    return sum;
}

Ordered order_moves(const Model& model, Ledger& ledger, const Assignment& target, const Bundles& bundles,
                    const std::optional<Spare>& spare) {
    auto [moves, stuck] = Orderer(model, ledger, target, spare).run();
    Trimmer trimmer(model, ledger);
    while (true) {
        auto kept = bundles.empty() ? trimmer.keep_paying(moves) : trimmer.run(moves, std::nullopt).moves;
        kept = drop_stranded(whole_bundles(prove(model, kept, spare), target, model.homes(), bundles));
        const bool settled = kept.size() == moves.size();  // moves only ever fall out
        moves = std::move(kept);
        if (settled) break;
    }
    Waits(model, moves).find();
    return {std::move(moves), std::move(stuck)};
}

}  // namespace ballast::scheduler::plan
