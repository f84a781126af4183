#pragma once
// What Ballast is measured beside: nothing at all, a threshold balancer with a cool-down, and Proxmox's CRS rule.

#include <memory>

#include "bench/month/meter.h"

namespace ballast::bench {

/// No VM is ever moved.
[[nodiscard]] std::unique_ptr<Policy> make_no_balancing();

struct ThresholdOptions {
    double threshold = 0.85;  ///< of a host's cores, over the history
    int history_slots = 1;
    int cool_down_slots = 6;  ///< of a VM, and of a host that gave one away
    int at_once = 2;          ///< moves off one host in one round
};
/// Each slot, the fullest hosts above the threshold give the VM that brings them below it (or else their busiest) to
/// the emptiest host that stays below (as Xen Orchestra's load balancer does).
[[nodiscard]] std::unique_ptr<Policy> make_threshold(ThresholdOptions options = {});

struct CrsOptions {
    double threshold = 0.3;
    double margin = 0.1;
    int rounds = 3;
    int round_s = 10;
};
/// Proxmox VE's dynamic load scheduler: when the imbalance (standard deviation over mean of the nodes' loads) has been
/// above the threshold for so many rounds, the one migration that lowers it most, if it lowers it by the margin,
/// relative. One at a time.
[[nodiscard]] std::unique_ptr<Policy> make_crs(CrsOptions options = {});

}  // namespace ballast::bench
