// The walk over the model's states: breadth first, then backwards from the good ends.
#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "tests/unit/migration/ownership_model.h"

namespace ballast::migration::model {
namespace {

constexpr std::uint32_t none = ~std::uint32_t{0};

class Walk {
  public:
    explicit Walk(const Options& options) : options_(options) {}

    Exploration run() {
        World begin;
        begin.was_paused = options_.was_paused;
        if (begin.was_paused) begin.s = SourceQemu::paused;
        visit(begin, none, "start");
        for (std::uint32_t at = 0; at < worlds_.size() && result_.violation.empty(); ++at) expand(at);
        result_.states = worlds_.size();
        if (result_.violation.empty()) find_stuck();
        return std::move(result_);
    }

  private:
    void expand(std::uint32_t at) {
        for (const Edge& edge : steps_from(World(worlds_[at]), options_)) {
            const std::uint32_t to = visit(edge.to, at, edge.what);
            if (!edge.fault) back_.emplace_back(to, at);
            std::string violation = edge.violation.empty() ? check(edge.to) : edge.violation;
            if (violation.empty()) continue;
            // The state may be known by another path: this is the one that did wrong.
            result_.violation = fmt::format("{}:{}\n  then {}\n", violation, path_to(at), edge.what);
            return;
        }
    }

    /// Where libvirt itself resumes beside a running target, two copies are its doing; Ballast must only not add to it.
    std::string check(const World& world) {
        if (!options_.libvirt_resumes_on_lost_answer) return violation_of(world);
        if (!violation_of(world).empty()) ++result_.conflicts_seen;
        return {};
    }

    std::uint32_t visit(const World& world, std::uint32_t from, const char* what) {
        const auto [at, is_new] = index_.try_emplace(world.pack(), static_cast<std::uint32_t>(worlds_.size()));
        if (!is_new) return at->second;
        worlds_.push_back(world);
        came_.emplace_back(from, what);
        result_.ends_on_source += world.ended == Ended::on_source ? 1U : 0U;
        result_.ends_on_target += world.ended == Ended::on_target ? 1U : 0U;
        const bool as_it_was = world.ended == Ended::on_source   ? world.s == SourceQemu::paused
                               : world.ended == Ended::on_target ? world.t == TargetQemu::arrived
                                                                 : false;
        result_.ends_paused += as_it_was ? 1U : 0U;
        result_.restarts += world.ended == Ended::restarted ? 1U : 0U;
        return at->second;
    }

    [[nodiscard]] std::string path_to(std::uint32_t at) const {
        std::vector<const char*> steps;
        for (; came_[at].first != none; at = came_[at].first) steps.push_back(came_[at].second);
        std::ranges::reverse(steps);
        return fmt::format("\n  {}", fmt::join(steps, "\n  "));
    }

    /// Everything from which a good end can be reached without a further fault; what remains is stuck.
    void find_stuck() {
        std::ranges::sort(back_);
        std::vector<bool> ends(worlds_.size());
        std::vector<std::uint32_t> open;
        for (std::uint32_t at = 0; at < worlds_.size(); ++at)
            if (is_settled_end(worlds_[at])) ends[at] = true, open.push_back(at);
        while (!open.empty()) {
            const std::uint32_t at = open.back();
            open.pop_back();
            auto edge = std::ranges::lower_bound(back_, std::pair{at, std::uint32_t{0}});
            for (; edge != back_.end() && edge->first == at; ++edge)
                if (!ends[edge->second]) ends[edge->second] = true, open.push_back(edge->second);
        }
        for (std::uint32_t at = 0; at < worlds_.size(); ++at) {
            if (ends[at]) continue;
            if (result_.stuck++ == 0) result_.stuck_path = path_to(at);
        }
    }

    const Options& options_;
    Exploration result_;
    std::vector<World> worlds_;
    std::vector<std::pair<std::uint32_t, const char*>> came_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> back_;  ///< (to, from) of every step that is no fault
    std::unordered_map<std::uint64_t, std::uint32_t> index_;
};

}  // namespace

Exploration explore(const Options& options) {
    return Walk(options).run();
}

}  // namespace ballast::migration::model
