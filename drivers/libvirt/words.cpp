#include "drivers/libvirt/words.h"

#include <array>
#include <span>
#include <string_view>

#include <fmt/format.h>
#include <libvirt/libvirt.h>

namespace ballast::drivers::libvirt {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::array<std::string_view, 14> running_words{"",
                                                         "booted",
                                                         "migrated",
                                                         "restored",
                                                         "from snapshot",
                                                         "unpaused",
                                                         "migration cancelled",
                                                         "save cancelled",
                                                         "woken",
                                                         "crashed",
                                                         "post-copy",
                                                         "post-copy failed"};
constexpr std::array<std::string_view, 14> paused_words{
    "",          "by a user",       "migration",     "save",     "dump",    "I/O error",
    "watchdog",  "from snapshot",   "shutting down", "snapshot", "crashed", "starting up",
    "post-copy", "post-copy failed"};
constexpr std::array<std::string_view, 9> shutoff_words{
    "",      "shut down",       "destroyed",     "crashed",          "migrated",
    "saved", "failed to start", "from snapshot", "ended by libvirtd"};
constexpr std::array<std::string_view, 2> crashed_words{"", "panicked"};

std::string_view word(Words words, int at) {
    return at >= 0 && static_cast<std::size_t>(at) < words.size() ? words[static_cast<std::size_t>(at)] : "";
}

DomainState running_state(int reason) {
    if (reason == VIR_DOMAIN_RUNNING_POSTCOPY) return DomainState::postcopy_target;
    if (reason == VIR_DOMAIN_RUNNING_POSTCOPY_FAILED) return DomainState::postcopy_failed;
    return DomainState::running;
}

DomainState paused_state(int reason, bool incoming) {
    if (reason == VIR_DOMAIN_PAUSED_POSTCOPY) return DomainState::postcopy_source;
    if (reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED) return DomainState::postcopy_failed;
    return incoming ? DomainState::incoming : DomainState::paused;
}

struct Lifecycle {
    std::string_view verb;
    std::span<const std::string_view> details;
};

constexpr std::array<std::string_view, 4> defined_details{"added", "updated", "renamed", "from snapshot"};
constexpr std::array<std::string_view, 2> undefined_details{"removed", "renamed"};
constexpr std::array<std::string_view, 5> started_details{"booted", "migrated", "restored", "from snapshot", "woken"};
constexpr std::array<std::string_view, 9> suspended_details{"paused",    "migrated",  "I/O error",
                                                            "watchdog",  "restored",  "from snapshot",
                                                            "API error", "post-copy", "post-copy failed"};
constexpr std::array<std::string_view, 5> resumed_details{"unpaused", "migrated", "from snapshot", "post-copy",
                                                          "post-copy failed"};
constexpr std::array<std::string_view, 7> stopped_details{"shut down", "destroyed", "crashed",      "migrated",
                                                          "saved",     "failed",    "from snapshot"};
constexpr std::array<std::string_view, 3> shutdown_details{"finished", "by the guest", "by the host"};
constexpr std::array<std::string_view, 2> sleep_details{"to memory", "to disk"};
constexpr std::array<std::string_view, 2> crash_details{"panicked", "crash-loaded"};

constexpr std::array<Lifecycle, 9> lifecycles{{{"defined", defined_details},
                                               {"undefined", undefined_details},
                                               {"started", started_details},
                                               {"suspended", suspended_details},
                                               {"resumed", resumed_details},
                                               {"stopped", stopped_details},
                                               {"shutting down", shutdown_details},
                                               {"asleep", sleep_details},
                                               {"crashed", crash_details}}};

}  // namespace

DomainState state_of(int state, int reason, bool incoming) {
    switch (state) {
        case VIR_DOMAIN_RUNNING:
            return running_state(reason);
        case VIR_DOMAIN_BLOCKED:
            return DomainState::running;
        case VIR_DOMAIN_PAUSED:
            return paused_state(reason, incoming);
        case VIR_DOMAIN_SHUTDOWN:
            return DomainState::shutting_down;
        case VIR_DOMAIN_SHUTOFF:
            return reason == VIR_DOMAIN_SHUTOFF_CRASHED ? DomainState::crashed : DomainState::shut_off;
        // A preserved crash keeps its QEMU, and with it the disks' locks: for Ballast it is not ended but paused.
        case VIR_DOMAIN_CRASHED:
            return DomainState::paused;
        case VIR_DOMAIN_PMSUSPENDED:
            return DomainState::suspended;
        default:
            return DomainState::unknown;
    }
}

bool is_ambiguous(int state, int reason) {
    return state == VIR_DOMAIN_PAUSED &&
           (reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_UNKNOWN ||
            reason == VIR_DOMAIN_PAUSED_STARTING_UP);
}

std::string words_of_state(int state, int reason) {
    switch (state) {
        case VIR_DOMAIN_RUNNING:
            return std::string(word(running_words, reason));
        case VIR_DOMAIN_PAUSED:
            return std::string(word(paused_words, reason));
        case VIR_DOMAIN_SHUTOFF:
            return std::string(word(shutoff_words, reason));
        case VIR_DOMAIN_CRASHED:
            return std::string(word(crashed_words, reason));
        default:
            return "";
    }
}

std::string words_of_lifecycle(int event, int detail) {
    if (event < 0 || static_cast<std::size_t>(event) >= lifecycles.size()) return fmt::format("event {}", event);
    const auto& [verb, details] = lifecycles[static_cast<std::size_t>(event)];
    const auto why = word(details, detail);
    return why.empty() ? std::string(verb) : fmt::format("{}: {}", verb, why);
}

}  // namespace ballast::drivers::libvirt
