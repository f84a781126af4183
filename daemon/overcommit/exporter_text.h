#pragma once
// What a host's Prometheus node exporter says of memory: its text, read. Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/units.h"

namespace ballast::overcommit {

/// One scrape. Counters are since the host's boot; what it does not say is empty.
struct ExporterReading {
    std::optional<Bytes> total = {};
    std::optional<Bytes> free = {};
    std::optional<Bytes> cached = {};             ///< page cache and buffers
    std::optional<double> pressure_seconds = {};  ///< PSI memory, some: time in which a task waited for memory
    std::optional<double> swapped_in_pages = {};
    struct Filesystem {
        std::string mount_point;
        Bytes available;
    };
    std::vector<Filesystem> filesystems;
};

/// Unknown lines are passed over. Errors: invalid_argument naming the line where a figure that is known is not a number
/// that can be; failed_precondition where none is known at all.
[[nodiscard]] Result<ExporterReading> read_exporter_text(std::string_view text);

/// Room on the file system that holds the folder: that of the longest mount point above it.
[[nodiscard]] std::optional<Bytes> room_at(const ExporterReading& reading, std::string_view folder);

/// What two scrapes say of the time between them.
struct Strain {
    std::optional<double> pressure;  ///< share of that time, 0 to 1
    std::optional<BytesPerSecond> swap_in;
};
/// Nothing where a counter went back (the host, or its exporter, has begun anew) or no time passed.
[[nodiscard]] Strain strain_between(const ExporterReading& before, const ExporterReading& now, Milliseconds passed);

}  // namespace ballast::overcommit
