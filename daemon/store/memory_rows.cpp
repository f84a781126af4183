#include "daemon/store/memory_rows.h"

#include <algorithm>
#include <cmath>

#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>

#include "daemon/store/memory_rollup.h"

namespace ballast::store {
namespace {

constexpr double in_ppb = 1e9;
/// Dropped in one round. More than a round adds, so that what a long stop left behind goes too, and few enough that no
/// other write waits long.
constexpr std::int64_t steps_per_round = 6;

const std::string columns =
    "at, host, watched, level, risk_ppb, vms, least_free, most_unmet, total, guest_in_use, page_cache, guest_unused, "
    "shared, overhead, host_cache, host_own, reserve, free, saved, promised, ballooned, never_touched";

using Members = boost::describe::describe_members<MemoryFigures, boost::describe::mod_public>;

std::int64_t seconds_of(Timestamp time) {
    return std::chrono::floor<Seconds>(time.time_since_epoch()).count();
}

std::int64_t kib(Bytes bytes) {
    return bytes.count() / 1024;
}

MemoryRow row_at(const Query& query) {
    MemoryRow row;
    row.at = Timestamp(Seconds(query.integer(0)));
    row.host = HostId(query.text(1));
    row.watched = Seconds(query.integer(2));
    row.level = static_cast<int>(query.integer(3));
    row.risk = static_cast<double>(query.integer(4)) / in_ppb;
    row.vms = static_cast<int>(query.integer(5));
    row.least_free = kibibytes(query.integer(6));
    row.most_unmet = kibibytes(query.integer(7));
    int column = 8;
    boost::mp11::mp_for_each<Members>(
        [&](auto member) { row.figures.*member.pointer = kibibytes(query.integer(column++)); });
    return row;
}

void put(Connection& connection, Seconds step, const MemoryRow& row) {
    static const std::string sql = "INSERT OR REPLACE INTO memory_history (resolution, " + columns +
                                   ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    Query query = connection.cached(sql);
    query.bind(step.count()).bind(seconds_of(row.at)).bind(row.host.str()).bind(row.watched.count());
    query.bind(static_cast<std::int64_t>(row.level));
    query.bind(static_cast<std::int64_t>(std::llround((row.risk > 0 ? std::min(row.risk, 1.0) : 0) * in_ppb)));
    query.bind(static_cast<std::int64_t>(row.vms)).bind(kib(row.least_free)).bind(kib(row.most_unmet));
    boost::mp11::mp_for_each<Members>([&](auto member) { query.bind(kib(row.figures.*member.pointer)); });
    query.run();
}

std::vector<MemoryRow> rows_within(Connection& connection, Seconds resolution, Timestamp from, Seconds length) {
    static const std::string sql =
        "SELECT " + columns + " FROM memory_history WHERE resolution = ? AND at >= ? AND at < ? ORDER BY at, host";
    Query query = connection.cached(sql);
    query.bind(resolution.count()).bind(seconds_of(from)).bind(seconds_of(from + length));
    std::vector<MemoryRow> rows;
    while (query.step()) rows.push_back(row_at(query));
    return rows;
}

/// The last round before `now` that is kept at a resolution.
std::optional<Timestamp> last_before(Connection& connection, Seconds resolution, Timestamp now) {
    Query query = connection.cached("SELECT max(at) FROM memory_history WHERE resolution = ? AND at < ?");
    query.bind(resolution.count()).bind(seconds_of(now));
    if (!query.step() || query.integer(0) == 0) return std::nullopt;
    return Timestamp(Seconds(query.integer(0)));
}

bool is_made(Connection& connection, Seconds step, Timestamp at) {
    Query query = connection.cached("SELECT 1 FROM memory_history WHERE resolution = ? AND at = ? LIMIT 1");
    query.bind(step.count()).bind(seconds_of(at));
    return query.step();
}

/// The coarser steps that the last round before `now` ends, if `now` lies beyond them.
void roll_up(Connection& connection, Timestamp now, bool anew) {
    for (std::size_t i = 1; i < memory_resolutions.size(); ++i) {
        const Seconds fine = memory_resolutions.at(i - 1).step;
        const Seconds step = memory_resolutions.at(i).step;
        const auto last = last_before(connection, fine, now);
        if (!last || begin_of(*last, step) == begin_of(now, step)) continue;
        const Timestamp begin = begin_of(*last, step);
        if (!anew && is_made(connection, step, begin)) continue;
        for (const auto& row : rolled_up(rows_within(connection, fine, begin, step), begin)) put(connection, step, row);
    }
}

void drop(Connection& connection, const MemoryResolution& resolution, Timestamp now) {
    const std::int64_t step = resolution.step.count();
    Query old = connection.cached(
        "DELETE FROM memory_history WHERE resolution = ?1 AND at < min(?2, "
        "(SELECT min(at) FROM memory_history WHERE resolution = ?1) + ?3)");
    old.bind(step).bind(seconds_of(now - resolution.kept)).bind(steps_per_round * step).run();
    Query to_come = connection.cached(
        "DELETE FROM memory_history WHERE resolution = ?1 AND at > max(?2, "
        "(SELECT max(at) FROM memory_history WHERE resolution = ?1) - ?3)");
    to_come.bind(step).bind(seconds_of(now)).bind(steps_per_round * step).run();
}

}  // namespace

void write_memory_rows(Connection& connection, std::span<const MemoryRow> rows) {
    if (rows.empty()) return;
    const Seconds step = memory_resolutions.front().step;
    const Timestamp begin = rows.front().at;
    roll_up(connection, begin, false);  // those that a stop or a gap cut short
    for (const auto& row : rows) put(connection, step, row);
    roll_up(connection, begin + step, true);
    for (const auto& resolution : memory_resolutions) drop(connection, resolution, begin);
}

/// Rows lie by time, so those of one host are looked up one by one: a step of 500 hosts is not read for one of them.
std::vector<MemoryRow> read_memory_rows(Connection& connection, const MemoryHistoryQuery& query) {
    static const std::string sql =
        "SELECT " + columns + " FROM memory_history WHERE resolution = ? AND at = ? AND host = ?";
    const Seconds step = query.resolution.step;
    std::vector<MemoryRow> rows;
    for (Timestamp at = begin_of(query.until - Milliseconds(1), step);
         at >= query.from && rows.size() < static_cast<std::size_t>(query.limit); at -= step) {
        Query one = connection.cached(sql);
        one.bind(step.count()).bind(seconds_of(at)).bind(query.host.str());
        if (one.step()) rows.push_back(row_at(one));
    }
    std::ranges::reverse(rows);
    return rows;
}

}  // namespace ballast::store
