#pragma once
// What the planner knows of load beside the inventory: per VM what it uses and how that varies, per host what it has.
// A value that loads from and saves to JSON, so that every plan can be made again. Pure; it measures nothing: the
// caller fills it from statistics (daemon/jobs), traces (bench) or a file.

#include <array>
#include <map>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/snapshot.h"

namespace ballast::scheduler {

/// What one VM is expected to use over its stay. `mean` and `deviation` in cores; `by_hour`: mean by hour of the day
/// (UTC), empty where no day has been seen yet. Errors of measurement belong into `deviation`.
struct VmLoad {
    double cpu_mean = 0;
    double cpu_deviation = 0;
    std::vector<double> cpu_by_hour;  ///< 24 values, or none
    Bytes working_set;                ///< 0: not known
    Bytes working_set_deviation;
    friend bool operator==(const VmLoad&, const VmLoad&) = default;
};
BOOST_DESCRIBE_STRUCT(VmLoad, (), (cpu_mean, cpu_deviation, cpu_by_hour, working_set, working_set_deviation))

/// By VM. A VM that is missing counts with its promise (vCPUs x 0.5 of a core, its whole memory).
struct ClusterLoad {
    std::map<VmId, VmLoad> vms;
    Timestamp at;
    friend bool operator==(const ClusterLoad&, const ClusterLoad&) = default;
};
BOOST_DESCRIBE_STRUCT(ClusterLoad, (), (vms, at))

}  // namespace ballast::scheduler
