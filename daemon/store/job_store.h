#pragma once
// Jobs.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Job> {
    static constexpr const char* table = "jobs";
    static constexpr const char* subject_kind = "job";
    static constexpr auto rows = &Snapshot::jobs;
    static constexpr std::array columns{
        Column<Job>{"kind", ColumnType::text, [](const Job& row) -> SqlValue { return row.kind; }},
        Column<Job>{"vm", ColumnType::text, [](const Job& row) -> SqlValue { return row.vm.str(); }},
        Column<Job>{"host", ColumnType::text, [](const Job& row) -> SqlValue { return row.host.str(); }},
        Column<Job>{"subject", ColumnType::text, [](const Job& row) -> SqlValue { return row.subject; }},
        Column<Job>{"actor", ColumnType::text, [](const Job& row) -> SqlValue { return row.actor; }},
        Column<Job>{"state", ColumnType::text, [](const Job& row) -> SqlValue { return enum_text(row.state); }},
        Column<Job>{"created", ColumnType::time, [](const Job& row) -> SqlValue { return millis(row.created); }},
        Column<Job>{"finished", ColumnType::time, [](const Job& row) -> SqlValue { return millis(row.finished); }},
    };
    [[nodiscard]] static std::string subject_name(const Job& row, const Snapshot&) { return row.subject; }
};

}  // namespace ballast::store
