#pragma once
// Storage pools, one row per pool and host.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Pool> {
    static constexpr const char* table = "pools";
    static constexpr const char* subject_kind = "pool";
    static constexpr auto rows = &Snapshot::pools;
    static constexpr std::array columns{
        Column<Pool>{"name", ColumnType::text, [](const Pool& row) -> SqlValue { return row.name; }},
        Column<Pool>{"host", ColumnType::text, [](const Pool& row) -> SqlValue { return row.host.str(); }},
        Column<Pool>{"type", ColumnType::text, [](const Pool& row) -> SqlValue { return row.type; }},
        Column<Pool>{"active", ColumnType::boolean, [](const Pool& row) -> SqlValue { return row.active; }},
    };
    [[nodiscard]] static std::string subject_name(const Pool& row, const Snapshot&) { return row.name; }
};

}  // namespace ballast::store
