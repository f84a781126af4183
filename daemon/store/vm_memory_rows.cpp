#include "daemon/store/vm_memory_rows.h"

#include <algorithm>
#include <optional>

#include "daemon/store/memory_rollup.h"
#include "daemon/store/vm_memory_pages.h"

namespace ballast::store {
namespace {

constexpr const MemoryResolution& fine = vm_memory_resolutions[0];
constexpr const MemoryResolution& coarse = vm_memory_resolutions[1];
/// Dropped in one round. More than a round adds, so that what a long stop left behind goes too, and few enough that no
/// other write waits long.
constexpr std::int64_t steps_per_round = 6;
constexpr std::int64_t seconds_per_day = 24 * 3'600;

std::int64_t seconds_of(Timestamp time) {
    return std::chrono::floor<Seconds>(time.time_since_epoch()).count();
}

std::optional<std::int64_t> find_number(Connection& connection, const VmId& vm) {
    Query query = connection.cached("SELECT number FROM vm_memory_numbers WHERE vm = ?");
    query.bind(vm.str());
    if (!query.step()) return std::nullopt;
    return query.integer(0);
}

/// Its number; a new one for a VM that has none.
std::int64_t number_of(Connection& connection, const VmId& vm, std::int64_t day) {
    {
        Query known = connection.cached("SELECT number, seen FROM vm_memory_numbers WHERE vm = ?");
        known.bind(vm.str());
        if (known.step() && known.integer(1) == day) return known.integer(0);
    }
    Query query = connection.cached(
        "INSERT INTO vm_memory_numbers (vm, seen) VALUES (?, ?) ON CONFLICT (vm) DO UPDATE SET seen = excluded.seen "
        "RETURNING number");
    query.bind(vm.str()).bind(day);
    const std::int64_t number = query.step() ? query.integer(0) : 0;
    query.run();
    return number;
}

/// Rows by number, in pages.
void put(Connection& connection, Seconds step, std::span<const NumberedRow> rows) {
    for (auto from = rows.begin(); from != rows.end();) {
        const std::int64_t page = from->number / vms_per_page;
        const auto to =
            std::find_if(from, rows.end(), [&](const NumberedRow& one) { return one.number / vms_per_page != page; });
        Query query = connection.cached(
            "INSERT OR REPLACE INTO vm_memory_history (resolution, at, page, figures) VALUES (?, ?, ?, ?)");
        query.bind(step.count()).bind(seconds_of(from->row.at)).bind(page).bind_blob(pack({from, to})).run();
        from = to;
    }
}

std::vector<NumberedRow> rows_within(Connection& connection, Timestamp from, Seconds length) {
    Query query = connection.cached(
        "SELECT at, page, figures FROM vm_memory_history WHERE resolution = ? AND at >= ? AND at < ? ORDER BY at, "
        "page");
    query.bind(fine.step.count()).bind(seconds_of(from)).bind(seconds_of(from + length));
    std::vector<NumberedRow> rows;
    while (query.step())
        for (auto& row : unpack(query.integer(1), query.text(2), Timestamp(Seconds(query.integer(0)))))
            rows.push_back(row);
    return rows;
}

std::optional<Timestamp> last_before(Connection& connection, Timestamp now) {
    Query query = connection.cached("SELECT max(at) FROM vm_memory_history WHERE resolution = ? AND at < ?");
    query.bind(fine.step.count()).bind(seconds_of(now));
    if (!query.step() || query.integer(0) == 0) return std::nullopt;
    return Timestamp(Seconds(query.integer(0)));
}

bool is_made(Connection& connection, Timestamp at) {
    Query query = connection.cached("SELECT 1 FROM vm_memory_history WHERE resolution = ? AND at = ? LIMIT 1");
    query.bind(coarse.step.count()).bind(seconds_of(at));
    return query.step();
}

/// The ten minutes that the last minute before `now` ends, if `now` lies beyond them.
void roll_up(Connection& connection, Timestamp now, bool anew) {
    const auto last = last_before(connection, now);
    if (!last || begin_of(*last, coarse.step) == begin_of(now, coarse.step)) return;
    const Timestamp begin = begin_of(*last, coarse.step);
    if (!anew && is_made(connection, begin)) return;
    put(connection, coarse.step, rolled_up(rows_within(connection, begin, coarse.step), begin));
}

void drop(Connection& connection, const MemoryResolution& resolution, Timestamp now) {
    const std::int64_t step = resolution.step.count();
    Query old = connection.cached(
        "DELETE FROM vm_memory_history WHERE resolution = ?1 AND at < min(?2, "
        "(SELECT min(at) FROM vm_memory_history WHERE resolution = ?1) + ?3)");
    old.bind(step).bind(seconds_of(now - resolution.kept)).bind(steps_per_round * step).run();
    Query to_come = connection.cached(
        "DELETE FROM vm_memory_history WHERE resolution = ?1 AND at > max(?2, "
        "(SELECT max(at) FROM vm_memory_history WHERE resolution = ?1) - ?3)");
    to_come.bind(step).bind(seconds_of(now)).bind(steps_per_round * step).run();
}

/// Of VMs of which no row is left: a day is no moment, so a day more than rows are kept.
void free_numbers(Connection& connection, std::int64_t day) {
    const std::int64_t kept = coarse.kept.count() / seconds_per_day;
    connection.cached("DELETE FROM vm_memory_numbers WHERE seen < ?").bind(day - kept - 1).run();
}

}  // namespace

void write_vm_memory_rows(Connection& connection, std::span<const std::pair<VmId, VmMemoryRow>> rows) {
    if (rows.empty()) return;
    const Timestamp begin = rows.front().second.at;
    const std::int64_t day = seconds_of(begin) / seconds_per_day;
    roll_up(connection, begin, false);  // those that a stop or a gap cut short
    std::vector<NumberedRow> numbered;
    numbered.reserve(rows.size());
    for (const auto& [vm, row] : rows) numbered.push_back({number_of(connection, vm, day), row});
    std::ranges::sort(numbered, {}, &NumberedRow::number);
    put(connection, fine.step, numbered);
    roll_up(connection, begin + fine.step, true);
    for (const auto& resolution : vm_memory_resolutions) drop(connection, resolution, begin);
    free_numbers(connection, day);
}

std::vector<VmMemoryRow> read_vm_memory_rows(Connection& connection, const VmMemoryHistoryQuery& query) {
    std::vector<VmMemoryRow> rows;
    const auto number = find_number(connection, query.vm);
    if (!number) return rows;
    const std::int64_t page = *number / vms_per_page;
    const Seconds step = query.resolution.step;
    for (Timestamp at = begin_of(query.until - Milliseconds(1), step);
         at >= query.from && rows.size() < static_cast<std::size_t>(query.limit); at -= step) {
        Query one =
            connection.cached("SELECT figures FROM vm_memory_history WHERE resolution = ? AND at = ? AND page = ?");
        one.bind(step.count()).bind(seconds_of(at)).bind(page);
        if (!one.step()) continue;
        const auto all = unpack(page, one.text(0), at);
        const auto own = std::ranges::find(all, *number, &NumberedRow::number);
        if (own != all.end()) rows.push_back(own->row);
    }
    std::ranges::reverse(rows);
    return rows;
}

}  // namespace ballast::store
