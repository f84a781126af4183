#include "daemon/api/list.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace ballast::api {
namespace {

/// A filter for a host or VM takes names, too; an unknown one stays what it is and finds nothing.
std::string resolve(const Snapshot& snapshot, const std::string& column, const std::string& value) {
    if (column == "host" || column == "from_host" || column == "to_host") {
        const auto host = find_host(snapshot, value);
        return host ? (*host)->id.str() : value;
    }
    if (column == "vm") {
        const auto vm = find_vm(snapshot, value);
        return vm ? (*vm)->id.str() : value;
    }
    if (column == "image") {
        const auto image = find_image(snapshot, value);
        return image ? (*image)->id.str() : value;
    }
    return value;
}

}  // namespace

Result<store::ListQuery> parse_list_query(const Request& request, const Snapshot& snapshot, const ListOf& list) {
    store::ListQuery query;
    query.entity = list.entity;
    BALLAST_TRY(const auto limit, query_number(request, "limit", 100));
    if (limit < 1 || limit > 1000)
        return fail(Code::invalid_argument, "the query parameter limit: {} is not between 1 and 1000", limit);
    query.limit = static_cast<int>(limit);
    query.after = request.query_or("after", "");
    std::string_view sort = request.query_or("sort", "id");
    query.descending = sort.starts_with('-');
    if (query.descending) sort.remove_prefix(1);
    query.sort = sort;
    for (const auto& [name, value] : request.query)
        if (std::ranges::find(list.filters, name) != list.filters.end())
            query.filters.push_back({name, resolve(snapshot, name, value)});
    return query;
}

std::vector<QueryParameter> list_parameters(const ListOf& list) {
    std::vector<QueryParameter> parameters{{"limit", "integer", "Rows of this page, 1 to 1000; 100 when not given."},
                                           {"after", "string", "`next` of the page before."},
                                           {"sort", "string", "A column; `-` before it for descending order."}};
    for (const auto& filter : list.filters)
        parameters.push_back({filter, "string", fmt::format("Only rows with this {}.", filter)});
    return parameters;
}

Response page_response(const std::vector<Text>& items, const std::string& next) {
    std::string body = "{\"items\":[";
    for (const auto& item : items) {
        if (body.back() != '[') body += ',';
        body += *item;
    }
    body += "],\"next\":";
    body += next.empty() ? "null" : dump(Json(next));
    body += '}';
    return json_response(200, std::move(body));
}

}  // namespace ballast::api
