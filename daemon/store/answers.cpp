#include "daemon/store/answers.h"

namespace ballast::store {
namespace {

std::int64_t millis(Timestamp time) {
    return time.time_since_epoch().count();
}

}  // namespace

std::optional<RememberedAnswer> find_answer(Connection& connection, const std::string& actor, const std::string& key,
                                            Timestamp not_before) {
    Query query = connection.cached(
        "SELECT body_sha256, status, location, body FROM answers WHERE actor = ? AND key = ? AND created >= ?");
    query.bind(actor).bind(key).bind(millis(not_before));
    if (!query.step()) return std::nullopt;
    return RememberedAnswer{.body_sha256 = query.text(0),
                            .status = static_cast<int>(query.integer(1)),
                            .location = query.text(2),
                            .body = query.text(3)};
}

void remember_answer(Connection& connection, const std::string& actor, const std::string& key,
                     const RememberedAnswer& answer, Timestamp now) {
    Query query = connection.cached(
        "INSERT OR REPLACE INTO answers (actor, key, created, body_sha256, status, location, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)");
    query.bind(actor).bind(key).bind(millis(now)).bind(answer.body_sha256).bind(std::int64_t{answer.status});
    query.bind(answer.location).bind_borrowed(answer.body).run();
}

std::int64_t drop_answers(Connection& connection, Timestamp before, std::int64_t limit) {
    connection.cached("DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers WHERE created < ? LIMIT ?)")
        .bind(millis(before))
        .bind(limit)
        .run();
    return connection.database().getChanges();
}

}  // namespace ballast::store
