#pragma once
// How the memory of hosts is controlled where neither the host nor the VM says so: [memory] of the configuration. Pure.

#include <string>
#include <vector>

#include "core/host.h"

namespace ballast::overcommit {

/// A policy for every host that carries the label.
struct LabelPolicy {
    std::string key;
    std::string value;
    MemoryPolicy policy = MemoryPolicy::balanced;
    friend bool operator==(const LabelPolicy&, const LabelPolicy&) = default;
};

/// How guests get their memory back before a stop.
struct GiveBackLimits {
    std::size_t at_once = 64;  ///< hosts
    Milliseconds time{4'000};  ///< for all of them
};

struct MemorySettings {
    MemoryPolicy policy = MemoryPolicy::balanced;
    std::vector<LabelPolicy> labels;      ///< of several that fit, the first decides
    Milliseconds read_interval{2'000};    ///< how often guests' figures are looked at, for those that lack memory
    Milliseconds sweep_interval{10'000};  ///< how often the whole host is decided on
    Milliseconds exporter_timeout{2'000};
    Milliseconds first_guess{3'600'000};     ///< WorkingSetOptions::prior
    Milliseconds keep_interval{5 * 60'000};  ///< how often what was learned is kept for a restart
    Milliseconds planner_pause{5 * 60'000};  ///< between two questions for a move away from one host
    bool give_back_on_stop = false;
    GiveBackLimits give_back = {};
};

/// "rack=r2:dense". Errors: invalid_argument.
[[nodiscard]] Result<LabelPolicy> parse_label_policy(const std::string& text);

/// Of a host that is only observed: none, whatever is set. Else its own setting, its labels', the configuration's.
[[nodiscard]] MemoryPolicy policy_for(const Host& host, const MemorySettings& settings);

}  // namespace ballast::overcommit
