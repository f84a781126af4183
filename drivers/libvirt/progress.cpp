#include "drivers/libvirt/progress.h"

#include <string_view>

#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/lookups.h"

namespace ballast::drivers::libvirt {
namespace {

class JobStats {
  public:
    [[nodiscard]] bool read(virDomainPtr domain, unsigned int flags) {
        return virDomainGetJobStats(domain, &type_, params_.out(), params_.out_count(), flags) == 0;
    }
    [[nodiscard]] int type() const { return type_; }
    [[nodiscard]] std::optional<std::int64_t> number(const char* name) const {
        unsigned long long value = 0;
        if (virTypedParamsGetULLong(params_.data(), params_.count(), name, &value) != 1) return std::nullopt;
        return static_cast<std::int64_t>(value);
    }
    [[nodiscard]] std::int64_t or_zero(const char* name) const { return number(name).value_or(0); }
    [[nodiscard]] int whole(const char* name) const {
        int value = 0;
        static_cast<void>(virTypedParamsGetInt(params_.data(), params_.count(), name, &value));
        return value;
    }
    [[nodiscard]] std::string text(const char* name) const {
        const char* value = nullptr;
        if (virTypedParamsGetString(params_.data(), params_.count(), name, &value) != 1) return {};
        return value;
    }

  private:
    int type_ = VIR_DOMAIN_JOB_NONE;
    TypedParams params_;
};

/// The phase within an unfinished job shows in the domain's state alone.
MigrationStatus status_of_running(virDomainPtr domain, const JobStats& stats) {
    int state = VIR_DOMAIN_NOSTATE;
    int reason = 0;
    if (virDomainGetState(domain, &state, &reason, 0) == 0) {
        const bool paused = state == VIR_DOMAIN_PAUSED;
        const bool running = state == VIR_DOMAIN_RUNNING;
        if ((paused && reason == VIR_DOMAIN_PAUSED_POSTCOPY) || (running && reason == VIR_DOMAIN_RUNNING_POSTCOPY))
            return MigrationStatus::post_copy;
        if ((paused && reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED) ||
            (running && reason == VIR_DOMAIN_RUNNING_POSTCOPY_FAILED))
            return MigrationStatus::post_copy_paused;
    }
    return stats.or_zero(VIR_DOMAIN_JOB_DATA_PROCESSED) > 0 ? MigrationStatus::active : MigrationStatus::setup;
}

MigrationStatus status_of(virDomainPtr domain, const JobStats& stats) {
    switch (stats.type()) {
        case VIR_DOMAIN_JOB_NONE:
            return MigrationStatus::none;
        case VIR_DOMAIN_JOB_COMPLETED:
            return MigrationStatus::completed;
        case VIR_DOMAIN_JOB_FAILED:
            return MigrationStatus::failed;
        case VIR_DOMAIN_JOB_CANCELLED:
            return MigrationStatus::cancelled;
        default:
            return status_of_running(domain, stats);
    }
}

/// libvirt tells of the cache only where the migration has one.
std::optional<MigrationCompression> compression_of(const JobStats& stats) {
    if (!stats.number(VIR_DOMAIN_JOB_COMPRESSION_CACHE)) return std::nullopt;
    return MigrationCompression{.pages = stats.or_zero(VIR_DOMAIN_JOB_COMPRESSION_PAGES),
                                .sent = Bytes(stats.or_zero(VIR_DOMAIN_JOB_COMPRESSION_BYTES)),
                                .misses = stats.or_zero(VIR_DOMAIN_JOB_COMPRESSION_CACHE_MISSES),
                                .overflows = stats.or_zero(VIR_DOMAIN_JOB_COMPRESSION_OVERFLOW)};
}

MigrationProgress describe(const JobStats& stats) {
    MigrationProgress progress;
    progress.error = stats.text(VIR_DOMAIN_JOB_ERRMSG);
    progress.elapsed = Milliseconds(stats.or_zero(VIR_DOMAIN_JOB_TIME_ELAPSED));
    if (const auto downtime = stats.number(VIR_DOMAIN_JOB_DOWNTIME)) progress.downtime = Milliseconds(*downtime);
    progress.sent = Bytes(stats.or_zero(VIR_DOMAIN_JOB_DATA_PROCESSED));
    progress.remaining = Bytes(stats.or_zero(VIR_DOMAIN_JOB_DATA_REMAINING));
    progress.total = Bytes(stats.or_zero(VIR_DOMAIN_JOB_DATA_TOTAL));
    progress.throughput = BytesPerSecond(stats.or_zero(VIR_DOMAIN_JOB_MEMORY_BPS));
    progress.dirty_pages_per_second = stats.or_zero(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE);
    if (const auto size = stats.number(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE); size && *size > 0)
        progress.page_size = Bytes(*size);
    progress.iteration = static_cast<int>(stats.or_zero(VIR_DOMAIN_JOB_MEMORY_ITERATION));
    progress.post_copy_requests = stats.or_zero(VIR_DOMAIN_JOB_MEMORY_POSTCOPY_REQS);
    if (const auto setup = stats.number(VIR_DOMAIN_JOB_SETUP_TIME)) progress.setup = Milliseconds(*setup);
    progress.constant_pages = stats.or_zero(VIR_DOMAIN_JOB_MEMORY_CONSTANT);
    progress.normal_pages = stats.or_zero(VIR_DOMAIN_JOB_MEMORY_NORMAL);
    progress.throttle = stats.whole(VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE);
    progress.disk_remaining = Bytes(stats.or_zero(VIR_DOMAIN_JOB_DISK_REMAINING));
    progress.disk_total = Bytes(stats.or_zero(VIR_DOMAIN_JOB_DISK_TOTAL));
    progress.compression = compression_of(stats);
    return progress;
}

}  // namespace

Result<MigrationProgress> read_progress(virConnectPtr connection, const VmId& vm) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    JobStats stats;
    if (!stats.read(domain.get(), 0)) {
        // The migration's end takes the domain away from the source between two polls.
        if (last_error_number() == VIR_ERR_OPERATION_INVALID) return MigrationProgress{};
        return refused("can't read the job of domain {}", vm);
    }
    auto progress = describe(stats);
    progress.status = status_of(domain.get(), stats);
    return progress;
}

Result<MigrationProgress> read_completed(virConnectPtr connection, const VmId& vm) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    JobStats stats;
    if (!stats.read(domain.get(), VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED))
        return refused("can't read the last job of domain {}", vm);
    auto progress = describe(stats);
    progress.status = status_of(domain.get(), stats);
    return progress;
}

}  // namespace ballast::drivers::libvirt
