#pragma once
// Migrations: the record of each, kept for good.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Migration> {
    static constexpr const char* table = "migrations";
    static constexpr const char* subject_kind = "migration";
    static constexpr auto rows = &Snapshot::migrations;
    static constexpr std::array columns{
        Column<Migration>{"vm", ColumnType::text, [](const Migration& row) -> SqlValue { return row.vm.str(); }},
        Column<Migration>{"from_host", ColumnType::text,
                          [](const Migration& row) -> SqlValue { return row.from.str(); }},
        Column<Migration>{"to_host", ColumnType::text, [](const Migration& row) -> SqlValue { return row.to.str(); }},
        Column<Migration>{"mode", ColumnType::text,
                          [](const Migration& row) -> SqlValue { return enum_text(row.mode); }},
        Column<Migration>{"phase", ColumnType::text,
                          [](const Migration& row) -> SqlValue { return enum_text(row.phase); }},
        Column<Migration>{"started", ColumnType::time,
                          [](const Migration& row) -> SqlValue { return millis(row.started); }},
        Column<Migration>{"finished", ColumnType::time,
                          [](const Migration& row) -> SqlValue { return millis(row.finished); }},
    };
    [[nodiscard]] static std::string subject_name(const Migration& row, const Snapshot& snapshot) {
        const Vm* vm = snapshot.vms.find(row.vm);
        return vm != nullptr ? vm->name : row.vm.str();
    }
};

}  // namespace ballast::store
