#include "scheduler/rules/catalog.h"

#include <array>

#include "scheduler/rules/affinity.h"
#include "scheduler/rules/anti_affinity.h"
#include "scheduler/rules/bound_to_host.h"
#include "scheduler/rules/cpu_compatible.h"
#include "scheduler/rules/cpu_fit.h"
#include "scheduler/rules/devices.h"
#include "scheduler/rules/group_limit.h"
#include "scheduler/rules/host_labels.h"
#include "scheduler/rules/host_ready.h"
#include "scheduler/rules/memory_fit.h"
#include "scheduler/rules/n_plus_one.h"
#include "scheduler/rules/network_reachable.h"
#include "scheduler/rules/numa_fit.h"
#include "scheduler/rules/pair_ready.h"
#include "scheduler/rules/pinned_hosts.h"
#include "scheduler/rules/spread.h"
#include "scheduler/rules/storage_reachable.h"
#include "scheduler/rules/taints.h"
#include "scheduler/rules/working_set_fit.h"

namespace ballast::scheduler {
namespace {

template <class Rule>
constexpr RuleEntry entry() {
    return {.name = Rule::name,
            .judge =
                [](const Candidate& candidate) {
                    RuleVerdict verdict = Rule{}(candidate);
                    verdict.rule = Rule::name;
                    return verdict;
                },
            .fits = [](const Candidate& candidate) { return Rule{}.fits(candidate); },
            .scope = Rule::scope};
}

constexpr std::array catalog{
    entry<HostReady>(),        entry<PairReady>(),     entry<BoundToHost>(),   entry<PinnedHosts>(),
    entry<HostLabels>(),       entry<Taints>(),        entry<CpuCompatible>(), entry<StorageReachable>(),
    entry<NetworkReachable>(), entry<Devices>(),       entry<AntiAffinity>(),  entry<Affinity>(),
    entry<GroupLimit>(),       entry<Spread>(),        entry<NumaFit>(),       entry<CpuFit>(),
    entry<MemoryFit>(),        entry<WorkingSetFit>(), entry<NPlusOneRule>(),
};

}  // namespace

std::span<const RuleEntry> rule_catalog() {
    return catalog;
}

}  // namespace ballast::scheduler
