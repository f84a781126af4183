#include "scheduler/scorers/catalog.h"

#include <array>
#include <cmath>

#include "scheduler/scorers/avoided_taints.h"
#include "scheduler/scorers/closeness.h"
#include "scheduler/scorers/contention.h"
#include "scheduler/scorers/load_left.h"
#include "scheduler/scorers/memory_left.h"
#include "scheduler/scorers/packing.h"
#include "scheduler/scorers/page_sharing.h"
#include "scheduler/scorers/power.h"
#include "scheduler/scorers/redundancy_kept.h"
#include "scheduler/scorers/room_for_big.h"
#include "scheduler/scorers/vcpus_left.h"
#include "scheduler/scorers/wishes.h"

namespace ballast::scheduler {
namespace {

template <class Scorer>
constexpr ScorerEntry entry() {
    return {.name = Scorer::name,
            .score = [](const Candidate& candidate) { return Scorer{}(candidate); },
            .always = Scorer::always};
}

constexpr std::array catalog{
    entry<MemoryLeft>(), entry<VcpusLeft>(),  entry<Packing>(),       entry<RoomForBig>(),
    entry<LoadLeft>(),   entry<Contention>(), entry<Power>(),         entry<PageSharing>(),
    entry<Closeness>(),  entry<Wishes>(),     entry<AvoidedTaints>(), entry<RedundancyKept>(),
};
static_assert(catalog.size() <= Weights::most);

}  // namespace

std::span<const ScorerEntry> scorer_catalog() {
    return catalog;
}

double score_of(const Candidate& candidate) {
    const Weights& weights = candidate.around.weights;
    double loss = 0;
    for (std::size_t i = 0; i < catalog.size(); ++i) {
        if (weights.at(i) == 0) continue;
        const double missing = 1 - catalog[i].score(candidate);
        loss += weights.at(i) * missing * missing;
    }
    return 1 - std::sqrt(loss / weights.scale());
}

std::vector<ScoreTerm> score_terms(const Candidate& candidate) {
    std::vector<ScoreTerm> terms;
    for (std::size_t i = 0; i < catalog.size(); ++i)
        if (const double weight = candidate.around.weights.at(i); weight > 0)
            terms.push_back({std::string(catalog[i].name), catalog[i].score(candidate), weight});
    return terms;
}

}  // namespace ballast::scheduler
