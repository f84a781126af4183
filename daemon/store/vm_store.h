#pragma once
// VMs: the spec is name, spec and whether it is managed; owner and run state are not.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Vm> {
    static constexpr const char* table = "vms";
    static constexpr const char* subject_kind = "vm";
    static constexpr auto rows = &Snapshot::vms;
    static constexpr std::array columns{
        Column<Vm>{"name", ColumnType::text, [](const Vm& row) -> SqlValue { return row.name; }},
        Column<Vm>{"managed", ColumnType::boolean, [](const Vm& row) -> SqlValue { return row.managed; }},
        Column<Vm>{"host", ColumnType::text, [](const Vm& row) -> SqlValue { return text_of(row.host); }},
        Column<Vm>{"state", ColumnType::text, [](const Vm& row) -> SqlValue { return enum_text(row.state); }},
        Column<Vm>{"state_since", ColumnType::time, [](const Vm& row) -> SqlValue { return millis(row.state_since); }},
        Column<Vm>{"vcpus", ColumnType::integer, [](const Vm& row) -> SqlValue { return row.spec.vcpus; }},
        Column<Vm>{"memory_bytes", ColumnType::integer,
                   [](const Vm& row) -> SqlValue { return row.spec.memory.count(); }},
        Column<Vm>{"created", ColumnType::time, [](const Vm& row) -> SqlValue { return millis(row.created); }},
    };
    [[nodiscard]] static std::string subject_name(const Vm& row, const Snapshot&) { return row.name; }
    [[nodiscard]] static bool same_spec(const Vm& a, const Vm& b) {
        return a.name == b.name && a.managed == b.managed && a.spec == b.spec;
    }
};

}  // namespace ballast::store
