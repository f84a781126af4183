#include "daemon/jobs/evacuation.h"

#include "core/json_impl.h"
#include "core/try.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(jobs::HostEvacuateParams)
BALLAST_INSTANTIATE_JSON(jobs::EvacuationMemo)
BALLAST_INSTANTIATE_JSON(jobs::EvacuationResult)

namespace jobs {

Result<HostId> check_evacuation(const Snapshot& snapshot, const HostEvacuateParams& params) {
    BALLAST_TRY(const auto host, find_host(snapshot, params.host));
    MigrationPolicy policy;
    policy.priority = params.priority;
    BALLAST_CHECK(check(policy, "evacuation"));
    if (!host->managed)
        return fail(Code::failed_precondition,
                    "host {} is only observed, so nothing on it is changed; run `ballast host manage {}` first",
                    host->name, host->name);
    const Job* open = snapshot.jobs.find_if(
        [&](const Job& job) { return job.kind == "host.evacuate" && job.host == host->id && !is_finished(job.state); });
    if (open != nullptr)
        return fail(Code::conflict, "host {} is being evacuated already; see `ballast job watch {}`", host->name,
                    open->id);
    return host->id;
}

}  // namespace jobs

}  // namespace ballast
