#pragma once
// The event log: every change as an after-image, in one order. It rebuilds the snapshot of any kept moment from the
// nearest base snapshot and the after-images that follow it. Thread rule: that of the connection.

#include <vector>

#include "core/snapshot.h"
#include "daemon/store/connection.h"
#include "daemon/store/store.h"

namespace ballast::store {

/// What an event's `after` says of the row.
enum class RowChange : std::uint8_t { put, erase, none };

void append_event(Connection& connection, const Event& event, RowChange change);

/// In order of `seq`. Errors: invalid_argument (limit).
[[nodiscard]] Result<std::vector<Event>> read_events(Connection& connection, const EventQuery& query);

/// One row of a base snapshot: the kind and JSON of a row.
struct BaseRow {
    std::string kind;
    std::string id;
    std::string doc;
};
/// Every row of the snapshot but the tokens, whose digests stay in their own table.
[[nodiscard]] std::vector<std::function<BaseRow()>> base_rows_of(std::shared_ptr<const Snapshot> snapshot);
void write_base_rows(Connection& connection, std::uint64_t base, const std::vector<BaseRow>& rows);
/// Makes a written base count, and drops what an interrupted one left behind.
void finish_base(Connection& connection, std::uint64_t base, Timestamp now);
[[nodiscard]] std::uint64_t newest_base(Connection& connection);
void drop_unfinished_bases(Connection& connection);

/// The last event that is not later than `time`; 0: none is so old. By halving: events are numbered in the order of
/// time but where the clock was set back.
[[nodiscard]] std::uint64_t find_seq_at(Connection& connection, Timestamp time);

/// Without tokens. Errors: not_found (not yet, or past retention), internal (an after-image can't be read).
[[nodiscard]] Result<Snapshot> rebuild_snapshot(Connection& connection, std::uint64_t seq);

}  // namespace ballast::store
