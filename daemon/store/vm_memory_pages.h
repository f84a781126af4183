#pragma once
// How sweeps of VMs become rows of their history, rows become coarser ones, and 54 of them one record of the database.
// Pure: time is an argument.
//
// A record is 18 bytes for each VM that was watched, in the order of their numbers, the least significant byte first:
//   place in the page (number % 54) | flags, 1: not believed | watched, seconds, 2 bytes | lacked, the same
//   | balloon, working set, page cache, resident: MiB, 3 bytes each.

#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/store/vm_memory_history.h"

namespace ballast::store {

/// VMs have numbers here: ids would be most of a record.
struct NumberedRow {
    std::int64_t number = 0;
    VmMemoryRow row;
};

/// Four such records fill a page of SQLite (4 KiB). One of more than 1,002 bytes would get a page of its own for the
/// rest of it, and be four times as large (sqlite.org/fileformat2, 1.6).
inline constexpr std::int64_t vms_per_page = 54;
inline constexpr std::size_t packed_size = 18;

/// Rows of one page, with different numbers, as a record.
[[nodiscard]] std::string pack(std::span<const NumberedRow> rows);
/// A record that was cut short gives what is whole of it.
[[nodiscard]] std::vector<NumberedRow> unpack(std::int64_t page, std::string_view record, Timestamp at);

/// Rows of one step as one row for each VM, by number: means weighed by the time that was watched.
[[nodiscard]] std::vector<NumberedRow> rolled_up(std::span<const NumberedRow> rows, Timestamp at);

/// The minute that is not over yet.
class OpenVmRows {
  public:
    /// Takes sweeps of `now` in; what it gives is over and is to be written. A clock that was set back ends the open
    /// rows too: they stand for the time that they were noted for.
    [[nodiscard]] std::vector<std::pair<VmId, VmMemoryRow>> note(std::span<const VmMemoryPoint> points, Timestamp now);

  private:
    struct Sums {
        VmMemoryFigures figures;
        std::int64_t sweeps = 0;
        unsigned seen = 0;    ///< the tenth parts of the step in which it was: a bit each
        unsigned lacked = 0;  ///< the same, in which it lacked memory
        bool believed = true;
    };
    [[nodiscard]] std::vector<std::pair<VmId, VmMemoryRow>> close();

    Timestamp begin_;
    std::unordered_map<VmId, Sums> sums_;
};

}  // namespace ballast::store
