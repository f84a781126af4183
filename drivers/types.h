#pragma once
// The values that cross the driver seam. No libvirt type, no I/O.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/host.h"
#include "core/ids.h"
#include "core/job.h"
#include "core/migration.h"
#include "core/storage_rows.h"
#include "core/units.h"
#include "core/vm.h"

namespace ballast::drivers {

/// Owner stamp in the domain's <metadata> (SAFETY.md 7).
struct Stamp {
    std::string cluster;
    HostId owner;
    std::uint64_t epoch = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
};

/// What a host says of one domain. `spec` is read from the definition as far as Ballast's vocabulary reaches; `xml` is
/// the definition itself.
struct DomainView {
    VmId id;
    std::string name;
    DomainState state = DomainState::unknown;
    std::string state_reason;  ///< libvirt's reason, in words
    bool persistent = true;
    bool autostart = false;
    std::optional<Stamp> stamp;
    std::vector<std::string> bound_by;  ///< "managed save", "2 snapshots", "passthrough device …" (SAFETY.md 11)
    Bytes balloon;                      ///< current; 0 when not active
    VmSpec spec;
    std::string xml;
    friend bool operator==(const DomainView&, const DomainView&) = default;
};

/// One line of the statistics sweep.
struct DomainStats {
    VmId id;
    DomainState state = DomainState::unknown;
    int vcpus = 0;
    std::chrono::nanoseconds cpu_time{0};
    Bytes balloon;
    Bytes balloon_maximum;
    std::optional<Bytes> unused;
    std::optional<Bytes> usable;
    std::optional<Bytes> available;
    std::optional<Bytes> disk_caches;
    Bytes resident;                        ///< of the QEMU process
    std::optional<std::uint64_t> swap_in;  ///< bytes since boot
    std::optional<std::uint64_t> swap_out;
    std::optional<std::uint64_t> major_faults;
    Timestamp guest_said;  ///< when the guest wrote its figures; the epoch: it never did
};

/// The host's page merging: its three settings that can be read and set, and its counters in pages of 4 KiB.
struct KsmSettings {
    std::int64_t pages_to_scan = 0;  ///< at a time; 0 pauses
    std::int64_t sleep_ms = 0;       ///< between
    bool merge_across_nodes = true;
    friend bool operator==(const KsmSettings&, const KsmSettings&) = default;
};
BOOST_DESCRIBE_STRUCT(KsmSettings, (), (pages_to_scan, sleep_ms, merge_across_nodes))

struct KsmStats {
    KsmSettings settings;
    std::int64_t pages_shared = 0;   ///< merged pages that are kept
    std::int64_t pages_sharing = 0;  ///< that were saved by them
    std::int64_t pages_unshared = 0;
    std::int64_t pages_volatile = 0;
    std::int64_t full_scans = 0;
};

/// What the memory controller reads, often: nothing that costs more than two short calls.
struct MemoryStats {
    Bytes total;
    Bytes free;
    Bytes cached;                 ///< page cache and buffers
    std::optional<KsmStats> ksm;  ///< none: the host has no KSM
    std::vector<DomainStats> domains;
};

struct HostStats {
    Bytes memory_total;
    Bytes memory_free;
    Bytes memory_cached;
    std::chrono::nanoseconds cpu_busy{0};
    std::chrono::nanoseconds cpu_idle{0};
    std::vector<DomainStats> domains;
};

struct PoolView {
    std::string name;
    std::string type;
    std::string path;
    bool active = false;
    Bytes capacity;
    Bytes available;
};

struct VolumeView {
    std::string name;
    std::string path;
    std::string format;
    Bytes capacity;
    Bytes allocation;
    std::string backing_path;
};

struct NewVolume {
    std::string pool;
    std::string name;
    std::string format;  ///< qcow2 | raw
    Bytes capacity;
    std::string backing_path;  ///< copy-on-write parent; empty: none
    std::string backing_format;
};

/// Reads the next bytes into the buffer; 0 at the end. Called on a driver's worker thread; may block on a local file
/// only.
using ByteSource = std::function<Result<std::size_t>(std::span<char>)>;

/// What a definition is generated from: the spec with every disk's path and every choice resolved.
struct DomainDefinition {
    VmId id;
    std::string name;
    VmSpec spec;
    Stamp stamp;
    Accelerator accelerator = Accelerator::auto_;
};

struct MigrationRequest {
    VmId vm;
    std::string peer_uri;       ///< the target's libvirtd as the source host reaches it
    std::string migration_uri;  ///< tcp://address; empty: libvirt's choice
    MigrationMode mode = MigrationMode::pre_copy;
    std::optional<BytesPerSecond> bandwidth;
    std::optional<BytesPerSecond> post_copy_bandwidth;
    Milliseconds downtime_limit{300};
    MigrationKnobs knobs;
    bool allow_unsafe = false;  ///< only with fresh evidence for every writable disk (SAFETY.md 9)
    bool resume_post_copy = false;
    bool keep_paused = false;     ///< the guest stands still and is not to run on the target either
    std::string destination_xml;  ///< empty: the definition as it is
};

enum class MigrationStatus : std::uint8_t {
    none,
    setup,
    active,
    post_copy,
    post_copy_paused,
    completed,
    failed,
    cancelled
};

/// What the source says of its running (or last) migration (virDomainGetJobStats).
struct MigrationProgress {
    MigrationStatus status = MigrationStatus::none;
    std::string error;
    Milliseconds elapsed{0};
    std::optional<Milliseconds> downtime;
    Bytes sent;
    Bytes remaining;
    Bytes total;
    BytesPerSecond throughput;
    std::int64_t dirty_pages_per_second = 0;
    Bytes page_size{4096};
    int iteration = 0;
    std::int64_t post_copy_requests = 0;
    std::optional<Milliseconds> setup;  ///< QEMU's setup time
    std::int64_t constant_pages = 0;    ///< sent as one byte (zero pages)
    std::int64_t normal_pages = 0;      ///< sent in full
    int throttle = 0;                   ///< per cent of vCPU time that auto-converge takes now
    Bytes disk_remaining;               ///< of disks copied along
    Bytes disk_total;
    std::optional<MigrationCompression> compression;  ///< with XBZRLE
};

/// What libvirt's dirty-rate calculation says of a domain (virDomainStartDirtyRateCalc, and its line in the
/// statistics).
struct DirtyRate {
    enum class Status : std::uint8_t { unstarted, measuring, measured };
    Status status = Status::unstarted;
    Seconds window{0};    ///< the period that was measured
    BytesPerSecond rate;  ///< unique memory dirtied in the window, divided by it
    Bytes resolution;     ///< of rate x window: what one sampled page stands for, or one unit of the answer
};

enum class LinkState : std::uint8_t { connecting, up, slow, unreachable };

/// Why something changed, as the host saw it. A hint to look again: the reconciler reads the host before it believes.
struct DriverEvent {
    enum class Kind : std::uint8_t {
        link,               ///< the connection's state changed: see `link`, `detail`
        domain_changed,     ///< life cycle, definition, devices, balloon or metadata of `vm`
        domain_removed,     ///< undefined, or a transient domain ended
        migration_round,    ///< libvirt's iteration event: `number` is the round
        job_completed,      ///< `vm`'s job ended
        inventory_changed,  ///< pools or networks changed; or the host was (re)connected and must be listed
    };
    Kind kind = Kind::domain_changed;
    HostId host;
    VmId vm;
    LinkState link = LinkState::up;
    int number = 0;
    std::string detail;  ///< "started: booted", "balloon 128 MiB", …
};

/// Called from any thread; it copies and posts, never blocks.
using EventSink = std::function<void(const DriverEvent&)>;

/// How a host is reached.
struct HostTarget {
    HostId id;
    std::string uri;
    Milliseconds connect_timeout{10'000};
    Milliseconds call_timeout{15'000};
};

}  // namespace ballast::drivers
