// The dirty-rate calculation: unique memory that the modelled load dirties within the window, in whole MiB/s as libvirt
// answers.
#include <algorithm>

#include "core/try.h"
#include "drivers/simulated/precopy.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

constexpr Seconds longest_window{60};
constexpr Bytes one_sample = mebibytes(2);  ///< 512 samples a GiB

}  // namespace

Dirtying dirtying_of(const GuestLoad& load) {
    return {.rate = static_cast<double>(load.dirty_rate.count()),
            .working_set = static_cast<double>(load.working_set.count()),
            .slow_rate = static_cast<double>(load.slow_rate.count()),
            .slow_set = static_cast<double>(load.slow_set.count())};
}

Result<void> State::start_dirty_rate(const std::string& host, const VmId& vm, Seconds window) {
    BALLAST_TRY(SimDomain * found, domain(host, vm));
    if (found->state != DomainState::running)
        return fail(Code::failed_precondition, "domain {} does not run; its dirty rate can't be measured", vm);
    if (window < Seconds(1) || window > longest_window)
        return fail(Code::invalid_argument, "a dirty-rate window is 1 to 60 s, not {}", window.count());
    if (found->measured_from && time.now() < *found->measured_from + found->measured_window)
        return fail(Code::failed_precondition, "the dirty rate of domain {} is being measured already", vm);
    found->measured_from = time.now();
    found->measured_window = window;
    return {};
}

Result<DirtyRate> State::dirty_rate(const std::string& host, const VmId& vm) {
    BALLAST_TRY(SimDomain * found, domain(host, vm));
    DirtyRate rate;
    if (!found->measured_from) return rate;
    rate.window = found->measured_window;
    rate.resolution = std::max(mebibytes(found->measured_window.count()), one_sample);
    rate.status = DirtyRate::Status::measuring;
    if (time.now() < *found->measured_from + found->measured_window) return rate;
    const Dirtying dirtying = dirtying_of(load_of(vm));
    const auto window = static_cast<double>(found->measured_window.count());
    const double mebibyte = static_cast<double>(mebibytes(1).count());
    const auto whole = static_cast<std::int64_t>(newly_dirty(dirtying, window, 0) / window / mebibyte);
    rate.status = DirtyRate::Status::measured;
    rate.rate = BytesPerSecond(mebibytes(whole).count());
    return rate;
}

}  // namespace ballast::drivers::simulated
