#pragma once
// What is known of moving VMs from one host to another.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<HostPair> {
    static constexpr const char* table = "pairs";
    static constexpr const char* subject_kind = "pair";
    static constexpr auto rows = &Snapshot::pairs;
    static constexpr std::array columns{
        Column<HostPair>{"from_host", ColumnType::text, [](const HostPair& row) -> SqlValue { return row.from.str(); }},
        Column<HostPair>{"to_host", ColumnType::text, [](const HostPair& row) -> SqlValue { return row.to.str(); }},
        Column<HostPair>{"checked", ColumnType::time,
                         [](const HostPair& row) -> SqlValue { return millis(row.checked); }},
    };
    [[nodiscard]] static std::string subject_name(const HostPair& row, const Snapshot& snapshot) {
        return host_name(snapshot, row.from) + ">" + host_name(snapshot, row.to);
    }
};

}  // namespace ballast::store
