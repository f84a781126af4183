#pragma once
// A virtual machine: its spec (what somebody asked for), where it is defined, who owns the one copy that may run, and
// its run state.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/ids.h"
#include "core/memory_policy.h"
#include "core/migration.h"
#include "core/units.h"
#include "core/vm_placement.h"

namespace ballast {

/// The inventory's state of a VM. `unknown`: last seen active on a host that can't be asked now (SAFETY.md 3).
/// `conflict`: more than one active definition (SAFETY.md 2); nothing acts on it but an operator. `lost`: its running
/// state is gone with its host or QEMU.
enum class VmState : std::uint8_t {
    creating,
    stopped,
    starting,
    running,
    paused,
    stopping,
    migrating,
    crashed,
    unknown,
    conflict,
    missing,
    deleting
};
BOOST_DESCRIBE_ENUM(VmState, creating, stopped, starting, running, paused, stopping, migrating, crashed, unknown,
                    conflict, missing, deleting)

/// What a host says of one definition (virDomainState, with the reasons that matter for ownership).
enum class DomainState : std::uint8_t {
    shut_off,
    running,
    paused,
    incoming,
    postcopy_source,
    postcopy_target,
    postcopy_failed,
    shutting_down,
    crashed,
    suspended,
    unknown
};
BOOST_DESCRIBE_ENUM(DomainState, shut_off, running, paused, incoming, postcopy_source, postcopy_target, postcopy_failed,
                    shutting_down, crashed, suspended, unknown)

/// Whether a QEMU process exists for a definition in this state.
[[nodiscard]] bool is_active(DomainState state);

enum class MovePolicy : std::uint8_t { never, ask, free };
BOOST_DESCRIBE_ENUM(MovePolicy, never, ask, free)

/// A disk: a new volume, or a copy-on-write child of an image, in a pool that is named alike on every host that may run
/// the VM.
struct DiskSpec {
    std::string target;            ///< vda, vdb, …; empty: the next free one
    Bytes size;                    ///< 0: the image's size
    std::string image;             ///< name or id of an image; empty: an empty volume
    std::string pool;              ///< empty: the configured default pool
    std::string format = "qcow2";  ///< qcow2 | raw
    std::string bus = "virtio";    ///< virtio | sata | scsi
    std::string cache = "none";    ///< none | writeback | directsync: `none` is what a live migration needs
    bool read_only = false;
    VolumeId volume;   ///< set by Ballast once the volume exists
    std::string path;  ///< set by Ballast, or read from an adopted definition
    friend bool operator==(const DiskSpec&, const DiskSpec&) = default;
};
BOOST_DESCRIBE_STRUCT(DiskSpec, (), (target, size, image, pool, format, bus, cache, read_only, volume, path))

struct NicSpec {
    std::string network;  ///< a libvirt network, or
    std::string bridge;   ///< a bridge of the host
    std::string mac;      ///< empty: made from the VM's id
    std::string model = "virtio";
    friend bool operator==(const NicSpec&, const NicSpec&) = default;
};
BOOST_DESCRIBE_STRUCT(NicSpec, (), (network, bridge, mac, model))

/// Direct kernel boot: paths on the host. Empty kernel: boot from the first disk.
struct BootSpec {
    std::string kernel;
    std::string initrd;
    std::string cmdline;
    friend bool operator==(const BootSpec&, const BootSpec&) = default;
};
BOOST_DESCRIBE_STRUCT(BootSpec, (), (kernel, initrd, cmdline))

struct SerialSpec {
    std::string log_path;  ///< a file on the host that also receives the output; empty: none
    friend bool operator==(const SerialSpec&, const SerialSpec&) = default;
};
BOOST_DESCRIBE_STRUCT(SerialSpec, (), (log_path))

struct BalloonSpec {
    bool enabled = true;
    int stats_period_s = 2;
    bool free_page_reporting = true;
    bool autodeflate = true;
    friend bool operator==(const BalloonSpec&, const BalloonSpec&) = default;
};
BOOST_DESCRIBE_STRUCT(BalloonSpec, (), (enabled, stats_period_s, free_page_reporting, autodeflate))

/// What a VM may ask of its host's memory controller, beside its policy and its minimum (docs/MEMORY.md).
struct OvercommitSpec {
    int shares = 1000;         ///< of memory beyond working sets, against its neighbours'
    int priority = 0;          ///< as the last resort the VM of the lowest is suspended first
    bool merge = true;         ///< may share pages with others (KSM); a change waits for the next start
    bool may_suspend = false;  ///< to disk, when its host is in danger and its policy allows it
    friend bool operator==(const OvercommitSpec&, const OvercommitSpec&) = default;
};
BOOST_DESCRIBE_STRUCT(OvercommitSpec, (), (shares, priority, merge, may_suspend))

struct VmSpec {
    int vcpus = 1;
    Bytes memory = mebibytes(512);          ///< maximum
    Bytes memory_minimum;                   ///< 0: the same as the maximum
    std::string machine;                    ///< empty: the newest type that every managed host has
    std::string cpu_model;                  ///< empty: a baseline model of the accelerator
    std::vector<std::string> cpu_features;  ///< that the guest has beyond its model's, by libvirt's names
    std::vector<DiskSpec> disks;
    std::vector<NicSpec> nics;
    BootSpec boot;
    SerialSpec serial;
    BalloonSpec balloon;
    std::map<std::string, std::string> labels;
    std::map<std::string, std::string> host_labels;  ///< the host must carry these
    std::string anti_affinity;                       ///< VMs of one group never share a host: short for one term
    VmPlacement placement;
    bool autostart = false;  ///< Ballast's own, not libvirt's (SAFETY.md 8)
    MovePolicy moves = MovePolicy::free;
    MemoryPolicy memory_policy = MemoryPolicy::balanced;
    OvercommitSpec overcommit;
    MigrationPolicy migration;  ///< what a move of this VM may cost
    friend bool operator==(const VmSpec&, const VmSpec&) = default;
};
BOOST_DESCRIBE_STRUCT(VmSpec, (),
                      (vcpus, memory, memory_minimum, machine, cpu_model, cpu_features, disks, nics, boot, serial,
                       balloon, labels, host_labels, anti_affinity, placement, autostart, moves, memory_policy,
                       overcommit, migration))

/// One definition of the VM's UUID on one host, as last seen.
struct Definition {
    HostId host;
    DomainState state = DomainState::unknown;
    bool persistent = true;
    bool autostart = false;
    bool stale_view = false;            ///< the host can't be asked now; this is what was last seen
    std::string cluster;                ///< cluster id in the domain's metadata; empty: never stamped
    std::uint64_t epoch = 0;            ///< owner epoch in the metadata
    std::vector<std::string> bound_by;  ///< what ties it to the host: "managed save", "2 snapshots", … (SAFETY.md 11)
    Timestamp seen;
    friend bool operator==(const Definition&, const Definition&) = default;
};
BOOST_DESCRIBE_STRUCT(Definition, (), (host, state, persistent, autostart, stale_view, cluster, epoch, bound_by, seen))

struct Vm {
    VmId id;
    std::string name;
    bool managed = false;  ///< made by Ballast or adopted; false: only observed
    bool created_by_ballast = false;
    std::optional<HostId> host;  ///< owner: where the one copy that may run is, or is defined
    std::uint64_t epoch = 0;     ///< raised at each change of owner (SAFETY.md 7)
    VmState state = VmState::stopped;
    std::string state_reason;
    Timestamp state_since;
    std::optional<JobId> job;  ///< the job that works on it now
    VmSpec spec;
    Bytes balloon;  ///< memory the guest has now; 0 when not running
    std::vector<Definition> definitions;
    std::vector<std::string> alerts;  ///< "defined on h1 and h2", "stale definition on h1", "foreign cluster …"
    Timestamp created;
    std::uint64_t revision = 0;  ///< of name and spec: the ETag
    std::uint64_t run_revision = 0;
    friend bool operator==(const Vm&, const Vm&) = default;
};
BOOST_DESCRIBE_STRUCT(Vm, (),
                      (id, name, managed, created_by_ballast, host, epoch, state, state_reason, state_since, job, spec,
                       balloon, definitions, alerts, created, revision, run_revision))

/// Minimum that is guaranteed: spec.memory_minimum, or the maximum where none is given.
[[nodiscard]] Bytes guaranteed_memory(const VmSpec& spec);
/// VMs of one group have alike pages: the image of the first disk that has one, or else the kernel and initrd they
/// boot. Empty: none is known, or it may not share any.
[[nodiscard]] std::string sharing_group(const VmSpec& spec);
/// Checks what can be checked without a cluster: ranges, minimum <= maximum, disk and NIC fields. Errors:
/// invalid_argument naming the field.
[[nodiscard]] Result<void> check(const VmSpec& spec);
[[nodiscard]] Result<void> check(const OvercommitSpec& spec);
/// The part of it that is about the place.
[[nodiscard]] Result<void> check_placement(const VmSpec& spec);

}  // namespace ballast
