#pragma once
// Volumes that Ballast made.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Volume> {
    static constexpr const char* table = "volumes";
    static constexpr const char* subject_kind = "volume";
    static constexpr auto rows = &Snapshot::volumes;
    static constexpr std::array columns{
        Column<Volume>{"name", ColumnType::text, [](const Volume& row) -> SqlValue { return row.name; }},
        Column<Volume>{"pool", ColumnType::text, [](const Volume& row) -> SqlValue { return row.pool; }},
        Column<Volume>{"host", ColumnType::text, [](const Volume& row) -> SqlValue { return row.host.str(); }},
        Column<Volume>{"vm", ColumnType::text, [](const Volume& row) -> SqlValue { return row.vm.str(); }},
        Column<Volume>{"image", ColumnType::text, [](const Volume& row) -> SqlValue { return row.image.str(); }},
        Column<Volume>{"state", ColumnType::text, [](const Volume& row) -> SqlValue { return enum_text(row.state); }},
        Column<Volume>{"created", ColumnType::time, [](const Volume& row) -> SqlValue { return millis(row.created); }},
    };
    [[nodiscard]] static std::string subject_name(const Volume& row, const Snapshot&) { return row.name; }
};

}  // namespace ballast::store
