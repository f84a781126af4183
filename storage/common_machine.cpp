#include "storage/common_machine.h"

#include <charconv>
#include <optional>
#include <set>
#include <string_view>

namespace ballast::storage {
namespace {

int number_of(std::string_view digits) {
    int value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

/// "pc-q35-7.2" -> 7002; 0 for other types. Deprecated and symbolic names ("q35") have no version and do not survive a
/// migration.
int q35_version(std::string_view machine) {
    constexpr std::string_view prefix = "pc-q35-";
    if (!machine.starts_with(prefix)) return 0;
    const std::string_view text = machine.substr(prefix.size());
    const auto dot = text.find('.');
    return dot == std::string_view::npos ? 0 : number_of(text.substr(0, dot)) * 1000 + number_of(text.substr(dot + 1));
}

bool alike(const std::shared_ptr<const Host>& a, const std::shared_ptr<const Host>& b) {
    return a && b && a->managed == b->managed && a->facts.machine_types == b->facts.machine_types;
}

}  // namespace

std::string common_machine(const Snapshot& snapshot) {
    std::optional<std::set<std::string>> common;
    snapshot.hosts.for_each([&](const Host& host) {
        if (!host.managed || host.facts.machine_types.empty()) return;
        std::set<std::string> own(host.facts.machine_types.begin(), host.facts.machine_types.end());
        if (common)
            std::erase_if(*common, [&](const std::string& type) { return !own.contains(type); });
        else
            common = std::move(own);
    });
    std::string best;
    for (const auto& type : common.value_or(std::set<std::string>{}))
        if (q35_version(type) > q35_version(best)) best = type;
    return best;
}

const std::string& CommonMachine::in(const std::shared_ptr<const Snapshot>& snapshot) {
    bool changed = false;
    snapshot->hosts.for_each_change(
        seen_->hosts, [&](const auto& before, const auto& now) { changed = changed || !alike(before, now); });
    if (changed) machine_ = common_machine(*snapshot);
    seen_ = snapshot;
    return machine_;
}

}  // namespace ballast::storage
