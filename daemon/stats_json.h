#pragma once
// The last statistics of a VM or a host as the API shows them. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "daemon/reconcile/stats.h"

namespace ballast::daemon {

/// `kind` is "vm" or "host". Nothing when no sweep has seen it.
[[nodiscard]] std::optional<JsonText> stats_as_json(const reconcile::StatsTable& table, std::string_view kind,
                                                    const std::string& id);

}  // namespace ballast::daemon
