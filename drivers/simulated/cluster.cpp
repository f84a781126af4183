#include "drivers/simulated/cluster.h"

#include <algorithm>
#include <random>

#include "core/try.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

using Traces = std::vector<std::shared_ptr<const Trace>>;
using Random = std::mt19937_64;

/// 0 to 1. Not of <random>'s distributions: theirs differ from one library to the next.
double uniform(Random& random) {
    return static_cast<double>(random() >> 11U) * 0x1p-53;
}

HostModel model_of(const HostGroup& group, const std::string& name, const std::vector<PoolEntry>& pools) {
    HostModel model;
    model.name = name;
    model.facts.cpus = group.cpus;
    model.facts.memory = group.memory;
    model.facts.cpu_model = group.cpu_model;
    model.facts.cpu_models = {group.cpu_model, "qemu64"};
    model.facts.userfaultfd_likely = group.post_copy;
    if (group.qemu_version) model.facts.qemu_version = *group.qemu_version;
    model.link = group.link;
    model.stream = group.stream;
    model.pull_share = group.pull_share;
    model.stopped_share = group.stopped_share;
    model.boot_time = group.boot;
    model.own = group.own;
    model.cache = group.cache;
    model.swap = group.swap;
    model.save_room = group.save_room;
    model.save_rate = group.save_rate;
    model.ksm.runs = group.ksm.run;
    model.ksm.advised = group.ksm.advisor;
    model.ksm.settings.pages_to_scan = group.ksm.pages_to_scan;
    model.ksm.settings.sleep_ms = group.ksm.sleep.count();
    model.pools.clear();
    for (const auto& pool : pools)
        model.pools.push_back({.name = pool.name,
                               .path = pool.path,
                               .type = pool.shared ? "netfs" : "dir",
                               .store = pool.shared ? pool.name : std::string(),
                               .capacity = pool.capacity});
    return model;
}

LaidHost laid_host(const HostGroup& group, const std::string& name, int number) {
    LaidHost host;
    host.name = name;
    host.managed = group.managed;
    host.settings.labels = group.labels;
    if (group.rack_size > 0) host.settings.labels["rack"] = fmt::format("r{}", (number - 1) / group.rack_size + 1);
    host.settings.peer_uri = "sim://" + name;
    host.settings.link_speed = group.link;
    return host;
}

/// The hosts that a group of VMs may begin on.
std::vector<std::string> hosts_for(const VmGroup& group, const ClusterFile& file) {
    std::vector<std::string> names;
    for (const auto& hosts : file.hosts)
        for (const auto& name : member_names(hosts.name, hosts.count)) {
            const auto asked = [&](const std::string& word) { return word == name || word == hosts.name; };
            if (group.hosts.empty() || std::ranges::any_of(group.hosts, asked)) names.push_back(name);
        }
    return names;
}

std::size_t place(Spread spread, std::size_t number, std::size_t hosts, Random& random) {
    switch (spread) {
        case Spread::even:
            return number % hosts;
        case Spread::random:
            return random() % hosts;
        case Spread::uneven:  // the lower of two: the first host holds about twice its share, the last nearly nothing
            return std::min(random() % hosts, random() % hosts);
    }
    return 0;
}

Bytes scaled(Bytes bytes, double factor, Bytes most) {
    return std::min(most, Bytes(static_cast<std::int64_t>(static_cast<double>(bytes.count()) * factor)));
}

MemoryLoad memory_of(const MemoryEntry& entry, int number, double factor, Bytes most, Instant begins) {
    MemoryLoad load;
    load.pattern = entry.pattern;
    load.wants = scaled(entry.wants, factor, most);
    load.swing = scaled(entry.swing, factor, most);
    load.peak_hour = entry.peak_hour;
    load.period = entry.period;
    load.phase = entry.phase + entry.phase_step * (number - 1);
    load.step_to = scaled(entry.step_to, factor, most);
    load.step_at = begins + entry.step_after;
    load.step_for = entry.step_for;
    load.step_every = entry.step_every;
    load.cache = entry.cache;
    load.swap = entry.swap;
    load.overhead = entry.overhead;
    load.inflate = entry.inflate;
    load.deflate = entry.deflate;
    load.touch = entry.touch;
    load.disk = entry.disk;
    load.reads = entry.reads;
    load.unshares = entry.unshares;
    return load;
}

bool has_faults(const MemoryEntry& entry) {
    return entry.sticks || entry.no_driver || entry.silent || entry.claims_unused;
}

GuestFaults faults_of(const MemoryEntry& entry) {
    return {.sticks = entry.sticks,
            .no_driver = entry.no_driver,
            .silent = entry.silent,
            .claims_unused = entry.claims_unused};
}

GuestLoad guest_of(const VmGroup& group, int number, const Traces& traces, Instant begins, Random& random) {
    const auto varied = [&](double value) { return value * (1 + group.vary * (2 * uniform(random) - 1)); };
    const double busy = varied(1);
    const double set = varied(1);
    GuestLoad load;
    const GuestEntry& guest = group.guest;
    load.touched = guest.touched;
    load.working_set = scaled(guest.working_set, set, group.memory);
    load.dirty_rate = BytesPerSecond(static_cast<std::int64_t>(static_cast<double>(guest.dirty_rate.count()) * busy));
    load.slow_set = std::min(guest.slow_set, group.memory - load.working_set);
    load.slow_rate = guest.slow_rate;
    load.delta = guest.delta;
    load.answers_acpi = guest.answers_acpi;
    load.shutdown_time = guest.shutdown;
    load.boot_time = guest.boot;
    load.memory_swing = guest.memory_swing;
    load.sharing = guest.sharing;
    load.shared = guest.shared;
    if (guest.memory) load.memory = memory_of(*guest.memory, number, set, group.memory, begins);
    const LoadEntry& entry = group.load;
    load.cpu = {.pattern = entry.pattern,
                .cpu = entry.cpu * busy,
                .swing = entry.swing * busy,
                .peak_hour = entry.peak_hour,
                .period = entry.period,
                .phase = entry.phase + entry.phase_step * (number - 1),
                .noise = entry.noise,
                .noise_slot = entry.noise_slot,
                .seed = random(),
                .trace = {}};
    if (entry.pattern == LoadPattern::planetlab) load.cpu.trace = traces[random() % traces.size()];
    return load;
}

VmSpec spec_of(const VmGroup& group) {
    VmSpec spec;
    spec.vcpus = group.vcpus;
    spec.memory = group.memory;
    spec.labels = group.labels;
    spec.anti_affinity = group.anti_affinity;
    spec.autostart = group.autostart;
    spec.moves = group.moves;
    spec.memory_minimum = group.memory_minimum;
    spec.balloon = group.balloon;
    spec.overcommit = group.overcommit;
    return spec;
}

class Builder {
  public:
    Builder(const ClusterFile& file, const BuildOptions& options)
        : file_(file), options_(options), random_(file.seed), ids_(file.seed) {}

    Result<SimulatedCluster> build() {
        BALLAST_CHECK(find_traces());
        const TimingEntry& t = file_.timing;
        cluster_.world = World::make(file_.seed,
                                     {.call = t.call,
                                      .migration_setup = t.migration_setup,
                                      .device_state = t.device_state,
                                      .broken_stream = t.broken_stream,
                                      .peer_keepalive = t.peer_keepalive,
                                      .silent_stream = t.silent_stream},
                                     options_.start);
        for (const auto& group : file_.hosts) BALLAST_CHECK(add_hosts(group));
        for (const auto& link : file_.links) cluster_.world->set_link(link.from, link.to, link.bandwidth);
        for (const auto& group : file_.vms) BALLAST_CHECK(add_vms(group));
        schedule_failures(*cluster_.world, file_, cluster_.layout);
        return std::move(cluster_);
    }

  private:
    Result<void> find_traces() {
        const auto wants = [](const VmGroup& group) { return group.load.pattern == LoadPattern::planetlab; };
        const auto group = std::ranges::find_if(file_.vms, wants);
        if (group == file_.vms.end()) return {};
        if (options_.traces.empty())
            return fail(Code::invalid_argument,
                        "the load of VM group '{}' comes from PlanetLab traces: name their folder", group->name);
        BALLAST_TRY(traces_, read_traces(options_.traces));
        return {};
    }

    Result<void> add_hosts(const HostGroup& group) {
        int number = 0;
        for (const auto& name : member_names(group.name, group.count)) {
            BALLAST_CHECK(cluster_.world->add_host(model_of(group, name, file_.pools)));
            cluster_.world->faults().silence_exporter(name, !group.exporter);
            cluster_.layout.hosts.push_back(laid_host(group, name, ++number));
        }
        return {};
    }

    Result<void> add_vms(const VmGroup& group) {
        const auto hosts = hosts_for(group, file_);
        int number = 0;
        for (const auto& name : member_names(group.name, group.count)) {
            ++number;
            LaidVm vm{.id = VmId(ids_.uuid()),
                      .name = name,
                      .host = hosts[place(group.spread, static_cast<std::size_t>(number - 1), hosts.size(), random_)],
                      .spec = spec_of(group),
                      .running = group.running,
                      .managed = group.managed};
            cluster_.world->set_load(vm.id, guest_of(group, number, traces_, cluster_.world->now(), random_));
            BALLAST_CHECK(add_disk(group, vm));
            DomainDefinition definition{.id = vm.id, .name = name, .spec = vm.spec, .stamp = {}};
            definition.accelerator = Accelerator::kvm;
            BALLAST_CHECK(cluster_.world->add_vm(vm.host, definition, vm.running));
            if (group.guest.memory && has_faults(*group.guest.memory))
                cluster_.world->faults().set_guest(vm.id, faults_of(*group.guest.memory));
            cluster_.layout.vms.push_back(std::move(vm));
        }
        return {};
    }

    Result<void> add_disk(const VmGroup& group, LaidVm& vm) {
        if (group.disk.count() == 0) return {};
        const auto shared = std::ranges::find(file_.pools, true, &PoolEntry::shared);
        const PoolEntry& pool = shared != file_.pools.end() ? *shared : file_.pools.front();
        DiskSpec disk;
        disk.target = "vda";
        BALLAST_TRY(disk.path, cluster_.world->add_volume(vm.host, {.pool = pool.name,
                                                                    .name = vm.name + ".qcow2",
                                                                    .format = "qcow2",
                                                                    .capacity = group.disk,
                                                                    .backing_path = {},
                                                                    .backing_format = {}}));
        vm.spec.disks.push_back(std::move(disk));
        return {};
    }

    const ClusterFile& file_;
    const BuildOptions& options_;
    Random random_;
    SeededIds ids_;
    Traces traces_;
    SimulatedCluster cluster_;
};

}  // namespace

Result<SimulatedCluster> build_cluster(const ClusterFile& file, const BuildOptions& options) {
    return Builder(file, options).build();
}

}  // namespace ballast::drivers::simulated
