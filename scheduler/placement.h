#pragma once
// Placement: on which host a VM is to run. Decides by the rules of rules/catalog.cpp (each host accepted, or refused
// with the rule and its numbers) and by a score that spreads load; ties are broken by the seed. Never acts, never
// claims: the caller persists the claim, and check_claim() is asked again inside that transaction, on the rows of that
// moment, so that two creates at once never get the same room. Pure: same snapshot, request and seed, same decision.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/snapshot.h"
#include "scheduler/memory_admission.h"
#include "scheduler/plan/load.h"
#include "scheduler/policy.h"
#include "scheduler/ways_out.h"

namespace ballast::scheduler {

struct Basis;

struct PlacementRequest {
    VmSpec spec;                  ///< pools filled in: an empty pool name is not checked
    VmId vm;                      ///< what it holds already (claims, its running copy) does not count against it
    std::optional<HostId> only;   ///< the operator's --host
    std::vector<HostId> exclude;  ///< hosts that were tried and failed
    bool for_migration = false;
    std::optional<HostId> from;  ///< where it runs now; only with for_migration
    bool copy_disks = false;     ///< disks that are written to go along with the move: they need a pool there, no more
    friend bool operator==(const PlacementRequest&, const PlacementRequest&) = default;
};
BOOST_DESCRIBE_STRUCT(PlacementRequest, (), (spec, vm, only, exclude, for_migration, from, copy_disks))

/// What one rule says of one host.
struct RuleVerdict {
    std::string rule;
    bool accepted = true;
    bool about_room = false;  ///< a refusal that other VMs' leaving would end: resource_exhausted
    std::string detail;       ///< the numbers, also when accepted
    std::string fits_if;      ///< the smallest change that would turn a refusal; empty where none is known
    friend bool operator==(const RuleVerdict&, const RuleVerdict&) = default;
};
BOOST_DESCRIBE_STRUCT(RuleVerdict, (), (rule, accepted, about_room, detail, fits_if))

struct ScoreTerm {
    std::string name;
    double value = 0;   ///< 0 (bad) to 1 (good)
    double weight = 1;  ///< its share of the sum
    friend bool operator==(const ScoreTerm&, const ScoreTerm&) = default;
};
BOOST_DESCRIBE_STRUCT(ScoreTerm, (), (name, value, weight))

struct HostVerdict {
    HostId host;
    std::string name;
    bool accepted = false;
    double score = 0;  ///< higher is better; 0 where refused
    std::vector<ScoreTerm> terms;
    std::vector<RuleVerdict> rules;  ///< every rule, in catalogue order
    friend bool operator==(const HostVerdict&, const HostVerdict&) = default;
};
BOOST_DESCRIBE_STRUCT(HostVerdict, (), (host, name, accepted, score, terms, rules))

/// What is wanted of N+1 (redundancy.h). must: a rule. should: hosts are better where it holds.
struct NPlusOne {
    Strength strength = Strength::must;
    std::string group_label = {};  ///< hosts absorb each other within one value of this label; empty: all of them
    friend bool operator==(const NPlusOne&, const NPlusOne&) = default;
};

/// How hosts that may take a VM are compared.
struct Preferences {
    Policies policies;
    std::shared_ptr<const ClusterLoad> load = {};        ///< what VMs use; null: not known
    std::optional<NPlusOne> n_plus_one = {};             ///< none: no host's failure is thought of
    std::shared_ptr<const MemoryAdmission> memory = {};  ///< asked where memory is overcommitted; null: nobody knows
};

struct Decision {
    std::optional<HostId> chosen;
    std::vector<HostVerdict> hosts;  ///< by name
    std::uint64_t snapshot_seq = 0;
    std::uint64_t seed = 0;
    std::string policy;                  ///< by which they were compared
    std::optional<Conflict> conflict;    ///< where nothing was chosen: the fewest rules that leave no host
    std::optional<NearestHost> nearest;  ///< the refused host that needs the smallest change, see explain()
    friend bool operator==(const Decision&, const Decision&) = default;
};
BOOST_DESCRIBE_STRUCT(Decision, (), (chosen, hosts, snapshot_seq, seed, policy, conflict, nearest))

[[nodiscard]] Decision decide(const Snapshot& snapshot, const PlacementRequest& request, std::uint64_t seed,
                              const Preferences& preferences = {});

/// The same with the smallest change that would make the best refused host fit, also where another one was chosen. That
/// costs more than the decision.
[[nodiscard]] Decision explain(const Snapshot& snapshot, const PlacementRequest& request, std::uint64_t seed,
                               const Preferences& preferences = {});

/// Why nothing was chosen: every host with each rule that said no and its numbers. resource_exhausted where a host
/// lacks nothing but room, else failed_precondition.
[[nodiscard]] Error refusal(const Decision& decision, std::string_view vm_name);

/// The guard: whether this one host takes the VM on the rows of this snapshot, by the same rules. Errors:
/// resource_exhausted, failed_precondition, not_found (the host is gone). Of the preferences what is known of VMs
/// counts
/// (`load`, `memory`): give those of the decision, or it may be refused by cruder figures.
[[nodiscard]] Result<void> check_claim(const Snapshot& snapshot, const HostId& host, const PlacementRequest& request,
                                       const Preferences& preferences = {});

/// The same at the price of what has changed since the decision, however many VMs there are (fleet/fleet.h).
[[nodiscard]] Result<void> check_claim(const Snapshot& snapshot, const Basis& basis, const PlacementRequest& request);

/// The claim that a job must persist for this placement: the maximum, with QEMU's own need in it. Where the VM is
/// promised less, its row says so once it has one (host_view.h); a reservation stays whole.
[[nodiscard]] Claim make_claim(const Snapshot& snapshot, const HostId& host, const PlacementRequest& request,
                               const JobId& job, Timestamp now);

}  // namespace ballast::scheduler
