#pragma once
// What each kind of job is asked for: the body of its API call, and Job::params.

#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/ids.h"
#include "core/job.h"
#include "core/migration.h"
#include "core/units.h"
#include "core/vm.h"

namespace ballast::jobs {

/// kind "vm.create"
struct VmCreateParams {
    std::string name;
    VmSpec spec;
    std::string host;  ///< name or id; empty: the scheduler chooses
    bool start = true;
    std::string reservation;  ///< whose room it takes: "shop", or one place of it, "shop/web1"; empty: none
};
BOOST_DESCRIBE_STRUCT(VmCreateParams, (), (name, spec, host, start, reservation))

/// kind "vm.start"
struct VmStartParams {
    std::string host;  ///< empty: where it is defined, or another host if its disks allow
};
BOOST_DESCRIBE_STRUCT(VmStartParams, (), (host))

/// kind "vm.shutdown": ACPI, then (only if `force`) destroy after the time-out. kind "vm.destroy", "vm.reboot" and
/// "vm.save" take no parameters.
struct VmShutdownParams {
    Seconds timeout{60};
    bool force = false;
};
BOOST_DESCRIBE_STRUCT(VmShutdownParams, (), (timeout, force))

struct NoParams {};
BOOST_DESCRIBE_STRUCT(NoParams, (), ())

/// kind "vm.delete". Volumes that Ballast made for the VM go with it unless `keep_disks`; disks of an adopted VM stay
/// unless named (SAFETY.md 10).
struct VmDeleteParams {
    bool force = false;  ///< destroy it first if it runs
    bool keep_disks = false;
    std::vector<std::string> disks;  ///< of an adopted VM: targets (vda, …) whose volumes are to be removed too
};
BOOST_DESCRIBE_STRUCT(VmDeleteParams, (), (force, keep_disks, disks))

/// kind "vm.migrate"
struct VmMigrateParams {
    std::string to;  ///< host name or id; empty: the scheduler chooses
    ModeChoice mode = ModeChoice::auto_;
    MigrationPolicy policy;  ///< what is set here counts before the VM's own
    std::optional<Timestamp> deadline;
    MigrationKnobs knobs;
};
BOOST_DESCRIBE_STRUCT(VmMigrateParams, (), (to, mode, policy, deadline, knobs))

/// kind "image.import". The files are already in the daemon's upload folder; the job owns and removes them.
struct ImageImportParams {
    std::string name;
    std::string pool;       ///< empty: the configured default
    std::string host;       ///< through which host; empty: any that has the pool
    std::string disk_file;  ///< names within the upload folder; empty: none
    std::string kernel_file;
    std::string initrd_file;
    std::string cmdline;
};
BOOST_DESCRIBE_STRUCT(ImageImportParams, (), (name, pool, host, disk_file, kernel_file, initrd_file, cmdline))

/// kind "volume.create"
struct VolumeCreateParams {
    std::string name;
    std::string pool;
    std::string host;
    std::string format = "qcow2";
    Bytes capacity;
};
BOOST_DESCRIBE_STRUCT(VolumeCreateParams, (), (name, pool, host, format, capacity))

/// kinds "image.delete" and "volume.delete": the id of the row.
struct DeleteParams {
    std::string id;
};
BOOST_DESCRIBE_STRUCT(DeleteParams, (), (id))

}  // namespace ballast::jobs
