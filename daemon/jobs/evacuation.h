#pragma once
// kind "host.evacuate": what it is asked for, what it keeps and what it tells. It queues a vm.migrate job for every VM
// that runs on the host and may move; those jobs do the work, each with its own preflight, forecast and lane, so that
// one that fails stops no other. Loop thread only.

#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/job.h"
#include "core/snapshot.h"
#include "daemon/store/store.h"

namespace ballast::jobs {

struct HostEvacuateParams {
    std::string host;          ///< name or id
    bool maintenance = false;  ///< nothing new is placed on it from the same moment on
    int priority = 0;          ///< of the migrations, -100 to 100
};
BOOST_DESCRIBE_STRUCT(HostEvacuateParams, (), (host, maintenance, priority))

/// One VM of the host and the job that moves it.
struct EvacuatedVm {
    VmId vm;
    std::string name;
    JobId job;
    friend bool operator==(const EvacuatedVm&, const EvacuatedVm&) = default;
};
BOOST_DESCRIBE_STRUCT(EvacuatedVm, (), (vm, name, job))

/// One that is not moved, or could not be.
struct RemainingVm {
    VmId vm;
    std::string name;
    std::string reason;
    friend bool operator==(const RemainingVm&, const RemainingVm&) = default;
};
BOOST_DESCRIBE_STRUCT(RemainingVm, (), (vm, name, reason))

/// Job::memo: what a new daemon goes on with.
struct EvacuationMemo {
    std::vector<EvacuatedVm> moves;
    std::vector<RemainingVm> left;
    friend bool operator==(const EvacuationMemo&, const EvacuationMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(EvacuationMemo, (), (moves, left))

/// Job::result, also of one that failed or was cancelled.
struct EvacuationResult {
    std::string host;
    std::vector<EvacuatedVm> moved;
    std::vector<RemainingVm> failed;
    std::vector<RemainingVm> cancelled;
    std::vector<RemainingVm> left;
    friend bool operator==(const EvacuationResult&, const EvacuationResult&) = default;
};
BOOST_DESCRIBE_STRUCT(EvacuationResult, (), (host, moved, failed, cancelled, left))

/// Whether the host may be evacuated: for submit. Errors: invalid_argument, not_found, failed_precondition (only
/// observed), conflict (an evacuation runs).
[[nodiscard]] Result<HostId> check_evacuation(const Snapshot& snapshot, const HostEvacuateParams& params);

}  // namespace ballast::jobs
