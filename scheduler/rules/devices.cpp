#include "scheduler/rules/devices.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

struct Stock {
    int has = 0;
    int promised = 0;

    [[nodiscard]] int free() const { return std::max(0, has - promised); }
};

Stock stock_of(const Candidate& candidate, const std::string& kind) {
    const auto& inventory = candidate.host().settings.devices;
    const auto has = inventory.find(kind);
    const auto promised = candidate.view.devices.find(kind);
    return {.has = has != inventory.end() ? has->second : 0,
            .promised = promised != candidate.view.devices.end() ? promised->second : 0};
}

}  // namespace

bool Devices::fits(const Candidate& candidate) const {
    return std::ranges::all_of(candidate.spec().placement.devices, [&](const auto& wanted) {
        return wanted.second <= stock_of(candidate, wanted.first).free();
    });
}

RuleVerdict Devices::operator()(const Candidate& candidate) const {
    const std::string& host = candidate.host().name;
    for (const auto& [kind, wanted] : candidate.spec().placement.devices) {
        const Stock stock = stock_of(candidate, kind);
        if (wanted <= stock.free()) continue;
        if (wanted > stock.has)
            return fits_if(reject("needs {} {}, the host has {}", wanted, kind, stock.has),
                           fmt::format("{} more {} are given to {}", wanted - stock.has, kind, host));
        return lacks_room(reject("needs {} {}, {} of {} are free", wanted, kind, stock.free(), stock.has),
                          fmt::format("{} {} are freed on {}", wanted - stock.free(), kind, host));
    }
    return accept("has the {} kinds of devices it needs", candidate.spec().placement.devices.size());
}

}  // namespace ballast::scheduler
