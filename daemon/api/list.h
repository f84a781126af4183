#pragma once
// Lists: filtered, sorted and keyset-paged in SQL, which gives ids; the bodies are those of the snapshot, rendered
// once. Names are taken for ids where a filter wants a host or VM. Loop thread only.

#include <memory>
#include <string>
#include <vector>

#include "daemon/api/commit.h"
#include "daemon/api/route.h"

namespace ballast::api {

struct ListOf {
    std::string entity;                ///< as store::ListQuery names it
    std::vector<std::string> filters;  ///< query parameters that are columns
};

/// The query of a list request. Errors: invalid_argument (an unknown parameter, with the nearest known).
[[nodiscard]] Result<store::ListQuery> parse_list_query(const Request& request, const Snapshot& snapshot,
                                                        const ListOf& list);

/// limit, after, sort and one parameter for each filter.
[[nodiscard]] std::vector<QueryParameter> list_parameters(const ListOf& list);

/// {"items": […], "next": "…"}: next is null on the last page.
[[nodiscard]] Response page_response(const std::vector<Text>& items, const std::string& next);

template <class Row>
Task<Response> list_rows(Request request, ContextPtr context, const ListOf* list, Table<Row> Snapshot::* table) {
    const auto before = context->store->snapshot();
    BALLAST_CO_TRY(auto query, parse_list_query(request, *before, *list));
    BALLAST_CO_TRY(const auto page, co_await context->store->list(std::move(query)));
    const auto snapshot = context->store->snapshot();
    std::vector<Text> items;
    for (const auto& id : page.ids)
        if (const auto row = ((*snapshot).*table).find_ptr(typename Table<Row>::Key(id)))
            items.push_back(context->rows->render(row));
    co_return page_response(items, page.next);
}

}  // namespace ballast::api
