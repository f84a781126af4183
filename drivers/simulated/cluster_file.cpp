#include "drivers/simulated/cluster_file.h"

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "core/json_impl.h"
#include "core/try.h"

namespace ballast::drivers::simulated {
namespace {

constexpr int most_hosts = 20'000;
constexpr int most_vms = 400'000;
constexpr int most_cpus = 4'096;
constexpr std::int64_t most_pages_to_scan = 1'000'000;
constexpr Seconds longest{10LL * 365 * 24 * 3600};

struct Names {
    std::set<std::string> hosts;
    std::set<std::string> host_groups;
    std::set<std::string> vms;
    std::set<std::string> pools;
};

Result<void> wrong(const std::string& path, const std::string& what) {
    return fail(Code::invalid_argument, "{}: {}", path, what);
}

Result<void> check_share(const std::string& path, double value) {
    if (std::isfinite(value) && value >= 0 && value <= 1) return {};
    return wrong(path, fmt::format("{} is not a share from 0 to 1", value));
}

Result<void> check_bytes(const std::string& path, Bytes value, Bytes least = Bytes(0)) {
    if (value >= least) return {};
    return wrong(path, fmt::format("{} is less than {}", value, least));
}

Result<void> check_rate(const std::string& path, BytesPerSecond value, std::int64_t least = 0) {
    if (value.count() >= least) return {};
    return wrong(path, fmt::format("{} bytes per second are less than {}", value.count(), least));
}

template <class Duration>
Result<void> check_time(const std::string& path, Duration value, Duration least = Duration(0)) {
    if (value >= least && value <= longest) return {};
    return wrong(path, fmt::format("{} is not from {} to ten years", value.count(), least.count()));
}

Result<void> check_count(const std::string& path, const std::optional<int>& count, int most) {
    if (!count || (*count >= 1 && *count <= most)) return {};
    return wrong(path + ".count", fmt::format("{} is not from 1 to {}", *count, most));
}

/// Every name of the group is a legal one and nobody else's.
Result<void> add_names(const std::string& path, std::string_view what, const std::string& name,
                       const std::optional<int>& count, std::set<std::string>& taken) {
    for (const auto& member : member_names(name, count)) {
        if (const auto legal = check_name(what, member); !legal) return wrong(path + ".name", legal.error().message());
        if (!taken.insert(member).second)
            return wrong(path + ".name", fmt::format("there are two {}s named '{}'", what, member));
    }
    return {};
}

Result<void> check_known(const std::string& path, std::string_view what, const std::string& name,
                         const std::set<std::string>& known) {
    if (known.contains(name)) return {};
    const std::string near = nearest(name, known);
    return wrong(path, fmt::format("there is no {} '{}'{}", what, name,
                                   near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

Result<void> check_memory(const std::string& path, const HostGroup& group) {
    BALLAST_CHECK(check_bytes(path + ".own", group.own));
    if (group.own >= group.memory) return wrong(path + ".own", fmt::format("leaves nothing of {}", group.memory));
    BALLAST_CHECK(check_bytes(path + ".cache", group.cache));
    BALLAST_CHECK(check_bytes(path + ".swap", group.swap));
    BALLAST_CHECK(check_bytes(path + ".save_room", group.save_room));
    BALLAST_CHECK(check_rate(path + ".save_rate", group.save_rate, 1));
    if (group.ksm.pages_to_scan < 0 || group.ksm.pages_to_scan > most_pages_to_scan)
        return wrong(path + ".ksm.pages_to_scan",
                     fmt::format("{} is not from 0 to {}", group.ksm.pages_to_scan, most_pages_to_scan));
    return check_time(path + ".ksm.sleep", group.ksm.sleep, Milliseconds(1));
}

Result<void> check(const std::string& path, const HostGroup& group, Names& names) {
    BALLAST_CHECK(check_count(path, group.count, most_hosts));
    BALLAST_CHECK(add_names(path, "host", group.name, group.count, names.hosts));
    names.host_groups.insert(group.name);
    if (group.cpus < 1 || group.cpus > most_cpus)
        return wrong(path + ".cpus", fmt::format("{} is not from 1 to {}", group.cpus, most_cpus));
    BALLAST_CHECK(check_bytes(path + ".memory", group.memory, mebibytes(1)));
    BALLAST_CHECK(check_rate(path + ".link", group.link, 1));
    if (group.stream) BALLAST_CHECK(check_rate(path + ".stream", *group.stream, 1));
    BALLAST_CHECK(check_share(path + ".pull_share", group.pull_share));
    BALLAST_CHECK(check_share(path + ".stopped_share", group.stopped_share));
    if (group.pull_share <= 0 || group.stopped_share <= 0)
        return wrong(path, "`pull_share` and `stopped_share` must be above 0, or no migration would end");
    BALLAST_CHECK(check_time(path + ".boot", group.boot));
    BALLAST_CHECK(check_memory(path, group));
    if (group.rack_size < 0) return wrong(path + ".rack_size", "is negative; 0 sets no rack");
    return {};
}

Result<void> check(const std::string& path, const LoadEntry& load) {
    BALLAST_CHECK(check_share(path + ".cpu", load.cpu));
    BALLAST_CHECK(check_share(path + ".swing", load.swing));
    BALLAST_CHECK(check_share(path + ".noise", load.noise));
    if (!std::isfinite(load.peak_hour) || load.peak_hour < 0 || load.peak_hour >= 24)
        return wrong(path + ".peak_hour", fmt::format("{} is no hour of the day", load.peak_hour));
    BALLAST_CHECK(check_time(path + ".period", load.period, Seconds(1)));
    BALLAST_CHECK(check_time(path + ".phase", load.phase));
    BALLAST_CHECK(check_time(path + ".phase_step", load.phase_step));
    return check_time(path + ".noise_slot", load.noise_slot, Seconds(1));
}

Result<void> check(const std::string& path, const MemoryEntry& entry, Bytes memory) {
    const auto within = [&](const char* key, Bytes value) -> Result<void> {
        BALLAST_CHECK(check_bytes(fmt::format("{}.{}", path, key), value));
        if (value <= memory) return {};
        return wrong(fmt::format("{}.{}", path, key), fmt::format("{} is more than its memory of {}", value, memory));
    };
    BALLAST_CHECK(within("wants", entry.wants));
    BALLAST_CHECK(within("swing", entry.swing));
    BALLAST_CHECK(within("step_to", entry.step_to));
    if (entry.cache) BALLAST_CHECK(within("cache", *entry.cache));
    if (!std::isfinite(entry.peak_hour) || entry.peak_hour < 0 || entry.peak_hour >= 24)
        return wrong(path + ".peak_hour", fmt::format("{} is no hour of the day", entry.peak_hour));
    BALLAST_CHECK(check_time(path + ".period", entry.period, Seconds(1)));
    BALLAST_CHECK(check_time(path + ".phase", entry.phase));
    BALLAST_CHECK(check_time(path + ".phase_step", entry.phase_step));
    BALLAST_CHECK(check_time(path + ".step_after", entry.step_after));
    if (entry.step_for) BALLAST_CHECK(check_time(path + ".step_for", *entry.step_for, Seconds(1)));
    if (entry.step_every) BALLAST_CHECK(check_time(path + ".step_every", *entry.step_every, Seconds(1)));
    if (entry.step_every && (!entry.step_for || *entry.step_for >= *entry.step_every))
        return wrong(path + ".step_every", "a step that comes again needs a shorter `step_for`");
    BALLAST_CHECK(check_bytes(path + ".swap", entry.swap));
    BALLAST_CHECK(check_bytes(path + ".overhead", entry.overhead));
    BALLAST_CHECK(check_rate(path + ".inflate", entry.inflate, 1));
    BALLAST_CHECK(check_rate(path + ".deflate", entry.deflate, 1));
    BALLAST_CHECK(check_rate(path + ".touch", entry.touch, 1));
    BALLAST_CHECK(check_rate(path + ".disk", entry.disk, 1));
    BALLAST_CHECK(check_rate(path + ".reads", entry.reads, 1));
    if (entry.claims_unused) BALLAST_CHECK(check_bytes(path + ".claims_unused", *entry.claims_unused));
    return check_rate(path + ".unshares", entry.unshares);
}

Result<void> check(const std::string& path, const GuestEntry& guest, Bytes memory) {
    BALLAST_CHECK(check_bytes(path + ".working_set", guest.working_set));
    BALLAST_CHECK(check_bytes(path + ".slow_set", guest.slow_set));
    BALLAST_CHECK(check_bytes(path + ".shared", guest.shared));
    BALLAST_CHECK(check_rate(path + ".dirty_rate", guest.dirty_rate));
    BALLAST_CHECK(check_rate(path + ".slow_rate", guest.slow_rate));
    BALLAST_CHECK(check_share(path + ".delta", guest.delta));
    BALLAST_CHECK(check_share(path + ".memory_swing", guest.memory_swing));
    BALLAST_CHECK(check_time(path + ".shutdown", guest.shutdown));
    BALLAST_CHECK(check_time(path + ".boot", guest.boot));
    if (guest.memory) BALLAST_CHECK(check(path + ".memory", *guest.memory, memory));
    if (guest.touched) BALLAST_CHECK(check_bytes(path + ".touched", *guest.touched));
    const Bytes least = std::max(guest.touched.value_or(Bytes(0)), guest.working_set + guest.slow_set);
    if (least > memory) return wrong(path, fmt::format("the guest uses {}, more than its memory of {}", least, memory));
    return {};
}

Result<void> check(const std::string& path, const VmGroup& group, Names& names) {
    BALLAST_CHECK(check_count(path, group.count, most_vms));
    BALLAST_CHECK(add_names(path, "VM", group.name, group.count, names.vms));
    if (group.vcpus < 1 || group.vcpus > most_cpus)
        return wrong(path + ".vcpus", fmt::format("{} is not from 1 to {}", group.vcpus, most_cpus));
    BALLAST_CHECK(check_bytes(path + ".memory", group.memory, mebibytes(1)));
    BALLAST_CHECK(check_bytes(path + ".disk", group.disk));
    if (group.disk.count() > 0 && names.pools.empty())
        return wrong(path + ".disk", "there is no pool for it; name one in `pools`");
    BALLAST_CHECK(check_share(path + ".vary", group.vary));
    if (const auto legal = ballast::check(group.overcommit); !legal)
        return wrong(path + ".overcommit", legal.error().message());
    BALLAST_CHECK(check_bytes(path + ".memory_minimum", group.memory_minimum));
    if (group.memory_minimum > group.memory)
        return wrong(path + ".memory_minimum",
                     fmt::format("{} is more than its memory of {}", group.memory_minimum, group.memory));
    if (group.balloon.stats_period_s < 0) return wrong(path + ".balloon.stats_period_s", "is negative; 0: none");
    BALLAST_CHECK(check(path + ".load", group.load));
    BALLAST_CHECK(check(path + ".guest", group.guest, group.memory));
    for (std::size_t i = 0; i < group.hosts.size(); ++i) {
        if (names.host_groups.contains(group.hosts[i])) continue;
        BALLAST_CHECK(check_known(fmt::format("{}.hosts[{}]", path, i), "host", group.hosts[i], names.hosts));
    }
    return {};
}

Result<void> check_parties(const std::string& path, const FailureEntry& failure, const Names& names) {
    using enum FailureKind;
    const bool of_link = failure.what == cut || failure.what == silent_cut;
    const bool anywhere = failure.mean_between && failure.host.empty() && !of_link && failure.what != fill_pool;
    if (is_of_vm(failure.what)) return check_known(path + ".vm", "VM", failure.vm, names.vms);
    if (!anywhere) BALLAST_CHECK(check_known(path + ".host", "host", failure.host, names.hosts));
    if (of_link) BALLAST_CHECK(check_known(path + ".peer", "host", failure.peer, names.hosts));
    if (failure.what == fill_pool) BALLAST_CHECK(check_known(path + ".pool", "pool", failure.pool, names.pools));
    return {};
}

Result<void> check(const std::string& path, const FailureEntry& failure, const Names& names) {
    BALLAST_CHECK(check_time(path + ".after", failure.after));
    if (failure.lasts) BALLAST_CHECK(check_time(path + ".lasts", *failure.lasts, Seconds(1)));
    if (failure.every) BALLAST_CHECK(check_time(path + ".every", *failure.every, Seconds(1)));
    if (failure.mean_between) BALLAST_CHECK(check_time(path + ".mean_between", *failure.mean_between, Seconds(1)));
    if (failure.every && failure.mean_between) return wrong(path, "give either `every` or `mean_between`, not both");
    if (failure.every && failure.lasts && *failure.lasts >= *failure.every)
        return wrong(path + ".lasts", "it would begin again before it ends; make `every` longer");
    return check_parties(path, failure, names);
}

Result<void> check(const PoolEntry& pool, const std::string& path, Names& names) {
    BALLAST_CHECK(add_names(path, "pool", pool.name, std::nullopt, names.pools));
    if (!pool.path.starts_with('/')) return wrong(path + ".path", fmt::format("'{}' is not absolute", pool.path));
    return check_bytes(path + ".capacity", pool.capacity, mebibytes(1));
}

Result<void> check(const TimingEntry& timing) {
    BALLAST_CHECK(check_time("timing.call", timing.call));
    BALLAST_CHECK(check_time("timing.migration_setup", timing.migration_setup));
    BALLAST_CHECK(check_time("timing.device_state", timing.device_state));
    BALLAST_CHECK(check_time("timing.broken_stream", timing.broken_stream));
    BALLAST_CHECK(check_time("timing.peer_keepalive", timing.peer_keepalive));
    return check_time("timing.silent_stream", timing.silent_stream);
}

Result<void> check(const ClusterFile& file) {
    Names names;
    BALLAST_CHECK(check(file.timing));
    for (std::size_t i = 0; i < file.pools.size(); ++i)
        BALLAST_CHECK(check(file.pools[i], fmt::format("pools[{}]", i), names));
    if (file.hosts.empty()) return wrong("hosts", "a cluster needs at least one host");
    for (std::size_t i = 0; i < file.hosts.size(); ++i)
        BALLAST_CHECK(check(fmt::format("hosts[{}]", i), file.hosts[i], names));
    for (std::size_t i = 0; i < file.vms.size(); ++i)
        BALLAST_CHECK(check(fmt::format("vms[{}]", i), file.vms[i], names));
    for (std::size_t i = 0; i < file.links.size(); ++i) {
        const std::string path = fmt::format("links[{}]", i);
        BALLAST_CHECK(check_known(path + ".from", "host", file.links[i].from, names.hosts));
        BALLAST_CHECK(check_known(path + ".to", "host", file.links[i].to, names.hosts));
        BALLAST_CHECK(check_rate(path + ".bandwidth", file.links[i].bandwidth, 1));
    }
    for (std::size_t i = 0; i < file.failures.size(); ++i)
        BALLAST_CHECK(check(fmt::format("failures[{}]", i), file.failures[i], names));
    if (names.hosts.size() > most_hosts) return wrong("hosts", fmt::format("more than {} in all", most_hosts));
    if (names.vms.size() > most_vms) return wrong("vms", fmt::format("more than {} in all", most_vms));
    return {};
}

}  // namespace

bool is_of_vm(FailureKind kind) {
    using enum FailureKind;
    return kind == kill_qemu || kind == stick_balloon || kind == lose_driver || kind == silence_guest;
}

std::vector<std::string> member_names(const std::string& name, const std::optional<int>& count) {
    if (!count) return {name};
    std::vector<std::string> names;
    for (int i = 1; i <= *count; ++i) names.push_back(fmt::format("{}{}", name, i));
    return names;
}

Json cluster_file_schema() {
    Json definitions = Json::object();
    json_schema_into<ClusterFile>(definitions);
    return definitions;
}

Result<ClusterFile> parse_cluster(std::string_view text) {
    BALLAST_TRY(const Json json, parse_json(text, {.bytes = std::size_t{16} << 20U, .depth = 16}));
    BALLAST_TRY(ClusterFile file, from_json<ClusterFile>(json, ""));
    BALLAST_CHECK(check(file));
    return file;
}

Result<ClusterFile> read_cluster_file(const std::string& path) {
    const std::ifstream in(path);
    if (!in) return fail(Code::not_found, "the cluster file '{}' can't be read", path);
    std::stringstream text;
    text << in.rdbuf();
    auto parsed = parse_cluster(text.str());
    if (!parsed) return fail(parsed.error().code(), "{}: {}", path, parsed.error().message());
    return parsed;
}

}  // namespace ballast::drivers::simulated
