#include "scheduler/rules/catalog.h"

#include <array>

#include "scheduler/rules/anti_affinity.h"
#include "scheduler/rules/bound_to_host.h"
#include "scheduler/rules/cpu_compatible.h"
#include "scheduler/rules/cpu_fit.h"
#include "scheduler/rules/host_labels.h"
#include "scheduler/rules/host_ready.h"
#include "scheduler/rules/memory_fit.h"
#include "scheduler/rules/network_reachable.h"
#include "scheduler/rules/pair_ready.h"
#include "scheduler/rules/storage_reachable.h"

namespace ballast::scheduler {
namespace {

template <class Rule>
constexpr RuleEntry entry() {
    return {Rule::name, [](const Candidate& candidate) {
                RuleVerdict verdict = Rule{}(candidate);
                verdict.rule = Rule::name;
                return verdict;
            }};
}

constexpr std::array catalog{
    entry<HostReady>(),     entry<PairReady>(),        entry<BoundToHost>(),      entry<HostLabels>(),
    entry<CpuCompatible>(), entry<StorageReachable>(), entry<NetworkReachable>(), entry<AntiAffinity>(),
    entry<CpuFit>(),        entry<MemoryFit>(),
};

}  // namespace

std::span<const RuleEntry> rule_catalog() {
    return catalog;
}

}  // namespace ballast::scheduler
