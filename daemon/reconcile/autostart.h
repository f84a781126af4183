#pragma once
// Ballast's own autostart (SAFETY.md 8): whether a VM is to be started because its host has come back. Pure.
//
// A start is due only where all of this holds:
//  - Ballast manages VM and host, the VM's `autostart` is on, no job works on it, and no foreign stamp is on it;
//  - its host owned it before and owns it still, was not confirmed dead and is not in maintenance;
//  - the definition there is the only one known anywhere, is off, and nothing (a managed save) binds it: whoever saved
//    it will restore it;
//  - nobody stopped it. Either it was running when the host was last seen and libvirt names no end that somebody asked
//    for; or it was stopped in the last minutes before the host booted, which is how a host that reboots ends its
//    guests, and no job of Ballast did that.
// A restart of libvirtd alone starts nothing that was off before, and a guest that was shut down or destroyed while its
// host could not be asked stays off. What can't be told apart: a guest that was destroyed by hand on a host that could
// not be asked, whose libvirtd was restarted after that and forgot why.
//
// What it never does: I/O, starting. Any thread.

#include <optional>
#include <string>

#include "core/snapshot.h"
#include "drivers/types.h"

namespace ballast::reconcile {

struct AutostartCase {
    const Vm& before;                  ///< the row before the host was listed
    const Vm& after;                   ///< and with what the list says
    const drivers::DomainView& view;   ///< what the host says
    std::optional<Timestamp> booted;   ///< when the host booted, if that is known and was lately
    std::optional<Timestamp> stopped;  ///< when a job of Ballast last stopped the VM
};

/// Why the VM is to be started on that host; nullopt: it is not. The host is the one that `view` is from.
[[nodiscard]] std::optional<std::string> reason_to_start(const Host& host, const AutostartCase& seen);

/// When the host booted, by the CPU time that it counted since; nullopt where that is no proof (nothing was counted, or
/// it was too long ago for the sum to be exact).
[[nodiscard]] std::optional<Timestamp> boot_time(const drivers::HostStats& stats, int cpus, Timestamp now);

/// When a job of Ballast last stopped the VM, by the jobs that are kept.
[[nodiscard]] std::optional<Timestamp> last_stop(const Snapshot& snapshot, const VmId& vm);

}  // namespace ballast::reconcile
