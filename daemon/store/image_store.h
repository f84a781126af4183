#pragma once
// Images.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Image> {
    static constexpr const char* table = "images";
    static constexpr const char* subject_kind = "image";
    static constexpr auto rows = &Snapshot::images;
    static constexpr std::array columns{
        Column<Image>{"name", ColumnType::text, [](const Image& row) -> SqlValue { return row.name; }},
        Column<Image>{"pool", ColumnType::text, [](const Image& row) -> SqlValue { return row.pool; }},
        Column<Image>{"host", ColumnType::text, [](const Image& row) -> SqlValue { return row.host.str(); }},
        Column<Image>{"state", ColumnType::text, [](const Image& row) -> SqlValue { return enum_text(row.state); }},
        Column<Image>{"created", ColumnType::time, [](const Image& row) -> SqlValue { return millis(row.created); }},
    };
    [[nodiscard]] static std::string subject_name(const Image& row, const Snapshot&) { return row.name; }
};

}  // namespace ballast::store
