#include "scheduler/scorers/page_sharing.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

bool uses(const VmSpec& spec, const std::string& image) {
    return std::ranges::find(spec.disks, image, &DiskSpec::image) != spec.disks.end();
}

}  // namespace

double PageSharing::operator()(const Candidate& candidate) const {
    const auto& disks = candidate.spec().disks;
    const auto first = std::ranges::find_if(disks, [](const DiskSpec& disk) { return !disk.image.empty(); });
    if (first == disks.end()) return 1;
    const auto same = static_cast<double>(
        std::ranges::count_if(candidate.view.vms, [&](const Vm* vm) { return uses(vm->spec, first->image); }));
    return same / (same + 1);
}

}  // namespace ballast::scheduler
