#pragma once
// What other tools do with balloons and KSM, as pure functions written from their rules: MOM (oVirt/mom
// doc/balloon.rules, doc/ksm.rules) and Proxmox VE (pve-manager PVE/AutoBalloon.pm, pvestatd's auto-balloon), read in
// November 2026. Sizes in bytes.

#include <span>
#include <vector>

namespace ballast::bench {

struct PeerGuest {
    double balloon = 0;
    double minimum = 0;
    double maximum = 0;
    double unused = 0;  ///< MemFree, by which both judge
    double shares = 1000;
    bool migrating = false;
};

struct PeerHost {
    double total = 0;
    double free = 0;
};

/// MOM: pressure below 20 % free, critical at 5 %; guests keep 20 % free, scaled down with pressure, and less than
/// nothing when critical; at most 5 % a step, changes below 0.25 % are not made; without pressure every guest grows by
/// 5 %. Where its rules take the lesser of a guest's minimum and its use as the floor, the greater is taken here, as
/// its guests would swap all the time otherwise. Targets in the order of the guests.
[[nodiscard]] std::vector<double> mom_targets(std::span<const PeerGuest> guests, const PeerHost& host);

/// Proxmox: towards 80 % of the host in use; at most 100 MiB per guest and pass, nothing within 10 MiB; what is between
/// minimum and maximum is spread by shares, guests with little free memory grow first, guests with more than a quarter
/// of their minimum free shrink first.
[[nodiscard]] std::vector<double> proxmox_targets(std::span<const PeerGuest> guests, const PeerHost& host);

struct PeerKsm {
    bool run = false;
    int pages_to_scan = 0;
    int sleep_ms = 0;
};
/// MOM: runs below 20 % free, or where what could be shared and 20 % are more than the host; 300 pages more under
/// pressure, 50 less without, 64 to 1250; sleeps 10 ms on 16 GiB, less on more.
[[nodiscard]] PeerKsm mom_ksm(const PeerKsm& before, const PeerHost& host, double shareable);

}  // namespace ballast::bench
