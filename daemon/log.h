#pragma once
// The log: spdlog, as text for people or as one JSON object a line for machines.

#include "core/error.h"
#include "daemon/config/config.h"

namespace ballast::daemon {

/// Makes the default logger. Errors: failed_precondition (the log file can't be opened).
[[nodiscard]] Result<void> set_up_log(const config::LogConfig& config);

}  // namespace ballast::daemon
