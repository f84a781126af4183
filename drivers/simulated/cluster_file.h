#pragma once
// cluster.json: a simulated cluster as somebody writes it down (docs/howto/simulate.md describes every key). Hosts and
// VMs come in groups of N alike; loads, guests, links and failures are parameters. Reading is strict: an unknown key, a
// value out of range or a name that nothing bears is an error with its path ("vms[1].load.noise: …"). Pure, but for
// read_cluster_file.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/error.h"
#include "core/json.h"
#include "core/units.h"
#include "core/vm.h"
#include "drivers/simulated/guest_memory.h"
#include "drivers/simulated/load.h"

namespace ballast::drivers::simulated {

struct PoolEntry {
    std::string name = "shared";
    std::string path = "/srv/shared";
    bool shared = true;  ///< one storage behind the pools of all hosts that have it; false: each host's own
    Bytes capacity = gibibytes(10'240);
};
BOOST_DESCRIBE_STRUCT(PoolEntry, (), (name, path, shared, capacity))

/// Page merging as it is when a host boots; without it, VMs of one group that run at the beginning are merged long
/// since.
struct KsmEntry {
    bool run = true;
    bool advisor = false;  ///< the kernel's own: nobody else may set `pages_to_scan`
    std::int64_t pages_to_scan = 100;
    Milliseconds sleep{20};
};
BOOST_DESCRIBE_STRUCT(KsmEntry, (), (run, advisor, pages_to_scan, sleep))

struct HostGroup {
    std::string name;
    std::optional<int> count;  ///< that many, named name1, name2, …; without: one, named as it is
    int cpus = 16;
    Bytes memory = gibibytes(64);
    std::string cpu_model = "EPYC";
    BytesPerSecond link{1'250'000'000};
    std::optional<BytesPerSecond> stream;  ///< what one connection of a migration carries
    double pull_share = 1;                 ///< of a stream's speed while memory is pulled
    double stopped_share = 1;              ///< of a stream's speed in a stop-and-copy
    Milliseconds boot{120'000};
    bool post_copy = true;
    std::optional<std::uint64_t> qemu_version;
    std::map<std::string, std::string> labels;
    int rack_size = 0;    ///< every so many hosts share a label `rack`; 0: none is set
    bool managed = true;  ///< false: Ballast only observes it
    Bytes own;            ///< memory that it needs itself
    Bytes cache;          ///< its own page cache, as far as there is room
    Bytes swap = gibibytes(8);
    Bytes save_room = gibibytes(1'024);
    BytesPerSecond save_rate{500'000'000};
    KsmEntry ksm;
    bool exporter = true;  ///< its memory pressure can be read
};
BOOST_DESCRIBE_STRUCT(HostGroup, (),
                      (name, count, cpus, memory, cpu_model, link, stream, pull_share, stopped_share, boot, post_copy,
                       qemu_version, labels, rack_size, managed, own, cache, swap, save_room, save_rate, ksm, exporter))

struct LoadEntry {
    LoadPattern pattern = LoadPattern::constant;
    double cpu = 0.1;
    double swing = 0;
    double peak_hour = 14;
    Seconds period{24 * 3600};
    Seconds phase{0};
    Seconds phase_step{0};  ///< each further VM of the group is that much earlier than the one before
    double noise = 0;
    Seconds noise_slot{300};
};
BOOST_DESCRIBE_STRUCT(LoadEntry, (), (pattern, cpu, swing, peak_hour, period, phase, phase_step, noise, noise_slot))

/// See MemoryLoad. `step_after` counts from the beginning.
struct MemoryEntry {
    MemoryPattern pattern = MemoryPattern::constant;
    Bytes wants = mebibytes(256);
    Bytes swing;
    double peak_hour = 14;
    Seconds period{24 * 3600};
    Seconds phase{0};
    Seconds phase_step{0};
    Bytes step_to;
    Seconds step_after{0};
    std::optional<Seconds> step_for;
    std::optional<Seconds> step_every;
    std::optional<Bytes> cache;
    Bytes swap = gibibytes(1);
    Bytes overhead = mebibytes(100);
    BytesPerSecond inflate{mebibytes(200).count()};
    BytesPerSecond deflate{mebibytes(1'000).count()};
    BytesPerSecond touch{mebibytes(300).count()};
    BytesPerSecond disk{mebibytes(60).count()};
    BytesPerSecond reads{mebibytes(40).count()};
    BytesPerSecond unshares{0};
    // What is wrong with its balloon; see GuestFaults.
    bool sticks = false;
    bool no_driver = false;
    bool silent = false;
    std::optional<Bytes> claims_unused;
};
BOOST_DESCRIBE_STRUCT(MemoryEntry, (),
                      (pattern, wants, swing, peak_hour, period, phase, phase_step, step_to, step_after, step_for,
                       step_every, cache, swap, overhead, inflate, deflate, touch, disk, reads, unshares, sticks,
                       no_driver, silent, claims_unused))

struct GuestEntry {
    std::optional<Bytes> touched;
    Bytes working_set;
    BytesPerSecond dirty_rate;
    Bytes slow_set;
    BytesPerSecond slow_rate;
    double delta = 0.5;
    double memory_swing = 0;
    std::string sharing;
    Bytes shared;
    bool answers_acpi = true;
    Milliseconds shutdown{500};
    Milliseconds boot{0};
    std::optional<MemoryEntry> memory;  ///< none: `touched` is all that is known
};
BOOST_DESCRIBE_STRUCT(GuestEntry, (),
                      (touched, working_set, dirty_rate, slow_set, slow_rate, delta, memory_swing, sharing, shared,
                       answers_acpi, shutdown, boot, memory))

/// even: one host after the other. uneven: the first hosts hold most. random: anywhere.
enum class Spread : std::uint8_t { even, uneven, random };
BOOST_DESCRIBE_ENUM(Spread, even, uneven, random)

struct VmGroup {
    std::string name;
    std::optional<int> count;
    int vcpus = 1;
    Bytes memory = gibibytes(1);
    Bytes disk;  ///< in the first shared pool; 0: no disk
    LoadEntry load;
    GuestEntry guest;
    double vary = 0;  ///< by how much the members differ in load and working set, 0 to 1
    bool running = true;
    std::vector<std::string> hosts;  ///< names of hosts or of host groups; empty: all
    Spread spread = Spread::even;
    std::map<std::string, std::string> labels;
    std::string anti_affinity;
    bool autostart = false;
    MovePolicy moves = MovePolicy::free;
    bool managed = true;   ///< false: Ballast only observes it
    Bytes memory_minimum;  ///< guaranteed; 0: all of it
    BalloonSpec balloon;
    OvercommitSpec overcommit;
};
BOOST_DESCRIBE_STRUCT(VmGroup, (),
                      (name, count, vcpus, memory, disk, load, guest, vary, running, hosts, spread, labels,
                       anti_affinity, autostart, moves, managed, memory_minimum, balloon, overcommit))

struct LinkEntry {
    std::string from;
    std::string to;
    BytesPerSecond bandwidth;
};
BOOST_DESCRIBE_STRUCT(LinkEntry, (), (from, to, bandwidth))

enum class FailureKind : std::uint8_t {
    crash,
    unreachable,
    hang,
    cut,
    silent_cut,
    kill_qemu,
    fill_pool,
    drop_events,
    stop_ksm,
    advise_ksm,
    silence_exporter,
    stick_balloon,
    lose_driver,
    silence_guest
};
BOOST_DESCRIBE_ENUM(FailureKind, crash, unreachable, hang, cut, silent_cut, kill_qemu, fill_pool, drop_events, stop_ksm,
                    advise_ksm, silence_exporter, stick_balloon, lose_driver, silence_guest)

/// Whether it strikes a VM, not a host.
[[nodiscard]] bool is_of_vm(FailureKind kind);

/// Once after `after`, again every `every` or at random; lasts for `lasts`, or for good.
struct FailureEntry {
    FailureKind what = FailureKind::crash;
    Seconds after{0};
    std::optional<Seconds> lasts;
    std::optional<Seconds> every;
    std::optional<Seconds> mean_between;  ///< at random, so far apart on average; `host` empty: any host each time
    std::string host;
    std::string peer;  ///< cut, silent_cut: the other end
    std::string vm;    ///< of what happens to a VM: kill_qemu, stick_balloon, lose_driver, silence_guest
    std::string pool;  ///< fill_pool
};
BOOST_DESCRIBE_STRUCT(FailureEntry, (), (what, after, lasts, every, mean_between, host, peer, vm, pool))

/// How long things take; see Timing.
struct TimingEntry {
    Milliseconds call{0};
    Milliseconds migration_setup{200};
    Milliseconds device_state{2};
    Milliseconds broken_stream{1'000};
    Milliseconds peer_keepalive{30'000};
    Milliseconds silent_stream{900'000};
};
BOOST_DESCRIBE_STRUCT(TimingEntry, (),
                      (call, migration_setup, device_state, broken_stream, peer_keepalive, silent_stream))

struct ClusterFile {
    std::string comment;  ///< for people
    std::uint64_t seed = 1;
    TimingEntry timing;
    std::vector<PoolEntry> pools{PoolEntry{}};
    std::vector<HostGroup> hosts;
    std::vector<VmGroup> vms;
    std::vector<LinkEntry> links;
    std::vector<FailureEntry> failures;
};
BOOST_DESCRIBE_STRUCT(ClusterFile, (), (comment, seed, timing, pools, hosts, vms, links, failures))

/// Errors: invalid_argument with the path of what is wrong.
[[nodiscard]] Result<ClusterFile> parse_cluster(std::string_view text);
/// The same from a file. Errors: not_found, invalid_argument; both name the file.
[[nodiscard]] Result<ClusterFile> read_cluster_file(const std::string& path);

/// JSON Schemas of the file's types by name.
[[nodiscard]] Json cluster_file_schema();

/// The names of a group: name1 … nameN, or the name alone.
[[nodiscard]] std::vector<std::string> member_names(const std::string& name, const std::optional<int>& count);

}  // namespace ballast::drivers::simulated
