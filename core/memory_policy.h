#pragma once
// How far the memory of a host, or of a VM, may be overcommitted (docs/MEMORY.md 6). With `none` it is only watched.

#include <cstdint>

#include <boost/describe/enum.hpp>

namespace ballast {

enum class MemoryPolicy : std::uint8_t { none, gentle, balanced, dense };
BOOST_DESCRIBE_ENUM(MemoryPolicy, none, gentle, balanced, dense)

}  // namespace ballast
