#include "migration/lanes.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace ballast::migration {
namespace {

constexpr std::size_t no_port = std::numeric_limits<std::size_t>::max();
constexpr double full = 1.0 + 1e-9;
constexpr double never = std::numeric_limits<double>::infinity();

/// One direction of one host's link. Times are in milliseconds from the plan's beginning.
struct Port {
    HostId host;
    bool out = true;
    int limit = 1;  ///< moves at a time
    int running = 0;
    double used = 0;            ///< of its speed, by those that run; above 1 they share
    double load = 0;            ///< time that it still needs for all of its moves, alone
    double bytes = 0;           ///< of the same
    double speed = 1;           ///< bytes per ms
    double free_at = never;     ///< when the first of those that run ends
    double kept_until = never;  ///< a move of higher priority waits for it until then
};

/// A move on its two ports.
struct Piece {
    const QueuedMove* queued = nullptr;  ///< nullptr: it ran before the plan began
    std::size_t out = no_port;
    std::size_t in = no_port;
    double share_out = 1;  ///< of the port's speed, when nothing hinders it
    double share_in = 1;
    double work = 0;  ///< time that it still needs, alone
    double end = 0;   ///< expected, as things are
};

class Planner {
  public:
    Planner(std::span<const RunningMove> running, std::span<const QueuedMove> queued, const LaneLimits& limits,
            const LinkSpeeds& speeds, Timestamp now)
        : limits_(limits), speeds_(speeds), now_(now) {
        for (const RunningMove& move : running) {
            Piece piece = piece_of(move.from, move.to, move.remaining, move.left);
            occupy(piece);
            running_.push_back(piece);
        }
        for (const QueuedMove& move : queued) {
            Piece piece = piece_of(move.from, move.to, move.bytes, move.duration);
            piece.queued = &move;
            waiting_.push_back(piece);
        }
        for (const Port& port : ports_) bound_ = std::max(bound_, port.bytes / port.speed);
    }

    /// What may start at this moment; it runs from now on.
    std::vector<const QueuedMove*> dispatch() {
        expect_ends();
        for (Port& port : ports_) port.kept_until = never;
        std::map<int, std::vector<Piece>, std::greater<>> by_priority;
        for (const Piece& piece : waiting_) by_priority[priority_of(piece)].push_back(piece);
        waiting_.clear();
        std::vector<const QueuedMove*> started;
        for (auto& [priority, pieces] : by_priority) {
            start_from(std::move(pieces), started);
            expect_ends();
            if (priority == by_priority.rbegin()->first) break;
            for (const Piece& piece : waiting_) keep_for(piece);
        }
        return started;
    }

    /// To the next end of a move; false: none runs.
    bool advance() {
        if (running_.empty()) return false;
        const double next = std::ranges::min_element(running_, {}, &Piece::end)->end;
        const double passed = std::max(next - time_, 0.0);
        for (Piece& piece : running_) work_on(piece, passed);
        time_ = next;
        constexpr double done = 1e-6;
        std::erase_if(running_, [this](const Piece& piece) {
            if (piece.work > done) return false;
            vacate(piece);
            return true;
        });
        return true;
    }

    [[nodiscard]] Timestamp when(double time) const {
        return now_ + Milliseconds(static_cast<std::int64_t>(std::llround(time)));
    }
    [[nodiscard]] Timestamp here() const { return when(time_); }
    [[nodiscard]] const std::vector<Piece>& running() const { return running_; }
    [[nodiscard]] const std::vector<Piece>& waiting() const { return waiting_; }
    [[nodiscard]] Milliseconds bound() const { return Milliseconds(static_cast<std::int64_t>(std::ceil(bound_))); }

    /// Why it may not start, in words.
    [[nodiscard]] std::string why_not(const Piece& piece) const {
        if (cluster_is_full()) return fmt::format("the cluster runs {} migrations, its limit", running_.size());
        for (const std::size_t at : {piece.out, piece.in}) {
            if (at == no_port || has_room(ports_[at], share_of(piece, at))) continue;
            return fmt::format("{} {} {} already", speeds_.name_of(ports_[at].host),
                               ports_[at].out ? "sends" : "receives", ports_[at].running);
        }
        return "a migration of higher priority waits for the same host";
    }

  private:
    std::size_t port(const HostId& host, bool out) {
        const auto [at, is_new] = index_.try_emplace(std::pair(host, out), ports_.size());
        if (!is_new) return at->second;
        Port made;
        made.host = host;
        made.out = out;
        made.limit = std::max(1, out ? limits_.per_host_out : limits_.per_host_in);
        made.speed = std::max(1.0, static_cast<double>(speeds_.of(host).count())) / 1000.0;
        ports_.push_back(std::move(made));
        return at->second;
    }

    Piece piece_of(const HostId& from, const HostId& to, Bytes bytes, Milliseconds duration) {
        Piece piece;
        piece.out = port(from, true);
        if (!to.empty()) piece.in = port(to, false);
        piece.work = std::max(0.0, static_cast<double>(duration.count()));
        const double out_speed = ports_[piece.out].speed;
        const double in_speed = piece.in == no_port ? out_speed : ports_[piece.in].speed;
        piece.share_out = std::min(out_speed, in_speed) / out_speed;
        piece.share_in = std::min(out_speed, in_speed) / in_speed;
        for (const std::size_t at : {piece.out, piece.in}) {
            if (at == no_port) continue;
            ports_[at].load += piece.work * share_of(piece, at);
            ports_[at].bytes += std::max(0.0, static_cast<double>(bytes.count()));
        }
        return piece;
    }

    [[nodiscard]] static double share_of(const Piece& piece, std::size_t at) {
        return at == piece.out ? piece.share_out : piece.share_in;
    }

    void occupy(const Piece& piece) {
        for (const std::size_t at : {piece.out, piece.in}) {
            if (at == no_port) continue;
            ++ports_[at].running;
            ports_[at].used += share_of(piece, at);
        }
    }
    void vacate(const Piece& piece) {
        for (const std::size_t at : {piece.out, piece.in}) {
            if (at == no_port) continue;
            --ports_[at].running;
            ports_[at].used = ports_[at].running == 0 ? 0 : ports_[at].used - share_of(piece, at);
        }
    }

    /// Moves on a crowded link all slow down alike.
    [[nodiscard]] double pace(const Piece& piece) const {
        double crowd = 1;
        for (const std::size_t at : {piece.out, piece.in})
            if (at != no_port) crowd = std::max(crowd, ports_[at].used);
        return 1 / crowd;
    }

    void work_on(Piece& piece, double passed) {
        const double done = std::min(piece.work, passed * pace(piece));
        piece.work -= done;
        for (const std::size_t at : {piece.out, piece.in})
            if (at != no_port) ports_[at].load -= done * share_of(piece, at);
    }

    void expect_ends() {
        for (Port& port : ports_) port.free_at = never;
        for (Piece& piece : running_) {
            piece.end = time_ + piece.work / pace(piece);
            for (const std::size_t at : {piece.out, piece.in})
                if (at != no_port) ports_[at].free_at = std::min(ports_[at].free_at, piece.end);
        }
    }

    [[nodiscard]] int priority_of(const Piece& piece) const {
        const auto waited = when(time_) - piece.queued->asked;
        const auto patience = std::max(limits_.patience, Milliseconds{1});
        return piece.queued->priority + static_cast<int>(std::max<std::int64_t>(0, waited / patience));
    }

    /// How near it is to deciding when all is done: the greater of its ports' loads, then the other. Only where both
    /// are loaded does every bit count; elsewhere coarse steps leave the choice to the shorter move.
    [[nodiscard]] std::pair<double, double> weight(const Piece& piece, double top) const {
        const double a = ports_[piece.out].load;
        const double b = piece.in == no_port ? 0 : ports_[piece.in].load;
        const double lesser = std::min(a, b);
        if (lesser * 2 >= top && lesser > piece.work * full) return {std::max(a, b), lesser};
        constexpr double steps = 20;
        return {std::floor(std::max(a, b) / top * steps) * top / steps, 0};
    }

    /// Moves of one priority: those whose lanes have room, in their order, as long as that lasts.
    void start_from(std::vector<Piece> pieces, std::vector<const QueuedMove*>& started) {
        const auto blocked = std::ranges::partition(pieces, [this](const Piece& piece) { return may_start(piece); });
        waiting_.insert(waiting_.end(), blocked.begin(), blocked.end());
        pieces.erase(blocked.begin(), blocked.end());
        for (const Piece& piece : in_order(std::move(pieces))) {
            if (!may_start(piece)) {
                waiting_.push_back(piece);
                continue;
            }
            started.push_back(piece.queued);
            occupy(piece);
            running_.push_back(piece);
        }
    }

    [[nodiscard]] std::vector<Piece> in_order(std::vector<Piece> pieces) const {
        double top = 1;
        for (const Port& port : ports_) top = std::max(top, port.load);
        std::vector<std::pair<std::pair<double, double>, Piece>> weighed;
        weighed.reserve(pieces.size());
        for (const Piece& piece : pieces) weighed.emplace_back(weight(piece, top), piece);
        std::ranges::sort(weighed, [](const auto& a, const auto& b) {
            const QueuedMove& m = *a.second.queued;
            const QueuedMove& n = *b.second.queued;
            if (m.deadline.has_value() != n.deadline.has_value()) return m.deadline.has_value();
            if (m.deadline != n.deadline) return *m.deadline < *n.deadline;
            if (a.first != b.first) return a.first > b.first;
            return std::tie(m.duration, m.asked, m.id) < std::tie(n.duration, n.asked, n.id);
        });
        std::ranges::transform(weighed, pieces.begin(), [](const auto& both) { return both.second; });
        return pieces;
    }

    [[nodiscard]] bool cluster_is_full() const {
        return limits_.cluster > 0 && running_.size() >= static_cast<std::size_t>(limits_.cluster);
    }
    [[nodiscard]] bool has_room(const Port& port, double share) const {
        if (port.running >= port.limit) return false;
        return port.running < std::max(1, limits_.per_link) || port.used + share <= full;
    }

    [[nodiscard]] bool may_start(const Piece& piece) const {
        if (cluster_is_full()) return false;
        for (const std::size_t at : {piece.out, piece.in}) {
            if (at == no_port) continue;
            if (!has_room(ports_[at], share_of(piece, at))) return false;
            if (time_ + piece.work > ports_[at].kept_until) return false;
        }
        return true;
    }

    /// One of its lanes is free and the other is not yet: those of lower priority must be done by then.
    void keep_for(const Piece& piece) {
        double until = 0;
        for (const std::size_t at : {piece.out, piece.in})
            if (at != no_port && !has_room(ports_[at], share_of(piece, at)))
                until = std::max(until, ports_[at].free_at);
        for (const std::size_t at : {piece.out, piece.in})
            if (at != no_port && has_room(ports_[at], share_of(piece, at)))
                ports_[at].kept_until = std::min(ports_[at].kept_until, until);
    }

    const LaneLimits& limits_;
    const LinkSpeeds& speeds_;
    Timestamp now_;
    double time_ = 0;
    double bound_ = 0;
    std::vector<Port> ports_;
    std::map<std::pair<HostId, bool>, std::size_t> index_;
    std::vector<Piece> running_;
    std::vector<Piece> waiting_;
};

}  // namespace

BytesPerSecond LinkSpeeds::of(const HostId& host) const {
    const auto found = hosts.find(host);
    return found == hosts.end() ? fallback : found->second;
}

std::string LinkSpeeds::name_of(const HostId& host) const {
    const auto at = names.find(host);
    return at == names.end() ? host.str() : at->second;
}

LanePlan plan_lanes(std::span<const RunningMove> running, std::span<const QueuedMove> queued, const LaneLimits& limits,
                    const LinkSpeeds& speeds, Timestamp now) {
    Planner planner(running, queued, limits, speeds, now);
    LanePlan plan;
    plan.bound = planner.bound();
    plan.done = now;
    std::map<const QueuedMove*, MoveEta> etas;
    for (bool first = true;; first = false) {
        for (const QueuedMove* move : planner.dispatch()) {
            if (first) plan.start.push_back(move->id);
            etas[move].id = move->id;
            etas[move].start = planner.here();
            etas[move].now = first;
        }
        if (first)
            for (const auto& piece : planner.waiting()) etas[piece.queued].waits = planner.why_not(piece);
        const auto before = planner.running();
        if (!planner.advance()) break;
        for (const auto& piece : before) {
            if (piece.queued != nullptr) etas[piece.queued].end = planner.when(piece.end);
            plan.done = std::max(plan.done, planner.here());
        }
    }
    for (const QueuedMove& move : queued) {
        MoveEta eta = etas[&move];
        eta.late = move.deadline && eta.end > *move.deadline;
        plan.queue.push_back(std::move(eta));
    }
    std::ranges::sort(plan.queue, [](const MoveEta& a, const MoveEta& b) {
        return std::tie(a.start, a.id) < std::tie(b.start, b.id);
    });
    return plan;
}

std::vector<JobId> startable(std::span<const RunningMove> running, std::span<const QueuedMove> queued,
                             const LaneLimits& limits, const LinkSpeeds& speeds, Timestamp now) {
    Planner planner(running, queued, limits, speeds, now);
    std::vector<JobId> ids;
    for (const QueuedMove* move : planner.dispatch()) ids.push_back(move->id);
    return ids;
}

}  // namespace ballast::migration
