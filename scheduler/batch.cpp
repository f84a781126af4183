#include "scheduler/batch.h"

#include <algorithm>
#include <numeric>

#include "scheduler/groups.h"

namespace ballast::scheduler {
namespace {

constexpr int most_attempts = 16;

bool keeps_together(const VmSpec& spec, const std::string& group) {
    return demand_of(spec.anti_affinity, spec.placement, group).at(AffinityKind::together, AffinityScope::host) > 0;
}

/// Who finds no host is asked first in the next attempt (squeaky wheel: Joslin and Clements, JAIR 10, 1999); the others
/// go by size. A group that keeps together on a host too small for it is kept off that host.
class Search {
  public:
    Search(const Snapshot& snapshot, const std::vector<BatchMember>& members, std::uint64_t seed,
           const Preferences& preferences)
        : snapshot_(snapshot), members_(members), seed_(seed), preferences_(preferences), order_(members.size()) {
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::ranges::sort(order_, std::ranges::greater{}, [&](std::size_t i) {
            const VmSpec& spec = members_[i].request.spec;
            return std::make_tuple(spec.memory, spec.vcpus, members_.size() - i);
        });
    }

    [[nodiscard]] BatchDecision run() {
        BatchDecision last;
        for (int attempt = 0; attempt < most_attempts; ++attempt) {
            last = try_once(seed_ + static_cast<std::uint64_t>(attempt));
            if (last.placed || !can_learn()) break;
        }
        return last;
    }

  private:
    [[nodiscard]] BatchDecision try_once(std::uint64_t seed) {
        Snapshot filling = snapshot_;
        std::vector<HostId> hosts(members_.size());
        for (const std::size_t i : order_) {
            const PlacementRequest request = request_of(i);
            Decision decision = decide(filling, request, seed, preferences_);
            if (!decision.chosen) {
                failed_ = i;
                placed_ = std::move(hosts);
                return refused(i, std::move(decision));
            }
            hosts[i] = *decision.chosen;
            filling.claims.put(make_claim(filling, hosts[i], request, JobId(fmt::format("batch-{}", i)), {}));
        }
        return accepted(hosts);
    }

    [[nodiscard]] PlacementRequest request_of(std::size_t i) const {
        PlacementRequest request = members_[i].request;
        for (const auto& [group, host] : kept_off_)
            if (is_member(request.spec, group)) request.exclude.push_back(host);
        return request;
    }

    /// Whether another attempt would be another one.
    [[nodiscard]] bool can_learn() {
        const bool keeps_off = keep_its_groups_off();
        const auto at = std::ranges::find(order_, failed_);
        if (at == order_.begin() && !keeps_off) return false;
        std::rotate(order_.begin(), at, at + 1);
        return true;
    }

    [[nodiscard]] bool keep_its_groups_off() {
        bool learnt = false;
        const VmSpec& spec = members_[failed_].request.spec;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            if (placed_[i].empty()) continue;
            for_each_group(spec, [&](const std::string& group) {
                const VmSpec& other = members_[i].request.spec;
                if (!is_member(other, group) || (!keeps_together(spec, group) && !keeps_together(other, group))) return;
                const std::pair entry{group, placed_[i]};
                if (std::ranges::find(kept_off_, entry) != kept_off_.end()) return;
                kept_off_.push_back(entry);
                learnt = true;
            });
        }
        return learnt;
    }

    [[nodiscard]] BatchDecision accepted(const std::vector<HostId>& hosts) const {
        BatchDecision decision;
        decision.placed = true;
        for (std::size_t i = 0; i < hosts.size(); ++i)
            decision.places.push_back({members_[i].name, hosts[i], host_name(snapshot_, hosts[i])});
        decision.text = fmt::format("all {} VMs find a host", members_.size());
        return decision;
    }

    [[nodiscard]] BatchDecision refused(std::size_t i, Decision why) const {
        BatchDecision decision;
        decision.failed = members_[i].name;
        decision.text = fmt::format("not all of the {} VMs fit at once, so none is placed: {}", members_.size(),
                                    refusal(why, decision.failed).message());
        decision.why = std::move(why);
        return decision;
    }

    const Snapshot& snapshot_;
    const std::vector<BatchMember>& members_;
    std::uint64_t seed_;
    const Preferences& preferences_;
    std::vector<std::size_t> order_;
    std::vector<std::pair<std::string, HostId>> kept_off_;
    std::size_t failed_ = 0;
    std::vector<HostId> placed_;
};

}  // namespace

BatchDecision plan_batch(const Snapshot& snapshot, const std::vector<BatchMember>& members, std::uint64_t seed,
                         const Preferences& preferences) {
    return Search(snapshot, members, seed, preferences).run();
}

}  // namespace ballast::scheduler
