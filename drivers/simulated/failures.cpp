// The failures of a cluster file, as timers of its world.
#include <algorithm>
#include <cmath>

#include "drivers/simulated/cluster.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

/// Everything a failure needs to come again and again: held by the timers.
struct Trouble {
    FailureEntry entry;
    VmId vm;
    std::vector<std::string> hosts;        ///< to choose from when it names none
    std::vector<Milliseconds> boot_times;  ///< of these hosts
    std::mt19937_64 random;
};

/// Of an exponential distribution: failures that know nothing of one another.
Milliseconds random_gap(Trouble& trouble) {
    const double even = (static_cast<double>(trouble.random() >> 11U) + 1) * 0x1p-53;
    const double seconds = -std::log(even) * static_cast<double>(trouble.entry.mean_between->count());
    return Milliseconds(static_cast<std::int64_t>(seconds * 1000) + 1);
}

std::string host_of(World& world, const Trouble& trouble, const std::string& chosen) {
    if (!is_of_vm(trouble.entry.what)) return chosen;
    const auto running = world.running_copies(trouble.vm);
    return running.empty() ? std::string() : running.front();
}

void begin(World& world, const Trouble& trouble, const std::string& host) {
    Faults faults = world.faults();
    switch (trouble.entry.what) {
        case FailureKind::crash:
            return faults.crash(host);
        case FailureKind::unreachable:
            return faults.make_unreachable(host);
        case FailureKind::hang:
            return faults.hang(host);
        case FailureKind::cut:
            return faults.cut(host, trouble.entry.peer, Cut::hard);
        case FailureKind::silent_cut:
            return faults.cut(host, trouble.entry.peer, Cut::silent);
        case FailureKind::kill_qemu:
            return faults.kill_qemu(host, trouble.vm);
        case FailureKind::fill_pool:
            return faults.fill_pool(host, trouble.entry.pool);
        case FailureKind::drop_events:
            return faults.drop_events(host, true);
        case FailureKind::stop_ksm:
            return faults.run_ksm(host, false);
        case FailureKind::advise_ksm:
            return faults.advise_ksm(host, true);
        case FailureKind::silence_exporter:
            return faults.silence_exporter(host, true);
        case FailureKind::stick_balloon:
            return faults.set_guest(trouble.vm, {.sticks = true});
        case FailureKind::lose_driver:
            return faults.set_guest(trouble.vm, {.no_driver = true});
        case FailureKind::silence_guest:
            return faults.set_guest(trouble.vm, {.silent = true});
    }
}

void end(World& world, const Trouble& trouble, const std::string& host) {
    Faults faults = world.faults();
    switch (trouble.entry.what) {
        case FailureKind::crash:
            return faults.revive(host);
        case FailureKind::unreachable:
            return faults.make_reachable(host);
        case FailureKind::hang:
            return faults.release(host);
        case FailureKind::cut:
        case FailureKind::silent_cut:
            return faults.heal(host, trouble.entry.peer);
        case FailureKind::kill_qemu:
            return;
        case FailureKind::fill_pool:
            return faults.drain_pool(host, trouble.entry.pool);
        case FailureKind::drop_events:
            return faults.drop_events(host, false);
        case FailureKind::stop_ksm:
            return faults.run_ksm(host, true);
        case FailureKind::advise_ksm:
            return faults.advise_ksm(host, false);
        case FailureKind::silence_exporter:
            return faults.silence_exporter(host, false);
        case FailureKind::stick_balloon:
        case FailureKind::lose_driver:
        case FailureKind::silence_guest:
            return faults.set_guest(trouble.vm, {});
    }
}

void plan_next(World& world, const std::shared_ptr<Trouble>& trouble, Milliseconds after);

void strike(World& world, const std::shared_ptr<Trouble>& trouble) {
    const FailureEntry& entry = trouble->entry;
    std::size_t chosen = trouble->hosts.size() > 1 ? trouble->random() % trouble->hosts.size() : 0;
    const std::string host = host_of(world, *trouble, trouble->hosts[chosen]);
    if (!host.empty()) begin(world, *trouble, host);
    if (entry.lasts && !host.empty()) {
        Milliseconds until = *entry.lasts;
        if (entry.what == FailureKind::crash) until += trouble->boot_times[chosen];
        world.at(until, [trouble, host](World& later) { end(later, *trouble, host); });
    }
    if (entry.every) plan_next(world, trouble, *entry.every);
    if (entry.mean_between) plan_next(world, trouble, random_gap(*trouble));
}

void plan_next(World& world, const std::shared_ptr<Trouble>& trouble, Milliseconds after) {
    world.at(after, [trouble](World& later) { strike(later, trouble); });
}

}  // namespace

void schedule_failures(World& world, const ClusterFile& file, const Layout& layout) {
    std::map<std::string, Milliseconds> boots;
    for (const auto& group : file.hosts)
        for (const auto& name : member_names(group.name, group.count)) boots[name] = group.boot;
    std::uint64_t number = 0;
    for (const auto& entry : file.failures) {
        auto trouble = std::make_shared<Trouble>();
        trouble->entry = entry;
        trouble->random.seed(file.seed * 1'000'003 + ++number);
        for (const auto& host : layout.hosts)
            if (entry.host.empty() || entry.host == host.name) {
                trouble->hosts.push_back(host.name);
                trouble->boot_times.push_back(boots.at(host.name));
            }
        const auto vm = std::ranges::find(layout.vms, entry.vm, &LaidVm::name);
        if (vm != layout.vms.end()) trouble->vm = vm->id;
        plan_next(world, trouble, entry.mean_between ? entry.after + random_gap(*trouble) : Milliseconds(entry.after));
    }
}

}  // namespace ballast::drivers::simulated
