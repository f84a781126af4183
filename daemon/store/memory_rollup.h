#pragma once
// How sweeps become rows of the memory history, and rows become coarser ones. Pure: time is an argument.

#include <map>
#include <span>
#include <vector>

#include "daemon/store/memory_history.h"

namespace ballast::store {

/// The begin of the step that a moment lies in.
[[nodiscard]] Timestamp begin_of(Timestamp time, Seconds step);

/// Rows of one step as one row for each host, by host: means weighed by the time that
/// was watched, and the worst of all.
[[nodiscard]] std::vector<MemoryRow> rolled_up(std::span<const MemoryRow> rows, Timestamp at);

/// The 10 s that are not over yet.
class OpenRows {
  public:
    /// Takes sweeps of `now` in; what it gives is over and is to be written. A clock that was set back ends the open
    /// rows too: they stand for the time that they were noted for.
    [[nodiscard]] std::vector<MemoryRow> note(std::span<const MemoryPoint> points, Timestamp now);

  private:
    Timestamp begin_;
    std::vector<MemoryRow> readings_;
};

}  // namespace ballast::store
