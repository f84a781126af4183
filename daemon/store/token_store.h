#pragma once
// Tokens. Their digest stays in their own table: events carry the row without it.

#include <array>

#include "daemon/store/entity.h"

namespace ballast::store {

template <>
struct Entity<Token> {
    static constexpr const char* table = "tokens";
    static constexpr const char* subject_kind = "token";
    static constexpr auto rows = &Snapshot::tokens;
    static constexpr std::array columns{
        Column<Token>{"name", ColumnType::text, [](const Token& row) -> SqlValue { return row.name; }},
        Column<Token>{"right", ColumnType::text, [](const Token& row) -> SqlValue { return enum_text(row.right); }},
        Column<Token>{"revoked", ColumnType::time, [](const Token& row) -> SqlValue { return millis(row.revoked); }},
        Column<Token>{"created", ColumnType::time, [](const Token& row) -> SqlValue { return millis(row.created); }},
    };
    [[nodiscard]] static std::string subject_name(const Token& row, const Snapshot&) { return row.name; }
    /// What may leave the table.
    [[nodiscard]] static Token redacted(Token row) {
        row.sha256.clear();
        return row;
    }
};

}  // namespace ballast::store
