#pragma once
// What one move may cost: the request's policy, the VM's, its labels' and the daemon's defaults made one
// (MigrationTerms). Pure.

#include <string>
#include <vector>

#include "core/error.h"
#include "core/vm.h"

namespace ballast::migration {

/// A policy for every VM that carries the label.
struct LabelPolicy {
    std::string key;
    std::string value;
    MigrationPolicy policy;
    friend bool operator==(const LabelPolicy&, const LabelPolicy&) = default;
};

/// The daemon's configuration. Of several labels that fit, the first in this order decides field by field.
struct PolicyDefaults {
    MigrationPolicy defaults;
    std::vector<LabelPolicy> labels;
    friend bool operator==(const PolicyDefaults&, const PolicyDefaults&) = default;
};

/// What `upper` leaves open is taken from `lower`.
[[nodiscard]] MigrationPolicy layered(const MigrationPolicy& upper, const MigrationPolicy& lower);

/// Request before VM before label before defaults, field by field; what nobody says is MigrationTerms' own default. A
/// mode that needs post-copy and was asked for by name counts as leave for it where nobody else forbids it. Errors:
/// invalid_argument (a field out of range, a deadline that has passed), failed_precondition (post-copy is demanded and
/// the VM or its label forbids it).
[[nodiscard]] Result<MigrationTerms> resolve_terms(const MigrationPolicy& request, ModeChoice mode,
                                                   std::optional<Timestamp> deadline, const VmSpec& spec,
                                                   const PolicyDefaults& defaults, Timestamp now);

}  // namespace ballast::migration
