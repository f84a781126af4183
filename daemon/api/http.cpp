#include "daemon/api/http.h"

#include "core/try.h"

namespace ballast::api {

std::string_view name_of(Verb verb) {
    switch (verb) {
        case Verb::get:
            return "GET";
        case Verb::head:
            return "HEAD";
        case Verb::post:
            return "POST";
        case Verb::put:
            return "PUT";
        case Verb::patch:
            return "PATCH";
        case Verb::delete_:
            return "DELETE";
        case Verb::other:
            return "OTHER";
    }
    std::unreachable();
}

Verb parse_verb(std::string_view text) {
    for (const Verb verb : {Verb::get, Verb::head, Verb::post, Verb::put, Verb::patch, Verb::delete_})
        if (name_of(verb) == text) return verb;
    return Verb::other;
}

namespace {

template <class Map>
std::string_view find_or(const Map& map, std::string_view name, std::string_view otherwise) {
    const auto at = map.find(name);
    return at == map.end() ? otherwise : std::string_view(at->second);
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
    return find_or(headers, name, "");
}
std::string_view Request::param(std::string_view name) const {
    return find_or(params, name, "");
}
std::string_view Request::query_or(std::string_view name, std::string_view otherwise) const {
    return find_or(query, name, otherwise);
}

Response json_response(int status, std::shared_ptr<const std::string> body) {
    Response response;
    response.status = status;
    response.headers["content-type"] = "application/json";
    response.body = std::move(body);
    return response;
}

Response json_response(int status, std::string body) {
    return json_response(status, std::make_shared<const std::string>(std::move(body)));
}

Response no_content() {
    Response response;
    response.status = 204;
    return response;
}

std::string_view reason_phrase(int status) {
    static const std::map<int, std::string_view> phrases{{100, "Continue"},
                                                         {101, "Switching Protocols"},
                                                         {200, "OK"},
                                                         {201, "Created"},
                                                         {202, "Accepted"},
                                                         {204, "No Content"},
                                                         {304, "Not Modified"},
                                                         {400, "Bad Request"},
                                                         {401, "Unauthorized"},
                                                         {403, "Forbidden"},
                                                         {404, "Not Found"},
                                                         {405, "Method Not Allowed"},
                                                         {406, "Not Acceptable"},
                                                         {408, "Request Timeout"},
                                                         {409, "Conflict"},
                                                         {411, "Length Required"},
                                                         {412, "Precondition Failed"},
                                                         {413, "Content Too Large"},
                                                         {415, "Unsupported Media Type"},
                                                         {417, "Expectation Failed"},
                                                         {426, "Upgrade Required"},
                                                         {429, "Too Many Requests"},
                                                         {431, "Request Header Fields Too Large"},
                                                         {499, "Client Closed Request"},
                                                         {500, "Internal Server Error"},
                                                         {501, "Not Implemented"},
                                                         {503, "Service Unavailable"},
                                                         {504, "Gateway Timeout"},
                                                         {505, "HTTP Version Not Supported"},
                                                         {507, "Insufficient Storage"}};
    const auto at = phrases.find(status);
    return at == phrases.end() ? "Unknown" : at->second;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            decoded += ' ';
        } else if (text[i] != '%') {
            decoded += text[i];
        } else {
            const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return fail(Code::invalid_argument, "the URL holds a '%' without two hexadecimal digits");
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    if (decoded.find('\0') != std::string::npos) return fail(Code::invalid_argument, "the URL holds a zero byte");
    return decoded;
}

Result<Fields> parse_query(std::string_view text) {
    Fields fields;
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find('&'));
        text.remove_prefix(std::min(text.size(), item.size() + 1));
        if (item.empty()) continue;
        const auto equals = item.find('=');
        BALLAST_TRY(auto name, percent_decode(item.substr(0, equals), true));
        BALLAST_TRY(auto value, percent_decode(equals == std::string_view::npos ? "" : item.substr(equals + 1), true));
        if (!fields.emplace(name, std::move(value)).second)
            return fail(Code::invalid_argument, "the query gives '{}' twice; give it once", name);
    }
    return fields;
}

std::string head_of(const Request& request, const Response& response, bool keep_alive) {
    std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
    for (const auto& [name, value] : response.headers) {
        // A value can't start another header, whatever it was made from.
        std::string clean = value;
        std::erase_if(clean, [](char c) { return c == '\r' || c == '\n'; });
        head += fmt::format("{}: {}\r\n", name, clean);
    }
    head += fmt::format("x-request-id: {}\r\nx-content-type-options: nosniff\r\n", request.id);
    if (!response.headers.contains("cache-control")) head += "cache-control: no-cache\r\n";
    if (response.stream)
        keep_alive = false;
    else if (response.status != 204 && response.status != 304)
        head += fmt::format("content-length: {}\r\n", response.body ? response.body->size() : 0);
    head += keep_alive ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n";
    return head;
}

}  // namespace ballast::api
