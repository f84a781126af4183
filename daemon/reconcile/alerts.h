#pragma once
// The alerts that reconciliation raises on a VM: each is one sentence that begins with one of these words, so that who
// acts can tell what kind it is and the merge can take back its own. Header-only and without a driver, so that jobs and
// API may ask. Any thread.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "core/vm.h"

namespace ballast::reconcile::alert {

/// More than one active definition (SAFETY.md 2).
inline constexpr std::string_view conflict = "conflict:";
/// Foreign cluster id, or a higher epoch than the store's: Ballast only observes this VM until an operator decides
/// (SAFETY.md 7).
inline constexpr std::string_view observe_only = "observe-only:";
/// A host that is not the owner still defines the VM (SAFETY.md 8).
inline constexpr std::string_view stale_definition = "stale definition:";
/// The host's definition is not what Ballast's spec says; nothing is corrected.
inline constexpr std::string_view definition_differs = "definition differs:";
/// What of the spec the definition takes on when the VM starts the next time.
inline constexpr std::string_view next_start = "next start:";
/// No host defines a managed VM any more.
inline constexpr std::string_view missing = "missing:";
/// A post-copy migration stopped half-way and nobody works on it.
inline constexpr std::string_view broken_post_copy = "post-copy broken:";

inline constexpr std::array own{conflict,   observe_only, stale_definition, definition_differs,
                                next_start, missing,      broken_post_copy};

[[nodiscard]] inline bool is_of(std::string_view text, std::string_view kind) {
    return text.starts_with(kind);
}

/// Whether the reconciler raised it (and takes it back when it no longer holds).
[[nodiscard]] inline bool is_own(std::string_view text) {
    return std::ranges::any_of(own, [&](std::string_view kind) { return is_of(text, kind); });
}

[[nodiscard]] inline bool has(const Vm& vm, std::string_view kind) {
    return std::ranges::any_of(vm.alerts, [&](const std::string& text) { return is_of(text, kind); });
}

/// Page merging, on or off, that waits for the next start.
[[nodiscard]] inline std::string merging_waits(bool merge) {
    return std::string(next_start) + " page merging is to be " + (merge ? "on" : "off") +
           " (overcommit.merge); its definition takes that on when it starts";
}

/// What waits for the next start; empty: nothing.
[[nodiscard]] inline std::string pending(const Vm& vm) {
    const auto at = std::ranges::find_if(vm.alerts, [](const std::string& text) { return is_of(text, next_start); });
    return at == vm.alerts.end() ? std::string() : at->substr(next_start.size() + 1);
}

/// Whether Ballast must not act on the VM because somebody else's stamp is on it (SAFETY.md 7).
[[nodiscard]] inline bool is_observe_only(const Vm& vm) {
    return has(vm, observe_only);
}

}  // namespace ballast::reconcile::alert
