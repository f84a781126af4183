#pragma once
// The driver seam: what Ballast asks of a host, in small roles. A driver knows nothing of the scheduler, the store or
// the API.
//
// Thread rule: every call may be awaited on the loop thread and never blocks it; it completes on the executor of the
// awaiting coroutine. A deadline ends the waiting, not the call: `deadline_exceeded` of a mutating call means "outcome
// unknown, read again before any retry". Errors: unavailable (host not connected, or a domain with an overdue call),
// not_found (no such domain, pool or volume), deadline_exceeded, failed_precondition (the hypervisor refused in this
// state), resource_exhausted (memory, disk), already_exists, internal. Arguments are taken by value: a coroutine
// outlives the caller's line.

#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "core/error.h"
#include "drivers/types.h"

namespace ballast::drivers {

template <class T = void>
using Task = boost::asio::awaitable<Result<T>>;

/// A serial console in both directions. Closing it (or its end) makes a pending read return an empty text.
class Console {
  public:
    virtual ~Console() = default;
    virtual Task<std::string> read() = 0;
    virtual Task<> write(std::string bytes) = 0;
    virtual void close() = 0;
};

class Compute {
  public:
    virtual ~Compute() = default;
    virtual Task<HostFacts> read_facts() = 0;
    virtual Task<std::vector<DomainView>> list_domains() = 0;
    virtual Task<DomainView> read_domain(VmId vm) = 0;
    /// Makes or replaces the persistent definition.
    virtual Task<> define(DomainDefinition definition) = 0;
    /// Removes the persistent definition; the domain must not be active. Never removes volumes, snapshots or a managed
    /// save.
    virtual Task<> undefine(VmId vm) = 0;
    virtual Task<> start(VmId vm) = 0;
    /// Asks the guest by ACPI; returns when asked, not when done.
    virtual Task<> shutdown(VmId vm) = 0;
    virtual Task<> reboot(VmId vm) = 0;
    /// Ends the QEMU process at once.
    virtual Task<> destroy(VmId vm) = 0;
    /// Writes the running state to the host's disk and ends the QEMU process: the next start goes on from there. Takes
    /// as long as writing its memory; the host's room for it is for the caller to check (SAFETY.md 12).
    virtual Task<> save(VmId vm) = 0;
    /// Writes owner, epoch and cluster into the metadata, live and config, and clears libvirt's autostart flag
    /// (SAFETY.md 7, 8).
    virtual Task<> stamp(VmId vm, Stamp stamp) = 0;
    virtual Task<std::shared_ptr<Console>> open_console(VmId vm) = 0;
};

class Statistics {
  public:
    virtual ~Statistics() = default;
    /// One bulk call for all domains (NOWAIT: a busy domain is left out).
    virtual Task<HostStats> sweep() = 0;
};

/// Every call but `migrate` runs on the control connection; `migrate` blocks one extra connection for as long as it
/// takes.
class MigrationRole {
  public:
    virtual ~MigrationRole() = default;
    /// Peer to peer, PERSIST_DEST | UNDEFINE_SOURCE. Its return is a hint, never the outcome (ARCHITECTURE.md 2).
    virtual Task<> migrate(MigrationRequest request) = 0;
    virtual Task<MigrationProgress> progress(VmId vm) = 0;
    /// Statistics of the last completed job of the domain; on the target after a migration.
    virtual Task<MigrationProgress> completed(VmId vm) = 0;
    virtual Task<> abort(VmId vm) = 0;
    virtual Task<> start_post_copy(VmId vm) = 0;
    /// Pauses a stalled post-copy so that it can be resumed (VIR_DOMAIN_ABORT_JOB_POSTCOPY).
    virtual Task<> pause_post_copy(VmId vm) = 0;
    virtual Task<> set_downtime_limit(VmId vm, Milliseconds limit) = 0;
    virtual Task<> set_bandwidth(VmId vm, BytesPerSecond bandwidth, bool post_copy) = 0;
    /// Begins to count the memory that the guest dirties in `window` (1 to 60 s); never while a migration of it runs.
    virtual Task<> start_dirty_rate(VmId vm, Seconds window) = 0;
    virtual Task<DirtyRate> dirty_rate(VmId vm) = 0;
    /// Resumes a paused domain; ownership decides whether that is allowed, not the driver.
    virtual Task<> resume(VmId vm) = 0;
    virtual Task<> suspend(VmId vm) = 0;
    /// What this host finds when it looks at the other one: trust, name resolution, ports, versions. One PairCheck each
    /// (SAFETY.md 6).
    virtual Task<std::vector<PairCheck>> probe_peer(std::string peer_uri, std::string migration_address) = 0;
};

class Memory {
  public:
    virtual ~Memory() = default;
    /// A busy domain is left out.
    virtual Task<MemoryStats> read() = 0;
    /// Asks the guest to keep this much; whether and when it follows is up to its driver. Errors: invalid_argument
    /// above its maximum.
    virtual Task<> set_balloon(VmId vm, Bytes target) = 0;
    /// Errors: failed_precondition where the host has no KSM, or somebody else tunes it (the kernel's advisor).
    virtual Task<> set_ksm(KsmSettings settings) = 0;
};

class Storage {
  public:
    virtual ~Storage() = default;
    virtual Task<std::vector<PoolView>> list_pools() = 0;
    virtual Task<std::vector<VolumeView>> list_volumes(std::string pool) = 0;
    virtual Task<VolumeView> read_volume(std::string pool, std::string name) = 0;
    virtual Task<VolumeView> create_volume(NewVolume volume) = 0;
    /// Fills a volume of exactly `size` bytes from the source. A failure leaves the volume for the caller to delete.
    virtual Task<> upload(std::string pool, std::string name, Bytes size, ByteSource source) = 0;
    /// The first `size` bytes of a volume (for nonces and format checks; at most 1 MiB).
    virtual Task<std::string> read_head(std::string pool, std::string name, Bytes size) = 0;
    /// Idempotent: an absent volume is success.
    virtual Task<> delete_volume(std::string pool, std::string name) = 0;
    /// Makes the host look at the pool again (files that another host made).
    virtual Task<> refresh(std::string pool) = 0;
};

/// One host, connected or trying to be. It connects, reconnects with back-off and jitter, re-registers events and says
/// so by LinkState events.
class HostDriver {
  public:
    virtual ~HostDriver() = default;
    [[nodiscard]] virtual Compute& compute() = 0;
    [[nodiscard]] virtual Statistics& statistics() = 0;
    [[nodiscard]] virtual MigrationRole& migration() = 0;
    [[nodiscard]] virtual Memory& memory() = 0;
    [[nodiscard]] virtual Storage& storage() = 0;
    [[nodiscard]] virtual LinkState link() const = 0;
    /// Stops trying; pending calls end with `unavailable`. Idempotent, does not block.
    virtual void close() = 0;
};

/// A kind of hosts, chosen by URI scheme in catalog.cpp.
class Driver {
  public:
    virtual ~Driver() = default;
    /// Whether this driver speaks the URI. Errors: invalid_argument naming what is wrong with it.
    [[nodiscard]] virtual Result<void> check_uri(std::string_view uri) const = 0;
    /// Begins to connect at once, in the background.
    [[nodiscard]] virtual Result<std::shared_ptr<HostDriver>> open(HostTarget target, EventSink sink) = 0;
};

}  // namespace ballast::drivers
