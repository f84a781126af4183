#include "daemon/overcommit/facts.h"

#include <algorithm>

#include "memory/ksm.h"
#include "scheduler/host_view.h"

namespace ballast::overcommit {
namespace {

using memory::HostMemory;
using memory::VmMemory;

/// An exporter may speak of a part of the machine (a container), never of more than it has.
constexpr double slack = 1.02;

/// What the QEMU processes of a host count as resident beyond what it has in use: merged pages, and pages of QEMU's own
/// files. Every process counts those, and they are in memory once.
struct Surplus {
    Bytes bytes;
    std::int64_t processes = 0;
};

Surplus surplus_of(const HostMemory& host, const drivers::MemoryStats& stats) {
    Surplus surplus{.bytes = host.free + host.cached};
    for (const auto& domain : stats.domains) {
        if (!is_active(domain.state)) continue;
        surplus.bytes += domain.resident;
        ++surplus.processes;
    }
    surplus.bytes = saturating_sub(surplus.bytes, host.total);
    return surplus;
}

constexpr Milliseconds longest_boot{120'000};   // until a driver that comes at all is there
constexpr Bytes files_of_qemu = mebibytes(24);  // on Debian 12
constexpr Bytes most_files = mebibytes(32);

/// Pages of QEMU's files that each process counts. No host says how many they are; where the parts of its memory are
/// more than the whole, they are why.
Bytes files_of_each(const HostMemory& host, const drivers::MemoryStats& stats) {
    const Surplus surplus = surplus_of(host, stats);
    const Bytes merged = memory::saved_by(host.ksm);
    if (surplus.processes == 0) return {};
    return std::min(saturating_sub(surplus.bytes, merged) / surplus.processes, most_files);
}

/// The kernel counts merged pages of the whole machine. Of a part of it those count that its own processes show.
void count_own_merged(HostMemory& memory, const drivers::MemoryStats& stats) {
    if (!memory.ksm || memory.ksm->pages_sharing <= 0) return;
    const Surplus surplus = surplus_of(memory, stats);
    const Bytes own =
        std::min(saturating_sub(surplus.bytes, files_of_qemu * surplus.processes), memory::saved_by(memory.ksm));
    const double part = own / memory::saved_by(memory.ksm);
    for (std::int64_t* pages : {&memory.ksm->pages_sharing, &memory.ksm->pages_shared})
        *pages = static_cast<std::int64_t>(static_cast<double>(*pages) * part);
}

/// Never more than processes have: the kernel counts pages of those that have ended until its next pass.
memory::KsmReading ksm_of(const drivers::KsmStats& ksm, const drivers::MemoryStats& stats) {
    Bytes resident;
    for (const auto& domain : stats.domains) resident += domain.resident;
    return {.pages_to_scan = ksm.settings.pages_to_scan,
            .sleep_ms = ksm.settings.sleep_ms,
            .merge_across_nodes = ksm.settings.merge_across_nodes,
            .pages_shared = ksm.pages_shared,
            .pages_sharing = std::min(ksm.pages_sharing, resident.count() / memory::page_size),
            .pages_unshared = ksm.pages_unshared,
            .pages_volatile = ksm.pages_volatile,
            .full_scans = ksm.full_scans};
}

memory::GuestReading reading_of(const drivers::DomainStats& stats) {
    return {
        .at = stats.guest_said,
        .balloon = stats.balloon,
        .unused = stats.unused,
        .usable = stats.usable,
        .available = stats.available,
        .disk_caches = stats.disk_caches,
        .swap_in = stats.swap_in ? std::optional(Bytes(static_cast<std::int64_t>(*stats.swap_in))) : std::nullopt,
        .swap_out = stats.swap_out ? std::optional(Bytes(static_cast<std::int64_t>(*stats.swap_out))) : std::nullopt,
        .major_faults = stats.major_faults,
        .resident = stats.resident};
}

/// The part of a machine that VMs may have, by what its processes take.
void count_part(HostMemory& memory, Bytes part, const drivers::MemoryStats& stats) {
    Bytes used;
    for (const auto& domain : stats.domains) used += domain.resident;
    const Bytes merged = std::min(memory.ksm ? Bytes(memory.ksm->pages_sharing * memory::page_size) : Bytes(0), used);
    memory.free = std::min(saturating_sub(part, used - merged), memory.free);
    memory.cached = Bytes(0);
    memory.total = part;
}

bool is_on_the_move(const Vm* row, DomainState state) {
    return state == DomainState::incoming || state == DomainState::postcopy_source ||
           state == DomainState::postcopy_target || state == DomainState::postcopy_failed ||
           (row != nullptr && row->state == VmState::migrating);
}

VmMemory vm_memory(const Vm* row, const Host& host, const drivers::DomainStats& stats) {
    VmMemory vm;
    vm.id = stats.id;
    vm.name = row != nullptr ? row->name : stats.id.str();
    vm.maximum = stats.balloon_maximum;
    if (vm.maximum.count() == 0) vm.maximum = row != nullptr ? row->spec.memory : stats.balloon;
    vm.minimum = vm.maximum;
    vm.policy = MemoryPolicy::none;
    vm.reading = reading_of(stats);
    vm.migrating = is_on_the_move(row, stats.state);
    if (row == nullptr) return vm;
    vm.merge = row->spec.overcommit.merge;
    vm.group = sharing_group(row->spec);
    vm.balloon = row->spec.balloon.enabled;
    if (!row->managed || row->host != host.id) return vm;
    vm.minimum = std::min(guaranteed_memory(row->spec), vm.maximum);
    vm.policy = row->spec.memory_policy;
    vm.shares = row->spec.overcommit.shares;
    vm.priority = row->spec.overcommit.priority;
    vm.may_suspend = row->spec.overcommit.may_suspend;
    return vm;
}

/// Of what the QEMUs have in memory, what no merging and no file that they share can explain away.
Bytes surely_used(const HostMemory& memory, const drivers::MemoryStats& stats) {
    Bytes used;
    for (const auto& domain : stats.domains) used += saturating_sub(domain.resident, files_of_qemu);
    return saturating_sub(used, memory::saved_by(memory.ksm));
}

}  // namespace

Result<HostMemory> host_memory(const Host& host, const drivers::MemoryStats& stats, const Seen& seen) {
    HostMemory memory;
    memory.total = stats.total.count() > 0 ? stats.total : host.facts.memory;
    memory.free = stats.free;
    memory.cached = stats.cached;
    memory.reserved = host.settings.reserved_memory;
    memory.numa_cells = static_cast<int>(std::max<std::size_t>(host.facts.numa.size(), 1));
    if (stats.ksm) memory.ksm = ksm_of(*stats.ksm, stats);
    const Bytes machine = memory.total;
    memory.pressure = seen.strain.pressure;
    memory.swap_in = seen.strain.swap_in;
    if (seen.reading) {
        const ExporterReading& said = *seen.reading;
        if (said.total && said.free) {
            if (*said.total / machine > slack)
                return fail(Code::failed_precondition,
                            "the exporter of host {} speaks of {} of memory and libvirt of {}: it is another machine's",
                            host.name, *said.total, machine);
            if (const Bytes least = surely_used(memory, stats); least > *said.total)
                return fail(Code::failed_precondition,
                            "the exporter of host {} speaks of {} of memory, and its VMs have {} of it: it is another "
                            "machine's",
                            host.name, *said.total, least);
            memory.total = *said.total;
            memory.free = *said.free;
            memory.cached = said.cached.value_or(Bytes(0));
        }
        memory.suspend_space = room_at(said, save_folder).value_or(Bytes(0));
    }
    const bool told = stats.total.count() > 0 || (seen.reading && seen.reading->total && seen.reading->free);
    if (!told)
        return fail(
            Code::unimplemented,
            "libvirt on host {} shows nothing of its memory, so nobody's balloon is moved there; give it a node "
            "exporter (ballast host set {} --exporter URL)",
            host.name, host.name);
    const Bytes part = host.settings.memory_capacity.value_or(memory.total);
    if (part < memory.total)
        count_part(memory, part, stats);
    else if (memory.total < machine)
        count_own_merged(memory, stats);
    return memory;
}

std::vector<VmMemory> vm_memories(const Snapshot& snapshot, const Host& host, const drivers::MemoryStats& stats,
                                  const HostMemory& memory, std::map<VmId, OverheadMemo>& overheads, Timestamp now) {
    std::vector<VmMemory> vms;
    std::map<VmId, OverheadMemo> kept;
    const Bytes files = files_of_each(memory, stats);
    for (const auto& domain : stats.domains) {
        if (!is_active(domain.state)) continue;
        const Vm* row = snapshot.vms.find(domain.id);
        VmMemory vm = vm_memory(row, host, domain);
        vm.boots = row != nullptr && row->host == host.id && now - row->state_since < longest_boot;
        vm.reading.resident = saturating_sub(vm.reading.resident, std::min(files, vm.reading.resident / 2));
        OverheadMemo& memo = kept[domain.id];
        if (const auto before = overheads.find(domain.id); before != overheads.end()) memo = before->second;
        memo = noted(memo, vm.reading, now);
        VmSpec usual;
        usual.memory = vm.maximum;
        vm.overhead = overhead_of(memo, vm.reading,
                                  scheduler::qemu_overhead(row != nullptr ? row->spec : usual, accelerator_of(host)));
        vms.push_back(std::move(vm));
    }
    overheads = std::move(kept);
    std::ranges::sort(vms, {}, &VmMemory::name);
    return vms;
}

}  // namespace ballast::overcommit
