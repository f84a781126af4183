#pragma once
// Hosts: the spec is what the operator said; state and facts are not.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Host> {
    static constexpr const char* table = "hosts";
    static constexpr const char* subject_kind = "host";
    static constexpr auto rows = &Snapshot::hosts;
    static constexpr std::array columns{
        Column<Host>{"name", ColumnType::text, [](const Host& row) -> SqlValue { return row.name; }},
        Column<Host>{"uri", ColumnType::text, [](const Host& row) -> SqlValue { return row.uri; }},
        Column<Host>{"managed", ColumnType::boolean, [](const Host& row) -> SqlValue { return row.managed; }},
        Column<Host>{"maintenance", ColumnType::boolean, [](const Host& row) -> SqlValue { return row.maintenance; }},
        Column<Host>{"state", ColumnType::text, [](const Host& row) -> SqlValue { return enum_text(row.state); }},
        Column<Host>{"state_since", ColumnType::time,
                     [](const Host& row) -> SqlValue { return millis(row.state_since); }},
    };
    [[nodiscard]] static std::string subject_name(const Host& row, const Snapshot&) { return row.name; }
    [[nodiscard]] static bool same_spec(const Host& a, const Host& b) {
        return a.name == b.name && a.uri == b.uri && a.managed == b.managed && a.maintenance == b.maintenance &&
               a.settings == b.settings;
    }
};

}  // namespace ballast::store
