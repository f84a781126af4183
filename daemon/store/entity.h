#pragma once
// What a row kind says of itself to the store: its table, its key columns (for filters and sort), the subject of its
// events, and which of its fields are spec (the ETag). One `<entity>_store.h` per kind specialises Entity; everything
// else is shared templates. Pure.

#include <string>
#include <string_view>

#include <boost/describe/enum_to_string.hpp>

#include "core/snapshot.h"
#include "daemon/store/connection.h"

namespace ballast::store {

enum class ColumnType : std::uint8_t { text, integer, boolean, time };

template <class Row>
struct Column {
    std::string_view name;
    ColumnType type;
    SqlValue (*value)(const Row&);
};

/// Specialised per row kind: table, subject_kind, rows, columns, subject_name(); and, where revision and run_revision
/// differ, same_spec().
template <class Row>
struct Entity;

template <class Row>
concept HasRunRevision = requires(Row row) { row.run_revision; };
template <class Row>
concept HasRevision = requires(Row row) { row.revision; };

template <class Row>
[[nodiscard]] Table<Row>& table_of(Snapshot& snapshot) {
    return snapshot.*Entity<Row>::rows;
}
template <class Row>
[[nodiscard]] const Table<Row>& table_of(const Snapshot& snapshot) {
    return snapshot.*Entity<Row>::rows;
}

template <class Enum>
[[nodiscard]] std::string enum_text(Enum value) {
    std::string text = boost::describe::enum_to_string(value, "unknown");
    if (text.ends_with('_')) text.pop_back();  // keeps an enumerator off a keyword only
    return text;
}

[[nodiscard]] inline std::int64_t millis(Timestamp time) {
    return time.time_since_epoch().count();
}
/// 0: not yet.
[[nodiscard]] inline std::int64_t millis(const std::optional<Timestamp>& time) {
    return time ? millis(*time) : 0;
}

template <class Id>
[[nodiscard]] std::string text_of(const std::optional<Id>& id) {
    return id ? id->str() : std::string();
}

/// Sets the revisions of `row` as it follows `before` (null: it is new). False: nothing differs, nothing to write.
template <class Row>
[[nodiscard]] bool settle_revisions(Row& row, const Row* before) {
    if constexpr (HasRevision<Row>) row.revision = before != nullptr ? before->revision : 0;
    if constexpr (HasRunRevision<Row>) row.run_revision = before != nullptr ? before->run_revision : 0;
    if (before != nullptr && row == *before) return false;
    if constexpr (HasRunRevision<Row>) {
        ++row.run_revision;
        if (before == nullptr || !Entity<Row>::same_spec(row, *before)) ++row.revision;
    } else if constexpr (HasRevision<Row>) {
        ++row.revision;
    }
    return true;
}

}  // namespace ballast::store
