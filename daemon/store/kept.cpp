#include "daemon/store/kept.h"

namespace ballast::store {

void keep_text(Connection& connection, const std::string& key, const std::string& text) {
    if (text.empty()) {
        connection.cached("DELETE FROM kept WHERE key = ?").bind(key).run();
        return;
    }
    connection.cached("INSERT INTO kept (key, doc) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET doc = excluded.doc")
        .bind(key)
        .bind(text)
        .run();
}

std::map<std::string, std::string> read_kept(Connection& connection, const std::string& prefix) {
    std::map<std::string, std::string> texts;
    Query query = connection.cached("SELECT key, doc FROM kept WHERE substr(key, 1, length(?)) = ?");
    query.bind(prefix).bind(prefix);
    while (query.step()) texts.emplace(query.text(0).substr(prefix.size()), query.text(1));
    return texts;
}

}  // namespace ballast::store
