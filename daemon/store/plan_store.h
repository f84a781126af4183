#pragma once
// Plans of moves: advised, approved, carried out.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Plan> {
    static constexpr const char* table = "plans";
    static constexpr const char* subject_kind = "plan";
    static constexpr auto rows = &Snapshot::plans;
    static constexpr std::array columns{
        Column<Plan>{"goal", ColumnType::text, [](const Plan& row) -> SqlValue { return row.goal; }},
        Column<Plan>{"state", ColumnType::text, [](const Plan& row) -> SqlValue { return enum_text(row.state); }},
        Column<Plan>{"actor", ColumnType::text, [](const Plan& row) -> SqlValue { return row.actor; }},
        Column<Plan>{"job", ColumnType::text, [](const Plan& row) -> SqlValue { return text_of(row.job); }},
        Column<Plan>{"made", ColumnType::time, [](const Plan& row) -> SqlValue { return millis(row.made); }},
        Column<Plan>{"finished", ColumnType::time, [](const Plan& row) -> SqlValue { return millis(row.finished); }},
    };
    [[nodiscard]] static std::string subject_name(const Plan& row, const Snapshot&) { return row.goal; }
};

}  // namespace ballast::store
