#pragma once
// What is said of the memory of hosts and VMs: the controller's pictures (daemon/overcommit/picture.h) for people. Made
// by pure functions; described types only.

#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/snapshot.h"
#include "daemon/overcommit/picture.h"
#include "daemon/store/memory_history.h"
#include "daemon/store/vm_memory_history.h"

namespace ballast::api {

/// One host in a line, as of its last sweep.
struct HostMemoryNow {
    Timestamp at;
    overcommit::Sight sight = overcommit::Sight::blind;
    memory::Level level = memory::Level::comfortable;
    Bytes total;
    Bytes reserve;
    Bytes free;  ///< beyond the reserve
    Bytes promised;
    Bytes ballooned;
    Bytes saved;
    double risk = 0;
    Bytes unmet;
    bool admits = true;
    int vms = 0;
    std::string standing_back;
};
BOOST_DESCRIBE_STRUCT(HostMemoryNow, (),
                      (at, sight, level, total, reserve, free, promised, ballooned, saved, risk, unmet, admits, vms,
                       standing_back))

struct HostMemoryLine {
    HostId host;
    std::string name;
    MemoryPolicy policy = MemoryPolicy::none;
    std::optional<HostMemoryNow> now;  ///< null: it was not read yet
};
BOOST_DESCRIBE_STRUCT(HostMemoryLine, (), (host, name, policy, now))

/// Of the hosts that were read.
struct MemorySums {
    int hosts = 0;
    int hosts_read = 0;
    int vms = 0;
    Bytes total;
    Bytes reserve;
    Bytes free;
    Bytes promised;
    Bytes ballooned;
    Bytes saved;
    Bytes unmet;
    memory::Level worst_level = memory::Level::comfortable;
    double highest_risk = 0;
};
BOOST_DESCRIBE_STRUCT(MemorySums, (),
                      (hosts, hosts_read, vms, total, reserve, free, promised, ballooned, saved, unmet, worst_level,
                       highest_risk))

struct MemoryView {
    std::vector<HostMemoryLine> hosts;  ///< by name
    MemorySums sums;
};
BOOST_DESCRIBE_STRUCT(MemoryView, (), (hosts, sums))

struct MemoryPart {
    std::string part;  ///< "guest in use"
    Bytes size;
};
BOOST_DESCRIBE_STRUCT(MemoryPart, (), (part, size))

/// promised = resident_guest + ballooned + never_touched
struct MemoryPromises {
    Bytes promised;
    Bytes resident_guest;
    Bytes ballooned;
    Bytes never_touched;
};
BOOST_DESCRIBE_STRUCT(MemoryPromises, (), (promised, resident_guest, ballooned, never_touched))

/// Settings of page merging that Ballast set, or found before it set any.
struct KsmSetView {
    std::optional<std::int64_t> pages_to_scan;
    std::optional<bool> merge_across_nodes;  ///< null: left as it was
};
BOOST_DESCRIBE_STRUCT(KsmSetView, (), (pages_to_scan, merge_across_nodes))

struct KsmView {
    memory::KsmState state = memory::KsmState::absent;
    std::string why;
    std::optional<drivers::KsmSettings> now;  ///< as the host had them when the sweep read it; null: no KSM
    bool managed = false;                     ///< Ballast tunes them
    std::optional<KsmSetView> set;            ///< what Ballast set, the last sweep included; null: nothing
    std::optional<KsmSetView> found;          ///< before that; put back when the policy becomes none
    std::string foreign;                      ///< who else tunes it, or that it does not run; empty: nobody noticed
    std::optional<Timestamp> stands_back_until;
    Bytes shared;  ///< the copies that are kept
    Bytes saved;
    memory::Saving expected;  ///< of the groups of alike VMs, once all is scanned
    double gain_pages_per_cpu_second = 0;
    double estimated_cpu_share = 0;  ///< of one core, from a time per page: libvirt does not give it
};
BOOST_DESCRIBE_STRUCT(KsmView, (),
                      (state, why, now, managed, set, found, foreign, stands_back_until, shared, saved, expected,
                       gain_pages_per_cpu_second, estimated_cpu_share))

struct ExporterView {
    overcommit::Sight sight = overcommit::Sight::blind;
    std::string url;
    std::string why;  ///< it can't be read
};
BOOST_DESCRIBE_STRUCT(ExporterView, (), (sight, url, why))

struct HostMemoryView {
    HostId host;
    std::string name;
    Timestamp at;
    MemoryPolicy policy = MemoryPolicy::none;
    std::string standing_back;
    Bytes total;
    std::vector<MemoryPart> parts;  ///< sum exactly to the total
    MemoryPromises promises;
    memory::Level level = memory::Level::comfortable;
    Timestamp level_since;
    std::string level_why;
    bool admits = true;
    memory::Admission risk;
    Bytes unmet;
    KsmView ksm;
    ExporterView exporter;
    std::vector<overcommit::VmPicture> vms;
};
BOOST_DESCRIBE_STRUCT(HostMemoryView, (),
                      (host, name, at, policy, standing_back, total, parts, promises, level, level_since, level_why,
                       admits, risk, unmet, ksm, exporter, vms))

struct VmMemoryView {
    VmId vm;
    std::string name;
    HostId host;
    Timestamp at;
    memory::Level host_level = memory::Level::comfortable;
    std::string standing_back;
    OvercommitSpec overcommit;
    std::string pending;  ///< what of it waits for the next start; empty: nothing
    overcommit::VmPicture now;
};
BOOST_DESCRIBE_STRUCT(VmMemoryView, (), (vm, name, host, at, host_level, standing_back, overcommit, pending, now))

/// Some time of a host: means, and the worst.
struct MemoryHistoryRow {
    Timestamp at;
    Seconds watched{0};
    memory::Level level = memory::Level::comfortable;  ///< the worst
    double risk = 0;                                   ///< the highest
    int vms = 0;                                       ///< the most
    Bytes least_free;
    Bytes most_unmet;
    Bytes total;
    std::vector<MemoryPart> parts;  ///< sum exactly to the total
    Bytes saved;
    Bytes promised;
    Bytes ballooned;
    Bytes never_touched;
};
BOOST_DESCRIBE_STRUCT(MemoryHistoryRow, (),
                      (at, watched, level, risk, vms, least_free, most_unmet, total, parts, saved, promised, ballooned,
                       never_touched))

struct MemoryHistoryView {
    HostId host;
    std::string name;
    std::string resolution;  ///< 10s | 1m | 10m
    std::vector<MemoryHistoryRow> items;
};
BOOST_DESCRIBE_STRUCT(MemoryHistoryView, (), (host, name, resolution, items))

/// Some time of a VM: means, and for how long it lacked memory.
struct VmMemoryHistoryRow {
    Timestamp at;
    Seconds watched{0};
    Bytes balloon;
    Bytes working_set;
    Bytes page_cache;
    Bytes resident;
    Seconds lacked{0};     ///< of what was watched
    bool believed = true;  ///< its figures, all the time
};
BOOST_DESCRIBE_STRUCT(VmMemoryHistoryRow, (),
                      (at, watched, balloon, working_set, page_cache, resident, lacked, believed))

struct VmMemoryHistoryView {
    VmId vm;
    std::string name;
    std::string resolution;  ///< 1m | 10m
    std::vector<VmMemoryHistoryRow> items;
};
BOOST_DESCRIBE_STRUCT(VmMemoryHistoryView, (), (vm, name, resolution, items))

[[nodiscard]] MemoryView view_of(const Snapshot& snapshot, const overcommit::Pictures& pictures);
[[nodiscard]] HostMemoryView view_of(const Host& host, const overcommit::HostPicture& picture);
/// The VM where it is: on its own host, else on any that shows it. nullopt: nowhere.
[[nodiscard]] std::optional<VmMemoryView> view_of(const Vm& vm, const overcommit::Pictures& pictures);
[[nodiscard]] MemoryHistoryRow view_of(const store::MemoryRow& row);
[[nodiscard]] VmMemoryHistoryRow view_of(const store::VmMemoryRow& row);

}  // namespace ballast::api
