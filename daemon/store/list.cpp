#include "daemon/store/list.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/try.h"
#include "daemon/store/cursor.h"
#include "daemon/store/entities.h"

namespace ballast::store {
namespace {

constexpr int max_page = 1000;

struct KnownColumn {
    std::string_view name;
    ColumnType type;
};

std::vector<std::string_view> entity_names() {
    std::vector<std::string_view> names;
    for_each_entity([&]<class Row>() { names.emplace_back(Entity<Row>::table); });
    return names;
}

Result<std::vector<KnownColumn>> columns_of(std::string_view entity) {
    std::vector<KnownColumn> columns;
    for_each_entity([&]<class Row>() {
        if (entity != Entity<Row>::table) return;
        columns.push_back({"id", ColumnType::text});
        for (const auto& column : Entity<Row>::columns) columns.push_back({column.name, column.type});
    });
    if (!columns.empty()) return columns;
    return fail(Code::invalid_argument, "nothing is listed as '{}'; known are {}", entity,
                fmt::join(entity_names(), ", "));
}

Result<KnownColumn> find_column(const ListQuery& query, const std::vector<KnownColumn>& columns,
                                std::string_view name) {
    const auto at = std::ranges::find(columns, name, &KnownColumn::name);
    if (at != columns.end()) return *at;
    std::vector<std::string_view> names;
    for (const auto& column : columns) names.push_back(column.name);
    if (const std::string near = nearest(name, names); !near.empty())
        return fail(Code::invalid_argument, "{} have no column '{}'; did you mean '{}'?", query.entity, name, near);
    return fail(Code::invalid_argument, "{} have no column '{}'; known are {}", query.entity, name,
                fmt::join(names, ", "));
}

Result<SqlValue> integer_value(const KnownColumn& column, const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
    return fail(Code::invalid_argument, "{}: '{}' is not a whole number", column.name, text);
}

Result<SqlValue> filter_value(const KnownColumn& column, const std::string& text) {
    switch (column.type) {
        case ColumnType::text:
            return text;
        case ColumnType::integer:
            return integer_value(column, text);
        case ColumnType::boolean:
            if (text == "true") return std::int64_t{1};
            if (text == "false") return std::int64_t{0};
            return fail(Code::invalid_argument, "{}: '{}' is neither true nor false", column.name, text);
        case ColumnType::time: {
            const auto time = parse_timestamp(text);
            if (!time) return fail(Code::invalid_argument, "{}: {}", column.name, time.error().message());
            return millis(*time);
        }
    }
    std::unreachable();
}

/// A SELECT with the values for its marks, in order.
struct Select {
    std::string sql;
    std::vector<SqlValue> values;

    void where(std::string_view condition) {
        sql += sql.contains(" WHERE ") ? " AND " : " WHERE ";
        sql += condition;
    }
};

Result<Select> select_for(const ListQuery& query) {
    BALLAST_TRY(const auto columns, columns_of(query.entity));
    BALLAST_TRY(const KnownColumn sort, find_column(query, columns, query.sort));
    Select select{fmt::format("SELECT id, {} FROM {}", sort.name, query.entity), {}};
    for (const auto& filter : query.filters) {
        BALLAST_TRY(const KnownColumn column, find_column(query, columns, filter.column));
        BALLAST_TRY(auto value, filter_value(column, filter.value));
        select.where(fmt::format("{} = ?", column.name));
        select.values.push_back(std::move(value));
    }
    const std::string_view direction = query.descending ? "DESC" : "ASC";
    if (!query.after.empty()) {
        BALLAST_TRY(auto cursor, parse_cursor(query.after, query.sort, query.descending));
        select.where(fmt::format("({}, id) {} (?, ?)", sort.name, query.descending ? "<" : ">"));
        select.values.push_back(std::move(cursor.value));
        select.values.emplace_back(std::move(cursor.id));
    }
    select.sql += fmt::format(" ORDER BY {0} {1}, id {1} LIMIT ?", sort.name, direction);
    select.values.emplace_back(std::int64_t{query.limit} + 1);  // one more says whether there is another page
    return select;
}

}  // namespace

Result<IdPage> list_ids(Connection& connection, const ListQuery& query) {
    if (query.limit < 1 || query.limit > max_page)
        return fail(Code::invalid_argument, "limit: {} is not between 1 and {}", query.limit, max_page);
    BALLAST_TRY(const Select select, select_for(query));
    SQLite::Statement statement(connection.database(), select.sql);  // not cached: too many shapes
    Query rows(statement);
    for (const SqlValue& value : select.values) rows.bind(value);
    IdPage page;
    SqlValue last;
    while (rows.step()) {
        if (page.ids.size() == static_cast<std::size_t>(query.limit)) {
            page.next = make_cursor({last, page.ids.back()}, query.sort, query.descending);
            break;
        }
        page.ids.push_back(rows.text(0));
        last = rows.value(1);
    }
    return page;
}

}  // namespace ballast::store
