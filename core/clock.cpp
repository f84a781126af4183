#include "core/clock.h"

#include <algorithm>

namespace ballast {

std::string SeededIds::uuid() {
    const std::scoped_lock lock(mutex_);
    const std::uint64_t high = (random_() & 0xFFFF'FFFF'FFFF'0FFFULL) | 0x4000ULL;
    const std::uint64_t low = (random_() & 0x3FFF'FFFF'FFFF'FFFFULL) | 0x8000'0000'0000'0000ULL;
    return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32U, high >> 16U & 0xFFFFU, high & 0xFFFFU,
                       low >> 48U, low & 0xFFFF'FFFF'FFFFULL);
}

std::string SeededIds::sortable(Timestamp now) {
    const std::scoped_lock lock(mutex_);
    last_ = std::max(last_ + 1, static_cast<std::int64_t>(now.time_since_epoch().count()));
    return fmt::format("{:011x}{:05x}", last_, random_() & 0xF'FFFFU);
}

std::unique_ptr<IdSource> make_random_ids() {
    std::random_device device;
    const std::uint64_t seed = (static_cast<std::uint64_t>(device()) << 32U) | device();
    return std::make_unique<SeededIds>(seed);
}

}  // namespace ballast
