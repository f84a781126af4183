#include "daemon/store/event_log.h"

#include <SQLiteCpp/Transaction.h>

#include "core/try.h"
#include "daemon/store/entities.h"

namespace ballast::store {
namespace {

constexpr int max_events_per_query = 10'000;

const std::string& text_of(RowChange change) {
    static const std::string put = "put";
    static const std::string erase = "erase";
    static const std::string none = "none";
    return change == RowChange::put ? put : change == RowChange::erase ? erase : none;
}

Event event_at(const Query& query) {
    Event event;
    event.seq = static_cast<std::uint64_t>(query.integer(0));
    event.time = Timestamp(Milliseconds(query.integer(1)));
    event.kind = query.text(2);
    event.subject_kind = query.text(3);
    event.subject_id = query.text(4);
    event.subject_name = query.text(5);
    event.actor = query.text(6);
    event.origin = query.text(7) == "outside" ? Origin::outside : Origin::ballast;
    event.job = JobId(query.text(8));
    event.message = query.text(9);
    event.after.text = query.text(10);
    return event;
}

template <class Row>
Result<void> apply_row(Snapshot& snapshot, const std::string& id, const std::string& doc, bool erase) {
    if (erase) {
        table_of<Row>(snapshot).erase(typename Table<Row>::Key(id));
        return {};
    }
    auto row = parse_as<Row>(doc, "");
    if (!row)
        return std::unexpected(
            while_doing(row.error(), "the after-image of {} '{}' can't be read", Entity<Row>::subject_kind, id));
    table_of<Row>(snapshot).put(*std::move(row));
    return {};
}

/// Kinds that no row kind answers to (and tokens, see header) change nothing.
Result<void> apply(Snapshot& snapshot, std::string_view kind, const std::string& id, const std::string& doc,
                   bool erase) {
    Result<void> outcome;
    for_each_entity([&]<class Row>() {
        if constexpr (!std::is_same_v<Row, Token>)
            if (kind == Entity<Row>::subject_kind) outcome = apply_row<Row>(snapshot, id, doc, erase);
    });
    return outcome;
}

Result<std::uint64_t> base_for(Connection& connection, std::uint64_t seq) {
    const auto newest =
        static_cast<std::uint64_t>(connection.integer("SELECT seq FROM sqlite_sequence WHERE name = 'events'"));
    if (seq > newest) return fail(Code::not_found, "event {} has not happened yet; the newest is {}", seq, newest);
    Query bases = connection.cached("SELECT max(seq) FROM bases WHERE seq <= ?");
    bases.bind(static_cast<std::int64_t>(seq));
    const bool found = bases.step();
    if (const auto base = found ? bases.integer(0) : 0; base > 0) return static_cast<std::uint64_t>(base);
    const auto first = connection.integer("SELECT min(seq) FROM events");
    if (seq == 0 || first == 1) return 0;
    return fail(Code::not_found,
                "event {} is past retention; the oldest moment that can be rebuilt is {} (retention.events keeps more)",
                seq, connection.integer("SELECT min(seq) FROM bases"));
}

Result<void> read_base(Connection& connection, std::uint64_t base, Snapshot& snapshot) {
    Query rows = connection.cached("SELECT kind, id, doc FROM base_rows WHERE base = ?");
    rows.bind(static_cast<std::int64_t>(base));
    while (rows.step()) BALLAST_CHECK(apply(snapshot, rows.text(0), rows.text(1), rows.text(2), false));
    return {};
}

Result<void> replay(Connection& connection, std::uint64_t after, std::uint64_t until, Snapshot& snapshot) {
    Query events = connection.cached(
        "SELECT subject_kind, subject_id, after, change FROM events "
        "WHERE seq > ? AND seq <= ? AND change != 'none' ORDER BY seq");
    events.bind(static_cast<std::int64_t>(after)).bind(static_cast<std::int64_t>(until));
    while (events.step())
        BALLAST_CHECK(apply(snapshot, events.text(0), events.text(1), events.text(2),
                            events.text(3) == text_of(RowChange::erase)));
    return {};
}

}  // namespace

void append_event(Connection& connection, const Event& event, RowChange change) {
    static const std::string sql =
        "INSERT INTO events (seq, time, kind, subject_kind, subject_id, subject_name, actor, origin, job, message, "
        "change, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    Query query = connection.cached(sql);
    query.bind(static_cast<std::int64_t>(event.seq)).bind(millis(event.time)).bind(event.kind);
    query.bind(event.subject_kind).bind(event.subject_id).bind(event.subject_name).bind(event.actor);
    query.bind(enum_text(event.origin)).bind(event.job.str()).bind(event.message).bind(text_of(change));
    query.bind_borrowed(event.after.text);
    query.run();
}

Result<std::vector<Event>> read_events(Connection& connection, const EventQuery& wanted) {
    if (wanted.limit < 1 || wanted.limit > max_events_per_query)
        return fail(Code::invalid_argument, "limit: {} is not between 1 and {}", wanted.limit, max_events_per_query);
    std::string sql =
        "SELECT seq, time, kind, subject_kind, subject_id, subject_name, actor, origin, job, message, after "
        "FROM events WHERE seq > ?";
    if (!wanted.subject_kind.empty()) sql += " AND subject_kind = ?";
    if (!wanted.subject_id.empty()) sql += " AND subject_id = ?";
    if (!wanted.kind_prefix.empty()) sql += " AND substr(kind, 1, length(?)) = ?";
    Query query = connection.cached(sql + " ORDER BY seq LIMIT ?");
    query.bind(static_cast<std::int64_t>(wanted.after));
    if (!wanted.subject_kind.empty()) query.bind(wanted.subject_kind);
    if (!wanted.subject_id.empty()) query.bind(wanted.subject_id);
    if (!wanted.kind_prefix.empty()) query.bind(wanted.kind_prefix).bind(wanted.kind_prefix);
    query.bind(std::int64_t{wanted.limit});
    std::vector<Event> events;
    while (query.step()) events.push_back(event_at(query));
    return events;
}

std::vector<std::function<BaseRow()>> base_rows_of(std::shared_ptr<const Snapshot> snapshot) {
    std::vector<std::function<BaseRow()>> rows;
    for_each_entity([&]<class Row>() {
        if constexpr (!std::is_same_v<Row, Token>)
            for (auto& row : table_of<Row>(*snapshot).rows())
                rows.emplace_back([row = std::move(row)] {
                    return BaseRow{Entity<Row>::subject_kind, row->id.str(), to_json_text(*row)};
                });
    });
    return rows;
}

void write_base_rows(Connection& connection, std::uint64_t base, const std::vector<BaseRow>& rows) {
    for (const BaseRow& row : rows) {
        Query query = connection.cached("INSERT INTO base_rows (base, kind, id, doc) VALUES (?, ?, ?, ?)");
        query.bind(static_cast<std::int64_t>(base)).bind(row.kind).bind(row.id).bind_borrowed(row.doc).run();
    }
}

void finish_base(Connection& connection, std::uint64_t base, Timestamp now) {
    connection.cached("INSERT INTO bases (seq, time) VALUES (?, ?)")
        .bind(static_cast<std::int64_t>(base))
        .bind(millis(now))
        .run();
}

std::uint64_t newest_base(Connection& connection) {
    return static_cast<std::uint64_t>(connection.integer("SELECT max(seq) FROM bases"));
}

void drop_unfinished_bases(Connection& connection) {
    connection.exec("DELETE FROM base_rows WHERE base > coalesce((SELECT max(seq) FROM bases), 0)");
}

std::uint64_t find_seq_at(Connection& connection, Timestamp time) {
    std::int64_t low = connection.integer("SELECT coalesce(min(seq), 1) FROM events") - 1;
    std::int64_t high = connection.integer("SELECT coalesce(max(seq), 0) FROM events");
    while (low < high) {  // the answer is in [low, high]
        const std::int64_t middle = low + (high - low + 1) / 2;
        Query query = connection.cached("SELECT seq, time FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1");
        query.bind(middle);
        const bool not_later = !query.step() || query.integer(1) <= millis(time);
        if (not_later)
            low = middle;
        else
            high = middle - 1;
    }
    return static_cast<std::uint64_t>(low);
}

Result<Snapshot> rebuild_snapshot(Connection& connection, std::uint64_t seq) {
    const SQLite::Transaction one_moment(connection.database());  // pruning half-way would leave a hole
    Snapshot snapshot;
    BALLAST_TRY(const auto base, base_for(connection, seq));
    BALLAST_CHECK(read_base(connection, base, snapshot));
    BALLAST_CHECK(replay(connection, base, seq, snapshot));
    snapshot.seq = seq;
    snapshot.cluster = connection.text("SELECT value FROM meta WHERE key = 'cluster'");
    return snapshot;
}

}  // namespace ballast::store
