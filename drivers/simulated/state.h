#pragma once
// Everything a World holds, and what happens to it: domains, storage, migrations. Internal to the simulated driver.
// Thread rule: World's mutex guards it; what leaves it (events, ends of calls) goes into the outbox, which World
// delivers without the mutex.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "drivers/driver.h"
#include "drivers/simulated/model.h"
#include "drivers/simulated/precopy.h"
#include "drivers/simulated/virtual_time.h"

namespace ballast::drivers::simulated {

/// A call that somebody awaits. It ends once; later ends are ignored.
class PendingBase {
  public:
    virtual ~PendingBase() = default;
    virtual void end(Error error) = 0;
};

/// One open HostDriver.
struct Session {
    HostTarget target;
    EventSink sink;
    std::string host;
    std::atomic<LinkState> link = LinkState::connecting;  ///< atomics: read without World's mutex
    std::atomic<bool> closed = false;
    std::set<VmId> overdue;  ///< domains with a call past its deadline
    int overdue_calls = 0;
    std::vector<std::weak_ptr<PendingBase>> pending;
};

inline constexpr const char* managed_save = "managed save";  ///< as a bond of a domain (SAFETY.md 11)

/// A running state on the host's disk.
struct SavedImage {
    Bytes size;
    Bytes balloon;
    GuestMemory memory;
    Instant started{};
};

struct SimDomain {
    VmId id;
    std::string name;
    VmSpec config;
    std::optional<VmSpec> live;  ///< what the running QEMU was started with
    std::optional<Stamp> stamp;
    Accelerator accelerator = Accelerator::auto_;
    bool persistent = true;
    bool autostart = false;
    DomainState state = DomainState::shut_off;
    std::string reason = "unknown";
    Bytes balloon;
    std::vector<std::string> bound_by;
    std::map<std::string, std::string> disk_stores;  ///< path -> store when the QEMU opened it
    Instant started{};
    double cpu_seconds = 0;  ///< that its QEMU has used
    GuestMemory memory;      ///< of a guest with a model of it
    Bytes balloon_told;      ///< by the last event
    EqualPages equal;
    double scanned_from = 0;          ///< the scanner's passes when its QEMU began
    std::optional<DomainStats> said;  ///< of a guest whose statistics stopped
    bool saving = false;              ///< its state is being written
    std::optional<SavedImage> image;  ///< of its managed save
    std::optional<MigrationProgress> completed;
    std::optional<Instant> measured_from;  ///< of the last dirty-rate calculation
    Seconds measured_window{0};
};

struct SimVolume {
    std::string name;
    std::string format;
    Bytes capacity;
    Bytes allocation;
    std::string backing_path;
    std::string head;  ///< the first MiB of the content
};

/// What several pools may share.
struct SimStore {
    Bytes capacity;
    Bytes foreign;  ///< used by somebody else
    std::map<std::string, SimVolume> volumes;
    [[nodiscard]] Bytes available() const;
};

struct SimPool {
    PoolModel model;
    std::set<std::string>
        known;  ///< files that this host's libvirtd has seen: its own, and the others' after a refresh
};

struct Fault {
    Call call;
    Error error;
    When when;
};

/// The memory of a host as it was at `settled` (memory.cpp).
struct HostMemory {
    Instant settled{};
    Instant next = Instant::max();            ///< when something of it changes; max: not by itself
    std::optional<VirtualTime::Timer> timer;  ///< for `next`, where somebody must hear of what happens
    bool settling = false;
    bool killing = false;   ///< the kernel is about to end a process
    bool changed = false;   ///< at `settled`, by somebody
    bool modelled = false;  ///< a guest has a model of its memory
    bool tells = false;     ///< a balloon is on its way, or the host may run out
    Scanner scanner;
    double resident = 0;   ///< of all QEMU processes, as they see it
    double mergeable = 0;  ///< of that, what the scanner goes through
    double kept = 0;       ///< merged, one copy of each
    double saved = 0;      ///< what merging saves
    double swapped = 0;    ///< to its swap device
    double swap_in = 0;    ///< a second
    double pressure = 0;   ///< of the last 10 s
    double stalled = 0;    ///< share of time that its processes wait for its swap device
    int oom_kills = 0;
    bool exporter = true;  ///< answers
};

struct SimHost {
    HostModel model;
    bool reachable = true;  ///< by Ballast
    bool crashed = false;
    bool hung = false;
    bool drops_events = false;
    std::map<VmId, SimDomain> domains;
    std::unordered_map<std::string, VmId> names;
    std::map<std::string, SimPool> pools;
    std::vector<std::weak_ptr<Session>> sessions;
    std::deque<Fault> faults;
    std::vector<std::function<void()>> parked;  ///< acts of a hung host
    std::set<VmId> outgoing;
    std::set<VmId> incoming;
    Instant booted{};
    HostMemory memory;
    Instant cpu_settled{};    ///< until when CPU time is counted
    double busy_seconds = 0;  ///< of all cores, since it booted
};

/// What a step of a host's memory finds out.
struct MemoryStep {
    Instant when{};
    double promised = 0;              ///< what its guests and itself may come to
    bool moving = false;              ///< something is on its way: look again in a second
    bool varies = false;              ///< something changes slowly
    bool balloons = false;            ///< a balloon is on its way
    Instant change = Instant::max();  ///< when something changes
    Merged merged{};
};

enum class Stage : std::uint8_t { setup, mirror, push, stop, pull, paused };

/// A migration on its way. The bytes flow at `rate` since `settled`.
struct SimMigration {
    VmId vm;
    std::string from;
    std::string to;
    MigrationRequest request;
    Stage stage = Stage::setup;
    Instant begun{};
    Instant stopped{};  ///< the source's vCPUs, when the downtime began
    Instant settled{};
    Instant round_begun{};
    double total = 0;
    double sent = 0;       ///< bytes of the wire, disks among them
    double remaining = 0;  ///< of the round, the stop phase or the pull
    double rate = 0;
    double pulled = 0;
    double goal_left = 0;    ///< of the round, until the bitmap is read again
    double throttle = 0;     ///< auto-converge: share of vCPU time taken away
    double wire = 1;         ///< bytes sent for one byte of memory: xbzrle makes it less
    double compressed = 0;   ///< bytes of memory that were sent as differences
    double differences = 0;  ///< bytes of the wire that they took
    double disk_total = 0;
    double disk_left = 0;  ///< of disks copied along
    double previous_dirty = 0;
    int round = 0;
    std::int64_t requests = 0;
    std::optional<Milliseconds> downtime;
    std::optional<VirtualTime::Timer> timer;
    std::optional<VirtualTime::Timer> break_timer;
    std::vector<std::function<void(Result<void>)>> waiters;
};

struct SimLink {
    std::optional<BytesPerSecond> bandwidth;
    Cut cut = Cut::none;
};

class State {
  public:
    explicit State(std::uint64_t seed, Instant start);

    // Hosts, events, calls (state.cpp).
    [[nodiscard]] SimHost* find_host(const std::string& name);
    void emit(const SimHost& host, DriverEvent event);
    void emit_domain(const std::string& host, const VmId& vm, DriverEvent::Kind kind, std::string detail);
    void set_session_link(const std::shared_ptr<Session>& session, LinkState link, const std::string& detail);
    void set_link(const SimHost& host, LinkState link, const std::string& detail);
    [[nodiscard]] const GuestLoad& load_of(const VmId& vm) const;
    [[nodiscard]] Result<SimDomain*> domain(const std::string& host, const VmId& vm);
    [[nodiscard]] SimLink& link_between(const std::string& a, const std::string& b);

    // Domains (domains.cpp).
    Result<HostFacts> read_facts(const std::string& host);
    Result<std::vector<DomainView>> list_domains(const std::string& host);
    Result<DomainView> read_domain(const std::string& host, const VmId& vm);
    Result<void> define(const std::string& host, const DomainDefinition& definition);
    Result<void> undefine(const std::string& host, const VmId& vm);
    Result<void> start(const std::string& host, const VmId& vm);
    Result<void> shutdown(const std::string& host, const VmId& vm);
    Result<void> reboot(const std::string& host, const VmId& vm);
    Result<void> destroy(const std::string& host, const VmId& vm);
    void save(const std::string& host, const VmId& vm, std::function<void(Result<void>)> done);
    Result<void> stamp(const std::string& host, const VmId& vm, const Stamp& stamp);
    Result<void> suspend(const std::string& host, const VmId& vm);
    Result<void> resume(const std::string& host, const VmId& vm);
    Result<MemoryStats> read_memory(const std::string& host);
    Result<void> set_balloon(const std::string& host, const VmId& vm, Bytes target);
    Result<void> set_ksm(const std::string& host, const KsmSettings& settings);
    /// The QEMU process ends; a transient domain goes with it.
    void end_qemu(const std::string& host, const VmId& vm, const std::string& reason, DomainState left);
    void forget_domain(const std::string& host, const VmId& vm);

    // Memory (memory.cpp).
    /// Brings it up to now. The same however often it is called.
    void settle_memory(SimHost& host);
    /// Call it before what runs on the host, or anything about its memory, changes.
    void before_change(SimHost& host);
    /// A timer for the next step, where somebody must hear of it at that moment.
    void plan_memory(SimHost& host);
    /// The VM has come to be there: it may have a model of its memory.
    void expect_model(SimHost& host, const VmId& vm);
    void set_load(const VmId& vm, GuestLoad load);
    /// A guest with all of its memory, as QEMU starts it; `long_since`: it has what it wants, and is merged.
    void begin_memory(SimHost& host, SimDomain& domain);
    void age_memory(SimHost& host, SimDomain& domain);
    /// The guest goes on at the target with what it has at the source.
    void carry_memory(const SimMigration& migration);
    [[nodiscard]] const GuestFaults& faults_of(const VmId& vm) const;
    [[nodiscard]] std::optional<HostPressure> pressure_of(SimHost& host);
    /// For running states, on its disk.
    [[nodiscard]] static Bytes save_room_left(const SimHost& host);
    /// What its process holds of the host's memory.
    [[nodiscard]] double resident_of(const SimDomain& domain) const;
    struct HostFigures {
        Bytes free;
        Bytes cached;
    };
    [[nodiscard]] HostFigures host_figures(const SimHost& host) const;

    // CPU time, and what the statistics show (statistics.cpp).
    Result<HostStats> sweep(const std::string& host);
    [[nodiscard]] DomainStats stats_of(const SimHost& host, const SimDomain& domain) const;
    void settle_cpu(SimHost& host, Instant until);
    [[nodiscard]] double wanted_cores(const SimDomain& domain, Instant when) const;

    // Storage (storage.cpp).
    Result<std::vector<PoolView>> list_pools(const std::string& host);
    Result<std::vector<VolumeView>> list_volumes(const std::string& host, const std::string& pool);
    Result<VolumeView> read_volume(const std::string& host, const std::string& pool, const std::string& name);
    Result<VolumeView> create_volume(const std::string& host, const NewVolume& volume);
    Result<void> check_upload(const std::string& host, const std::string& pool, const std::string& name, Bytes size);
    Result<void> upload(const std::string& host, const std::string& pool, const std::string& name, Bytes size,
                        std::string head);
    Result<std::string> read_head(const std::string& host, const std::string& pool, const std::string& name,
                                  Bytes size);
    Result<void> delete_volume(const std::string& host, const std::string& pool, const std::string& name);
    Result<void> refresh(const std::string& host, const std::string& pool);
    /// The store behind a path on a host; nullptr: the path is in no pool.
    [[nodiscard]] SimStore* store_of(const SimHost& host, const std::string& path, std::string* name, std::string* key);

    // Migration (migration.cpp, migration_breaks.cpp).
    void migrate(const std::string& host, const MigrationRequest& request, std::function<void(Result<void>)> done);
    Result<MigrationProgress> progress(const std::string& host, const VmId& vm);
    Result<MigrationProgress> completed(const std::string& host, const VmId& vm);
    Result<void> abort(const std::string& host, const VmId& vm);
    Result<void> start_post_copy(const std::string& host, const VmId& vm);
    Result<void> pause_post_copy(const std::string& host, const VmId& vm);
    Result<void> set_downtime_limit(const std::string& host, const VmId& vm, Milliseconds limit);
    Result<void> set_bandwidth(const std::string& host, const VmId& vm, BytesPerSecond bandwidth, bool post_copy);
    Result<void> start_dirty_rate(const std::string& host, const VmId& vm, Seconds window);
    Result<DirtyRate> dirty_rate(const std::string& host, const VmId& vm);
    Result<std::vector<PairCheck>> probe_peer(const std::string& host, const std::string& peer_uri);
    /// Bandwidth is shared anew among the migrations that touch either host.
    void share_links(const std::string& a, const std::string& b);
    void link_changed(const std::string& a, const std::string& b);
    /// A QEMU of the VM is gone on one side: what becomes of the other.
    void qemu_gone(const std::string& host, const VmId& vm);

    VirtualTime time;
    Timing timing;
    std::mt19937_64 random;
    std::unordered_map<std::string, SimHost> hosts;
    std::map<std::string, SimStore> stores;
    std::map<std::pair<std::string, std::string>, SimLink> links;
    std::unordered_map<VmId, GuestLoad> loads;
    std::unordered_map<VmId, GuestFaults> guest_faults;
    std::set<VmId> known_vms;  ///< ever, anywhere
    GuestLoad common_load;
    double counted = 1;  ///< seconds that a counter shows for a second of this world: less when time is sped up
    std::map<VmId, SimMigration> migrations;
    std::vector<std::string> damage;  ///< guests that went on with another disk's bytes
    std::deque<std::move_only_function<void()>> outbox;

  private:
    Result<void> begin_save(const std::string& host, const VmId& vm);
    void step_memory(SimHost& host, Instant when);
    void step_guest(SimHost& host, SimDomain& domain, MemoryStep& step);
    void step_equal(SimHost& host, SimDomain& domain, double seconds, MemoryStep& step);
    bool step_host(SimHost& host, double seconds);
    [[nodiscard]] GuestRules rules_of(const SimDomain& domain) const;
    [[nodiscard]] double equal_of(const SimDomain& domain) const;
    [[nodiscard]] KsmStats ksm_of(const SimHost& host) const;
    Result<void> check_migration(const SimHost& host, const MigrationRequest& request, std::string* target);
    Result<void> check_disks(const SimHost& from, const SimHost& to, const SimDomain& domain,
                             const MigrationRequest& request);
    Result<void> resume_migration(const std::string& host, const MigrationRequest& request,
                                  const std::function<void(Result<void>)>& done);
    void begin_mirror(const VmId& vm);
    void begin_stream(const VmId& vm);
    void settle(SimMigration& migration);
    void schedule(SimMigration& migration);
    void phase_over(const VmId& vm);
    void round_over(SimMigration& migration);
    void begin_round(SimMigration& migration, double dirty);
    void throttle(SimMigration& migration, double dirty);
    void stop_source(SimMigration& migration);
    void switch_over(SimMigration& migration);
    void hand_over(SimMigration& migration, DomainState target_state, const std::string& reason);
    void finish(const VmId& vm);
    void fail_push(const VmId& vm, const Error& error);
    void break_pull(SimMigration& migration, const std::string& reason);
    void answer(SimMigration& migration, const Result<void>& result);
    void note_damage(const SimMigration& migration);
    [[nodiscard]] double line_rate(const SimMigration& migration);
    [[nodiscard]] double wire_of(const SimMigration& migration) const;
    [[nodiscard]] double disk_bytes(const SimMigration& migration);
    void copy_volumes(const SimMigration& migration);
    void make_copies(const SimMigration& migration);
    [[nodiscard]] bool has_room_for_copies(const SimMigration& migration);
    [[nodiscard]] double rate_of(const SimMigration& migration);
    [[nodiscard]] Dirtying dirtying(const SimMigration& migration) const;
    [[nodiscard]] MigrationProgress report(const SimMigration& migration);
    [[nodiscard]] Result<SimMigration*> outgoing(const std::string& host, const VmId& vm);
};

/// "sim://h1/system" -> "h1".
[[nodiscard]] Result<std::string> parse_uri(std::string_view uri);
[[nodiscard]] Dirtying dirtying_of(const GuestLoad& load);
/// libvirt lets nothing else change a domain's life while a migration or a save holds it.
[[nodiscard]] Result<void> check_no_job(const State& state, const SimDomain& domain);
/// Whether its QEMU lets the kernel merge its pages.
[[nodiscard]] bool merges(const SimDomain& domain);
/// Whether the guest's vCPUs run.
[[nodiscard]] bool executes(DomainState state);
[[nodiscard]] DomainView view_of(const SimDomain& domain);
/// The text of the definition, for people and for "did anything change".
[[nodiscard]] std::string text_of(const SimDomain& domain);

}  // namespace ballast::drivers::simulated
