#pragma once
// The SQL of one row kind, made once from its column list. Thread rule: that of the connection.

#include <fmt/format.h>

#include "core/try.h"
#include "daemon/store/entity.h"

namespace ballast::store {

template <class Row>
class EntityStore {
  public:
    using Key = typename Table<Row>::Key;

    /// Writes the row with `doc`, its JSON.
    static void put(Connection& connection, const Row& row, const std::string& doc) {
        static const std::string sql = put_sql();
        Query query = connection.cached(sql);
        query.bind(row.id.str());
        for (const auto& column : Entity<Row>::columns) query.bind(column.value(row));
        query.bind_borrowed(doc);
        query.run();
    }

    static void erase(Connection& connection, const Key& id) {
        static const std::string sql = fmt::format("DELETE FROM {} WHERE id = ?", Entity<Row>::table);
        connection.cached(sql).bind(id.str()).run();
    }

    /// Reads every row. A row that does not parse is an error that names it; the rest is still read.
    static Result<void> load(Connection& connection, Table<Row>& table) {
        Query query = connection.cached(fmt::format("SELECT id, doc FROM {}", Entity<Row>::table));
        Result<void> outcome;
        while (query.step()) {
            auto row = parse_as<Row>(query.text(1), "");
            if (row)
                table.put(*std::move(row));
            else if (outcome)
                outcome = fail(Code::internal, "the {} row '{}' can't be read: {}", Entity<Row>::subject_kind,
                               query.text(0), row.error().message());
        }
        return outcome;
    }

  private:
    static std::string put_sql() {
        std::string names;
        std::string marks;
        std::string updates;
        for (const auto& column : Entity<Row>::columns) {
            names += fmt::format("{}, ", column.name);
            marks += "?, ";
            updates += fmt::format("{0} = excluded.{0}, ", column.name);
        }
        return fmt::format(
            "INSERT INTO {} (id, {}doc) VALUES (?, {}?) ON CONFLICT (id) DO UPDATE SET {}doc = excluded.doc",
            Entity<Row>::table, names, marks, updates);
    }
};

}  // namespace ballast::store
