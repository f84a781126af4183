#pragma once
// Which modes and knobs of a migration go together (libvirt 9.0, QEMU 7.2, and what older or newer ones change).
// Decides before the start, so that nothing is begun that libvirt or QEMU refuses, does without supporting it (multifd
// with post-copy), or takes without any effect (auto-converge on a guest that stands still). Pure. Tunnelled migrations
// are not offered at all: they exclude post-copy and parallel connections and copy everything twice.

#include <string>
#include <vector>

#include "core/error.h"
#include "core/host.h"
#include "core/migration.h"

namespace ballast::migration {

/// Of one host: major * 1,000,000 + minor * 1,000 + release; 0: not known, taken for new enough.
struct HypervisorVersions {
    std::uint64_t libvirt = 9'000'000;
    std::uint64_t qemu = 7'002'000;
    friend bool operator==(const HypervisorVersions&, const HypervisorVersions&) = default;
};

[[nodiscard]] HypervisorVersions versions_of(const HostFacts& facts);
/// Both hosts must be able to do it: the older of each.
[[nodiscard]] HypervisorVersions older_of(const HypervisorVersions& a, const HypervisorVersions& b);

[[nodiscard]] ModeChoice as_choice(MigrationMode mode);

/// Errors: invalid_argument (knobs that contradict each other, the mode or the terms; a value out of its range),
/// failed_precondition (libvirt or QEMU of one of the hosts is too old for it). Each names the knob and the way out.
/// `auto_` passes where at least one mode does that the terms leave open.
[[nodiscard]] Result<void> check_combination(ModeChoice mode, const MigrationKnobs& knobs, const MigrationTerms& terms,
                                             const HypervisorVersions& versions);

/// One cell of the table: a mode with one knob, or with two of them.
struct CompatibilityRow {
    ModeChoice mode = ModeChoice::auto_;
    std::string knob;  ///< auto_converge, xbzrle, parallel, tls, copy_disks=full, copy_disks=incremental
    std::string with;  ///< a second knob; empty: none
    bool supported = false;
    std::string reason;   ///< why not; empty where it is supported
    std::string way_out;  ///< what to ask for instead
    std::string needs;    ///< what the hosts must have for it, which no table can see; empty: nothing
    friend bool operator==(const CompatibilityRow&, const CompatibilityRow&) = default;
};
BOOST_DESCRIBE_STRUCT(CompatibilityRow, (), (mode, knob, with, supported, reason, way_out, needs))

/// Every mode with every knob and every pair of knobs, as check_combination judges them.
[[nodiscard]] std::vector<CompatibilityRow> compatibility_table(const HypervisorVersions& versions = {});

}  // namespace ballast::migration
