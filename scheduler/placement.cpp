#include "scheduler/placement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <ranges>

#include "scheduler/choice.h"
#include "scheduler/fleet/residency.h"
#include "scheduler/host_view.h"
#include "scheduler/redundancy.h"
#include "scheduler/rules/catalog.h"
#include "scheduler/scorers/catalog.h"

namespace ballast::scheduler {
namespace {

/// A policy that is gone since the VM was made must not keep it from running: the cluster's own takes its place.
const Policy& policy_of(const PlacementRequest& request, const Policies& policies) {
    if (const auto named = policies.find(request.spec.placement.policy)) return **named;
    return *policies.find({}).value_or(&built_in_policies().front());
}

HostVerdict judge_host(const Candidate& candidate) {
    const HostView& view = candidate.view;
    HostVerdict verdict{
        .host = view.host->id, .name = view.host->name, .accepted = true, .score = 0, .terms = {}, .rules = {}};
    for (const RuleEntry& rule : rule_catalog()) {
        verdict.rules.push_back(rule.judge(candidate));
        verdict.accepted = verdict.accepted && verdict.rules.back().accepted;
    }
    if (!verdict.accepted) return verdict;
    verdict.terms = score_terms(candidate);
    verdict.score = score_of(candidate);
    return verdict;
}

std::optional<HostId> choose(const std::vector<HostVerdict>& hosts, std::uint64_t seed) {
    const HostVerdict* best = nullptr;
    const auto key = [&](const HostVerdict& verdict) {
        return Standing{rank(verdict.score), tie_break(seed, hash_of(verdict.host))};
    };
    for (const HostVerdict& verdict : hosts)
        if (verdict.accepted && (best == nullptr || key(verdict) > key(*best))) best = &verdict;
    return best != nullptr ? std::optional(best->host) : std::nullopt;
}

bool lacks_only_room(const HostVerdict& verdict) {
    return !verdict.accepted &&
           std::ranges::all_of(verdict.rules, [](const RuleVerdict& rule) { return rule.accepted || rule.about_room; });
}

std::string why_not(const HostVerdict& verdict) {
    std::vector<std::string> reasons;
    for (const RuleVerdict& rule : verdict.rules)
        if (!rule.accepted) reasons.push_back(fmt::format("{}: {}", rule.rule, rule.detail));
    return fmt::format("{} ({})", verdict.name, fmt::join(reasons, "; "));
}

/// The first hosts each with its reasons; of the rest, how many each rule refuses.
std::string why_not_all(const std::vector<HostVerdict>& hosts) {
    constexpr std::size_t most_named = 8;
    std::vector<std::string> reasons;
    for (const HostVerdict& verdict : hosts | std::views::take(most_named)) reasons.push_back(why_not(verdict));
    std::string text = fmt::format("{}", fmt::join(reasons, ", "));
    if (hosts.size() <= most_named) return text;
    std::map<std::string, int> refused;
    for (const HostVerdict& verdict : hosts | std::views::drop(most_named))
        for (const RuleVerdict& rule : verdict.rules)
            if (!rule.accepted) ++refused[rule.rule];
    std::vector<std::string> counts;
    for (const auto& [rule, count] : refused) counts.push_back(fmt::format("{} on {}", rule, count));
    return fmt::format("{}, and {} more ({}); `ballast vm explain` lists each", text, hosts.size() - most_named,
                       fmt::join(counts, ", "));
}

/// The host that is nearest to fitting: the fewest rules refuse it, and one of them knows a way out.
std::string nearest_way_out(const Decision& decision) {
    std::string best;
    std::ptrdiff_t fewest = 0;
    for (const HostVerdict& verdict : decision.hosts) {
        const auto refused = std::ranges::count(verdict.rules, false, &RuleVerdict::accepted);
        if (!best.empty() && refused >= fewest) continue;
        std::vector<std::string> changes;
        for (const RuleVerdict& rule : verdict.rules)
            if (!rule.accepted && !rule.fits_if.empty()) changes.push_back(rule.fits_if);
        if (changes.empty() || std::ssize(changes) != refused) continue;
        best = fmt::format("; it fits on {} if {}", verdict.name, fmt::join(changes, " and "));
        fewest = refused;
    }
    return best;
}

/// Whether several wishes of the VM leave no host together, however ready and empty the hosts are.
bool asks_the_impossible(const Decision& decision) {
    constexpr std::array<std::string_view, 8> wishes{"pinned_hosts",  "host_labels", "taints",      "devices",
                                                     "anti_affinity", "affinity",    "group_limit", "spread"};
    return decision.conflict && decision.conflict->rules.size() > 1 &&
           std::ranges::all_of(decision.conflict->rules, [&](const std::string& rule) {
               return std::ranges::find(wishes, rule) != wishes.end();
           });
}

std::optional<Redundancy> redundancy_of(const std::vector<HostView>& views, const Preferences& preferences) {
    if (!preferences.n_plus_one) return std::nullopt;
    Redundancy redundancy(*preferences.n_plus_one);
    for (const HostView& view : views) redundancy.set(view);
    return redundancy;
}

Result<void> gone(const HostId& host) {
    return fail(Code::not_found, "host {} is no longer in the inventory; place the VM again", host);
}

/// Explained only where it refuses: the guard runs in the store's transaction.
Result<void> guard(const Snapshot& snapshot, const PlacementRequest& request, const HostView& view,
                   const Surroundings& around) {
    const Candidate candidate{snapshot, request, view, around};
    if (fits(candidate)) return {};
    const HostVerdict verdict = judge_host(candidate);
    return fail(lacks_only_room(verdict) ? Code::resource_exhausted : Code::failed_precondition,
                "{} can no longer take the VM; place it again", why_not(verdict));
}

}  // namespace

Surroundings surroundings(const Snapshot& snapshot, const PlacementRequest& request, const Preferences& preferences) {
    Surroundings around = without_groups(request, preferences);
    around.groups = view_groups(snapshot, &request.spec, request.vm);
    return around;
}

Surroundings without_groups(const PlacementRequest& request, const Preferences& preferences) {
    return {.groups = {},
            .load = preferences.load.get(),
            .weights = Weights(policy_of(request, preferences.policies)),
            .memory = preferences.memory.get()};
}

bool fits(const Candidate& candidate) {
    return std::ranges::all_of(rule_catalog(), [&](const RuleEntry& rule) { return rule.fits(candidate); });
}

std::int64_t rank(double score) {
    return std::llround(score * 1e9);
}

std::uint64_t hash_of(const HostId& host) {
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    for (const char c : host.str()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    return hash;
}

Decision decide(const Snapshot& snapshot, const PlacementRequest& request, std::uint64_t seed,
                const Preferences& preferences) {
    Decision decision{.chosen = {},
                      .hosts = {},
                      .snapshot_seq = snapshot.seq,
                      .seed = seed,
                      .policy = policy_of(request, preferences.policies).name,
                      .conflict = {},
                      .nearest = {}};
    Surroundings around = surroundings(snapshot, request, preferences);
    const auto views = view_hosts(snapshot, request.vm);
    auto redundancy = redundancy_of(views, preferences);
    if (redundancy) around.redundancy = &*redundancy;
    for (const HostView& view : views)
        if (!request.only || *request.only == view.host->id)
            decision.hosts.push_back(judge_host({snapshot, request, view, around}));
    decision.chosen = choose(decision.hosts, seed);
    if (!decision.chosen) decision.conflict = find_conflict(snapshot, request, decision);
    return decision;
}

Decision explain(const Snapshot& snapshot, const PlacementRequest& request, std::uint64_t seed,
                 const Preferences& preferences) {
    Decision decision = decide(snapshot, request, seed, preferences);
    decision.nearest = find_nearest(snapshot, request, decision, preferences);
    return decision;
}

Error refusal(const Decision& decision, std::string_view vm_name) {
    if (decision.hosts.empty())
        return Error(
            Code::failed_precondition,
            fmt::format("no host can take {}: there is none to ask; add one with `ballast host add`", vm_name));
    const bool room = std::ranges::any_of(decision.hosts, lacks_only_room);
    const std::string conflict = asks_the_impossible(decision) ? "; " + decision.conflict->text : "";
    return Error(room ? Code::resource_exhausted : Code::failed_precondition,
                 fmt::format("no host can take {}: {}{}{}", vm_name, why_not_all(decision.hosts), conflict,
                             nearest_way_out(decision)));
}

Result<void> check_claim(const Snapshot& snapshot, const HostId& host, const PlacementRequest& request,
                         const Preferences& preferences) {
    const Host* row = snapshot.hosts.find(host);
    if (row == nullptr || row->state == HostState::removed) return gone(host);
    const Surroundings around{.groups = view_groups(snapshot, &request.spec, request.vm),
                              .load = preferences.load.get(),
                              .memory = preferences.memory.get()};
    return guard(snapshot, request, view_host(snapshot, host, request.vm), around);
}

Result<void> check_claim(const Snapshot& snapshot, const Basis& basis, const PlacementRequest& request) {
    const Host* row = snapshot.hosts.find(basis.host);
    if (row == nullptr || row->state == HostState::removed) return gone(basis.host);
    return guard(snapshot, request, view_host(snapshot, *row, request.vm, residents_now(snapshot, basis)),
                 {.groups = groups_now(snapshot, basis, request.spec, request.vm),
                  .load = basis.load.get(),
                  .memory = basis.memory.get()});
}

Claim make_claim(const Snapshot& snapshot, const HostId& host, const PlacementRequest& request, const JobId& job,
                 Timestamp now) {
    const Host* row = snapshot.hosts.find(host);
    return Claim{.id = ClaimId(job.str()),
                 .job = job,
                 .host = host,
                 .vm = request.vm,
                 .memory = row != nullptr ? memory_demand(request.spec, *row) : request.spec.memory,
                 .vcpus = request.spec.vcpus,
                 .anti_affinity = request.spec.anti_affinity,
                 .placement = request.spec.placement,
                 .created = now,
                 .name = {},
                 .note = {},
                 .expires = {}};
}

}  // namespace ballast::scheduler
