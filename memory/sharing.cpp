#include "memory/sharing.h"

#include <algorithm>
#include <cmath>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

constexpr double usual_part = 0.20;
constexpr double usual_spread = 0.15;
constexpr double reading_error = 0.02;  ///< of what is saved: pages on their way
constexpr double two_sided_90 = 1.645;
constexpr double sure = 0.1;

GroupMemo known_or_usual(const SharingMemo& memo, const GroupCount& group) {
    if (const auto at = memo.groups.find(group.group); at != memo.groups.end()) return at->second;
    const double size = as_double(group.working_set);
    return {.common = usual_part * size, .variance = std::pow(usual_spread * size, 2), .readings = 0};
}

double weight_of(const GroupCount& group) {
    return std::max(group.members - 1, 0);
}

Saving saving(double likely, double variance, double most) {
    const double spread = two_sided_90 * std::sqrt(std::max(variance, 0.0));
    return {.low = bytes_of(likely - spread),
            .likely = bytes_of(likely),
            .high = bytes_of(std::min(likely + spread, std::max(most, likely))),
            .measured = likely > 0 && spread <= sure * likely};
}

}  // namespace

void Groups::add(const std::string& group, Bytes working_set) {
    if (group.empty()) return;
    GroupCount& count = groups_[group];
    count.group = group;
    ++count.members;
    count.working_set += working_set;
}

std::vector<GroupCount> Groups::counted() const {
    std::vector<GroupCount> all;
    for (const auto& [name, count] : groups_) {
        all.push_back(count);
        all.back().working_set = count.working_set / count.members;
    }
    return all;
}

SharingMemo learned(SharingMemo memo, std::span<const GroupCount> groups, Bytes saved) {
    std::map<std::string, int> mix;
    double expected = 0;
    double variance = std::pow(reading_error * as_double(saved), 2) + as_double(mebibytes(1));
    for (const GroupCount& group : groups) {
        const GroupMemo& known = memo.groups.emplace(group.group, known_or_usual(memo, group)).first->second;
        mix[group.group] = group.members;
        expected += weight_of(group) * known.common;
        variance += weight_of(group) * weight_of(group) * known.variance;
    }
    const bool new_mix = mix != memo.mix;
    for (const GroupCount& group : groups) {
        if (weight_of(group) <= 0) continue;
        GroupMemo& known = memo.groups[group.group];
        const double gain = known.variance * weight_of(group) / variance;
        known.common = std::clamp(known.common + gain * (as_double(saved) - expected), 0.0,
                                  std::max(as_double(group.working_set), known.common));
        if (!new_mix) continue;
        known.variance *= std::max(1 - gain * weight_of(group), 0.0);
        ++known.readings;
    }
    memo.mix = std::move(mix);
    return memo;
}

Saving saving_of(const SharingMemo& memo, const GroupCount& group) {
    return saving_of(memo, std::span(&group, 1));
}

Saving saving_of(const SharingMemo& memo, std::span<const GroupCount> groups) {
    double likely = 0;
    double variance = 0;
    double most = 0;
    for (const GroupCount& group : groups) {
        const GroupMemo known = known_or_usual(memo, group);
        likely += weight_of(group) * known.common;
        variance += weight_of(group) * weight_of(group) * known.variance;
        most += weight_of(group) * as_double(group.working_set);
    }
    return saving(likely, variance, most);
}

SharingMoved sharing_moved(const SharingMemo& memo, const GroupCount& source, const GroupCount& target) {
    const GroupMemo known = known_or_usual(memo, source);
    const Saving one = saving(known.common, known.variance, as_double(source.working_set));
    return {.lost = source.members >= 2 ? one : Saving{}, .gained = target.members >= 1 ? one : Saving{}};
}

}  // namespace ballast::memory
