#include "scheduler/capacity.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "scheduler/fleet/fleet.h"

namespace ballast::scheduler {
namespace {

/// What stands in the way first: room, where nothing else does.
const RuleVerdict* limit_of(const HostVerdict& host) {
    const auto refused = std::ranges::find(host.rules, false, &RuleVerdict::accepted);
    return refused != host.rules.end() ? &*refused : nullptr;
}

/// Fills the cluster in thought.
class Filling {
  public:
    Filling(std::shared_ptr<const Snapshot> snapshot, PlacementRequest request, std::uint64_t seed,
            const Preferences& preferences)
        : fleet_(snapshot), filled_(*snapshot), request_(std::move(request)), seed_(seed), preferences_(preferences) {
        fleet_.prefer(preferences);
        const bool overcommitted =
            std::ranges::any_of(snapshot->hosts.rows(), [](const auto& host) { return overcommits(*host); });
        by_rows_ = overcommitted && may_be_squeezed(request_.spec);
    }

    /// One more VM, or false.
    bool add() {
        request_.vm = VmId(fmt::format("capacity-{}", count_ + 1));
        const auto host = fleet_.choose(request_, seed_);
        if (!host) return false;
        ++count_;
        ++by_host_[*host];
        by_rows_ ? put_row(*host) : put_claim(*host);
        if (!first_break_) look_for_break(*host);
        return true;
    }
    [[nodiscard]] std::int64_t count() const { return count_; }

    Capacity conclude(bool at_least) {
        request_.vm = VmId(fmt::format("capacity-{}", count_ + 1));
        Capacity capacity;
        capacity.more = count_;
        capacity.at_least = at_least;
        capacity.first_break = first_break_;
        capacity.snapshot_seq = filled_.seq;
        std::map<std::string, std::pair<std::int64_t, std::int64_t>> rules;  // hosts that took some, and all
        for (const HostVerdict& host : decide(filled_, request_, seed_, preferences_).hosts) {
            const auto took = by_host_.find(host.host);
            HostCapacity row;
            row.host = host.host;
            row.name = host.name;
            row.more = took != by_host_.end() ? took->second : 0;
            if (const RuleVerdict* limit = limit_of(host)) {
                row.limited_by = limit->rule;
                row.detail = limit->detail;
                row.fits_if = limit->fits_if;
                auto& [filled, all] = rules[limit->rule];
                filled += row.more > 0 ? 1 : 0;
                ++all;
            }
            capacity.hosts.push_back(std::move(row));
        }
        const auto most = std::ranges::max_element(rules, {}, [](const auto& rule) { return rule.second; });
        if (!at_least && most != rules.end()) capacity.limited_by = most->first;
        capacity.summary = in_words(capacity);
        return capacity;
    }

  private:
    void put_claim(const HostId& host) {
        const Claim claim = make_claim(filled_, host, request_, JobId(request_.vm.str()), {});
        filled_.claims.put(claim);
        fleet_.hold(claim);
    }

    /// A claim is whole: what a VM is promised that may be squeezed, only its row says.
    void put_row(const HostId& host) {
        Vm vm;
        vm.id = request_.vm;
        vm.name = request_.vm.str();
        vm.managed = true;
        vm.host = host;
        vm.state = VmState::creating;
        vm.spec = request_.spec;
        filled_.vms.put(std::move(vm));
        fleet_.follow(std::make_shared<const Snapshot>(filled_));
    }

    void look_for_break(const HostId& host) {
        PlacementRequest next = request_;
        next.vm = VmId(fmt::format("capacity-{}", count_ + 1));
        next.only = host;
        if (fleet_.choose(next, seed_)) return;
        const HostVerdict verdict = decide(filled_, next, seed_, preferences_).hosts.front();
        const RuleVerdict* limit = limit_of(verdict);
        if (limit == nullptr) return;
        first_break_ = FirstBreak{.after = count_, .host = verdict.name, .rule = limit->rule, .detail = limit->detail};
    }

    [[nodiscard]] static std::string in_words(const Capacity& capacity) {
        if (capacity.hosts.empty()) return "none: there is no host; add one with `ballast host add`";
        const std::string count = capacity.at_least    ? fmt::format("at least {} more fit", capacity.more)
                                  : capacity.more == 0 ? std::string("not one more fits")
                                                       : fmt::format("{} more fit", capacity.more);
        const std::string rule = capacity.limited_by.empty() ? "" : fmt::format("; {} breaks", capacity.limited_by);
        if (!capacity.first_break) return count + rule;
        return fmt::format("{}{}; {} is the first that can take no more, after {}: {} {}", count, rule,
                           capacity.first_break->host, capacity.first_break->after, capacity.first_break->rule,
                           capacity.first_break->detail);
    }

    Fleet fleet_;
    Snapshot filled_;
    PlacementRequest request_;
    std::uint64_t seed_;
    const Preferences& preferences_;
    std::int64_t count_ = 0;
    std::unordered_map<HostId, std::int64_t> by_host_;
    bool by_rows_ = false;
    std::optional<FirstBreak> first_break_;
};

}  // namespace

Result<Capacity> find_capacity(std::shared_ptr<const Snapshot> snapshot, PlacementRequest request, std::int64_t limit,
                               std::uint64_t seed, const Preferences& preferences) {
    if (limit < 1 || limit > most_capacity)
        return fail(Code::invalid_argument, "limit: {} is not between 1 and {}", limit, most_capacity);
    Filling filling(std::move(snapshot), std::move(request), seed, preferences);
    bool more = true;
    while (more && filling.count() < limit) more = filling.add();
    return filling.conclude(more);
}

}  // namespace ballast::scheduler
