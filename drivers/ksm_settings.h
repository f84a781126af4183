#pragma once
// Which settings of a host's page merging a driver takes at all. Pure.

#include <limits>

#include "core/error.h"
#include "core/try.h"
#include "drivers/types.h"

namespace ballast::drivers {

/// libvirt and the kernel take unsigned numbers of 32 bits: what is none must not become a huge one. Errors:
/// invalid_argument naming the setting.
[[nodiscard]] inline Result<void> check_ksm(const KsmSettings& settings) {
    constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
    const auto check = [most](const char* name, std::int64_t value) -> Result<void> {
        if (value >= 0 && value <= most) return {};
        return fail(Code::invalid_argument, "the host's KSM takes a {} from 0 to {}, not {}", name, most, value);
    };
    BALLAST_CHECK(check("pages_to_scan", settings.pages_to_scan));
    return check("sleep_ms", settings.sleep_ms);
}

}  // namespace ballast::drivers
