#pragma once
// What a host has already promised, counted once from a Snapshot. Decides what counts and how much; never whether a VM
// fits (that is rules/). Pure; a HostView points into the Snapshot it was made from and must not outlive it.
//
// What counts on a host, each VM once and with what it is promised there (memory_promise) plus what QEMU needs beside
// it:
//  - a VM with an active definition there, managed or not, also when that was only last seen (the host can't be asked);
//  - a VM whose owner it is and that runs, starts, pauses, stops, migrates, is being created, or is unknown;
//  - a claim there. A claim of a VM that counts already is not added to it: the larger of the two counts. A claim is
//    whole (the maximum), and so is what it counts, but for a VM that has a row and is promised less on this host.
//  - the XBZRLE cache of a claimed migration, on the host that the VM leaves.
// A stopped VM promises nothing: it has to ask again (check_claim) when it starts.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/snapshot.h"
#include "scheduler/groups.h"

namespace ballast::scheduler {

/// What one NUMA cell still has, beside the VMs that wish to lie on cells.
struct CellRoom {
    int cell = 0;
    Bytes memory;
    int cpus = 0;  ///< that no vCPU is pinned to
    std::vector<HugePages> pages;
};

/// Who is to come by a claim.
struct Arrival {
    const Claim* claim = nullptr;
    const Vm* vm = nullptr;  ///< whose row says what is promised; null: the claim does, as a whole
};

struct HostView {
    const Host* host = nullptr;
    Bytes promised_memory;
    Bytes held_memory;  ///< of it: what stands for no row of `vms` and `arriving`: whole claims, caches
    int promised_vcpus = 0;
    std::map<std::string, std::vector<std::string>, std::less<>> groups;  ///< group -> names of its VMs here
    std::vector<const Vm*> vms;          ///< that count here with their own rows, not by a claim
    std::vector<Arrival> arriving;       ///< for VMs that do not count here yet, and reservations; one for each
    std::map<std::string, int> devices;  ///< kind -> promised
    std::vector<CellRoom> cells;         ///< one for all where the host lists none

    [[nodiscard]] Bytes free_memory() const { return saturating_sub(usable_memory(*host), promised_memory); }
    [[nodiscard]] int free_vcpus() const { return usable_vcpus(*host) - promised_vcpus; }
};

/// The rows that may count on one host: at least every VM with it among hosts_of() and every claim with it among
/// hosts_of(). Others among them change nothing, so the list may be older than the snapshot that it is used with.
struct Residents {
    std::vector<std::shared_ptr<const Vm>> vms;
    std::vector<std::shared_ptr<const Claim>> claims;
};

/// Every host on which the VM may count: its owner and those where it is defined.
[[nodiscard]] std::vector<HostId> hosts_of(const Vm& vm);
/// The claim's own host, and the one that must keep room for the cache of its migration.
[[nodiscard]] std::vector<HostId> hosts_of(const Snapshot& snapshot, const Claim& claim);

/// Memory one QEMU needs beside the guest's RAM: under TCG 110 MiB (lab/README.md, measured: translation cache
/// included), under KVM 64 MiB; 8 MiB for each further vCPU, and 1/512 of the RAM for page tables. A formula that is
/// too small ends in the OOM killer at any VM size, so it rounds up rather than down.
[[nodiscard]] Bytes qemu_overhead(const VmSpec& spec, Accelerator accelerator);

/// The most that the VM takes from this host: its maximum and QEMU's own need.
[[nodiscard]] Bytes memory_demand(const VmSpec& spec, const Host& host);

/// Whether the memory of this host may be promised more than once (MEMORY.md).
[[nodiscard]] bool overcommits(const Host& host);
/// Whether its memory controller may take from this VM what lies above its minimum: it has a policy, a balloon and a
/// minimum below its maximum. Huge pages are never given back, and a device that is handed through pins all memory.
[[nodiscard]] bool may_be_squeezed(const VmSpec& spec);
/// What the VM is promised there, with QEMU's own need: its guaranteed minimum where host and VM may be overcommitted,
/// else its maximum.
[[nodiscard]] Bytes memory_promise(const VmSpec& spec, const Host& host);
/// The same of any host of that kind.
[[nodiscard]] Bytes memory_promise(const VmSpec& spec, Accelerator accelerator, bool overcommitted);

/// Every host that is not removed, ordered by name, without what the VM `except` itself holds anywhere.
[[nodiscard]] std::vector<HostView> view_hosts(const Snapshot& snapshot, const VmId& except);
/// One host of them. Precondition: the snapshot has it.
[[nodiscard]] HostView view_host(const Snapshot& snapshot, const HostId& host, const VmId& except);
/// The same from these rows alone, without a walk over all of them.
[[nodiscard]] HostView view_host(const Snapshot& snapshot, const Host& host, const VmId& except,
                                 const Residents& residents);
/// The groups of the VM `of`, or all of them where that is nullptr, without what `except` holds.
[[nodiscard]] Groups view_groups(const Snapshot& snapshot, const VmSpec* of, const VmId& except);
/// The same from rows that hold at least every member, and from places that are counted already, without a walk over
/// all of them.
[[nodiscard]] Groups view_groups(const Snapshot& snapshot, const VmSpec& of, const VmId& except,
                                 const Residents& members, Groups places);
/// Adds (1) or takes back (-1) one host in what `groups` says of places.
void count_place(Groups& groups, const Host& host, int times);

}  // namespace ballast::scheduler
