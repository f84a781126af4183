#pragma once
// Claims: room that jobs hold, or that is reserved.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Claim> {
    static constexpr const char* table = "claims";
    static constexpr const char* subject_kind = "claim";
    static constexpr auto rows = &Snapshot::claims;
    static constexpr std::array columns{
        Column<Claim>{"job", ColumnType::text, [](const Claim& row) -> SqlValue { return row.job.str(); }},
        Column<Claim>{"host", ColumnType::text, [](const Claim& row) -> SqlValue { return row.host.str(); }},
        Column<Claim>{"vm", ColumnType::text, [](const Claim& row) -> SqlValue { return row.vm.str(); }},
        Column<Claim>{"created", ColumnType::time, [](const Claim& row) -> SqlValue { return millis(row.created); }},
    };
    [[nodiscard]] static std::string subject_name(const Claim& row, const Snapshot& snapshot) {
        if (row.job.empty()) return row.name;  // a reservation
        const Vm* vm = snapshot.vms.find(row.vm);
        return vm != nullptr ? vm->name : row.vm.str();
    }
};

}  // namespace ballast::store
