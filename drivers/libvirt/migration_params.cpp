#include "drivers/libvirt/migration_params.h"

#include <algorithm>

namespace ballast::drivers::libvirt {
namespace {

/// In libvirt's words a flag that goes with post-copy, whether begun or taken up again.
bool pulls(const MigrationRequest& request) {
    return request.resume_post_copy || request.mode == MigrationMode::post_copy ||
           request.mode == MigrationMode::hybrid;
}

unsigned int flag_of(DiskCopy copy) {
    switch (copy) {
        case DiskCopy::none:
            return 0;
        case DiskCopy::full:
            return VIR_MIGRATE_NON_SHARED_DISK;
        case DiskCopy::incremental:
            return VIR_MIGRATE_NON_SHARED_INC;
    }
    return 0;
}

unsigned int flags_of(const MigrationKnobs& knobs) {
    unsigned int flags = flag_of(knobs.copy_disks);
    if (knobs.auto_converge) flags |= VIR_MIGRATE_AUTO_CONVERGE;
    if (knobs.xbzrle) flags |= VIR_MIGRATE_COMPRESSED;
    if (knobs.parallel > 0) flags |= VIR_MIGRATE_PARALLEL;
    if (knobs.tls) flags |= VIR_MIGRATE_TLS;
    return flags;
}

/// libvirt refuses a knob's parameter without its flag.
void fill(TypedParams& params, const MigrationKnobs& knobs) {
    if (knobs.auto_converge && knobs.throttle_initial > 0)
        params.add(VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL, knobs.throttle_initial);
    if (knobs.auto_converge && knobs.throttle_increment > 0)
        params.add(VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, knobs.throttle_increment);
    if (knobs.xbzrle) params.add(VIR_MIGRATE_PARAM_COMPRESSION, std::string("xbzrle"));
    if (knobs.xbzrle && knobs.xbzrle_cache)
        params.add(VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE,
                   static_cast<unsigned long long>(knobs.xbzrle_cache->count()));
    if (knobs.parallel > 0) params.add(VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, knobs.parallel);
}

}  // namespace

unsigned long long mebibytes_per_second(BytesPerSecond rate) {
    constexpr std::int64_t mebibyte = 1'048'576;
    return static_cast<unsigned long long>(std::max<std::int64_t>(1, (rate.count() + mebibyte - 1) / mebibyte));
}

unsigned int flags_of(const MigrationRequest& request) {
    unsigned int flags = VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE |
                         VIR_MIGRATE_ABORT_ON_ERROR | flags_of(request.knobs);
    if (request.mode != MigrationMode::stop_and_copy) flags |= VIR_MIGRATE_LIVE;
    if (pulls(request)) flags |= VIR_MIGRATE_POSTCOPY;
    if (request.resume_post_copy) flags |= VIR_MIGRATE_POSTCOPY_RESUME;
    if (request.keep_paused) flags |= VIR_MIGRATE_PAUSED;
    if (request.allow_unsafe) flags |= VIR_MIGRATE_UNSAFE;
    return flags;
}

void fill(TypedParams& params, const MigrationRequest& request) {
    if (!request.migration_uri.empty()) params.add(VIR_MIGRATE_PARAM_URI, request.migration_uri);
    if (request.bandwidth) params.add(VIR_MIGRATE_PARAM_BANDWIDTH, mebibytes_per_second(*request.bandwidth));
    if (request.post_copy_bandwidth)
        params.add(VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY, mebibytes_per_second(*request.post_copy_bandwidth));
    fill(params, request.knobs);
    if (request.destination_xml.empty()) return;
    params.add(VIR_MIGRATE_PARAM_DEST_XML, request.destination_xml);
    params.add(VIR_MIGRATE_PARAM_PERSIST_XML, request.destination_xml);
}

}  // namespace ballast::drivers::libvirt
