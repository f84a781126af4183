#include "drivers/libvirt/dirty_rate.h"

#include <algorithm>
#include <array>
#include <memory>

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/handle.h"
#include "drivers/libvirt/lookups.h"

namespace ballast::drivers::libvirt {
namespace {

using Records = std::unique_ptr<virDomainStatsRecordPtr, Releaser<virDomainStatsRecordListFree>>;

/// QEMU samples 512 pages of each GiB.
constexpr Bytes one_sample = mebibytes(2);

DirtyRate::Status status_of(int calculation) {
    if (calculation == VIR_DOMAIN_DIRTYRATE_MEASURED) return DirtyRate::Status::measured;
    if (calculation == VIR_DOMAIN_DIRTYRATE_MEASURING) return DirtyRate::Status::measuring;
    return DirtyRate::Status::unstarted;
}

DirtyRate describe(const virDomainStatsRecord& record) {
    int status = VIR_DOMAIN_DIRTYRATE_UNSTARTED;
    int period = 0;
    long long mebibytes_per_second = 0;
    static_cast<void>(virTypedParamsGetInt(record.params, record.nparams, "dirtyrate.calc_status", &status));
    static_cast<void>(virTypedParamsGetInt(record.params, record.nparams, "dirtyrate.calc_period", &period));
    static_cast<void>(
        virTypedParamsGetLLong(record.params, record.nparams, "dirtyrate.megabytes_per_second", &mebibytes_per_second));
    DirtyRate rate;
    rate.status = status_of(status);
    rate.window = Seconds(period);
    rate.rate = BytesPerSecond(mebibytes(mebibytes_per_second).count());
    rate.resolution = std::max(one_sample, mebibytes(period));  // the answer is in whole MiB/s
    return rate;
}

}  // namespace

Result<void> begin_dirty_rate(virConnectPtr connection, const VmId& vm, Seconds window) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    // Only page sampling: the dirty-bitmap mode ends QEMU 7.2 under TCG (seen twice of twice), and the ring needs KVM
    // and a ring in the definition.
    if (virDomainStartDirtyRateCalc(domain.get(), static_cast<int>(window.count()),
                                    VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING) < 0)
        return refused("can't measure the dirty rate of domain {}", vm);
    return {};
}

Result<DirtyRate> read_dirty_rate(virConnectPtr connection, const VmId& vm) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    std::array<virDomainPtr, 2> domains{domain.get(), nullptr};
    virDomainStatsRecordPtr* raw = nullptr;
    const int count = virDomainListGetStats(domains.data(), VIR_DOMAIN_STATS_DIRTYRATE, &raw, 0);
    if (count < 0) return refused("can't read the dirty rate of domain {}", vm);
    const Records records(raw);
    return count == 0 ? DirtyRate{} : describe(**records);
}

}  // namespace ballast::drivers::libvirt
