#pragma once
// The serial console of a simulated guest: it greets, then echoes what is typed. Internal to the simulated driver.

#include <memory>
#include <string>

#include "drivers/simulated/state.h"
#include "drivers/simulated/world.h"

namespace ballast::drivers::simulated {

/// Under World's mutex. Errors: not_found, failed_precondition when the domain is not running.
[[nodiscard]] Result<std::shared_ptr<Console>> make_console(std::shared_ptr<World> world, State& state,
                                                            const std::string& host, const VmId& vm);

}  // namespace ballast::drivers::simulated
