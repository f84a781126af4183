#include "daemon/store/prune.h"

#include "daemon/store/answers.h"

namespace ballast::store {
namespace {

constexpr std::int64_t rows_per_item = 500;

std::int64_t run_counted(Connection& connection, Query& query) {
    query.run();
    return connection.database().getChanges();
}

}  // namespace

std::int64_t prune_answers(StoreTransaction& transaction, const Retention& retention, Timestamp now) {
    return drop_answers(transaction.connection(), now - retention.answers, rows_per_item);
}

std::int64_t prune_jobs(StoreTransaction& transaction, const Retention& retention, Timestamp now) {
    std::vector<JobId> old;
    {
        Query query = transaction.connection().cached(
            "SELECT id FROM jobs WHERE finished != 0 AND finished < ? AND state IN ('succeeded', 'failed', "
            "'cancelled') ORDER BY id LIMIT ?");
        query.bind(millis(now - retention.jobs)).bind(rows_per_item);
        while (query.step()) old.emplace_back(query.text(0));
    }
    for (const JobId& id : old) transaction.erase_row<Job>(id, {"job.pruned", "past retention"});
    return static_cast<std::int64_t>(old.size());
}

std::int64_t prune_migrations(StoreTransaction& transaction, const Retention& retention, Timestamp now) {
    std::vector<JobId> old;
    {
        Query query = transaction.connection().cached(
            "SELECT id FROM migrations WHERE finished != 0 AND (finished < ?1 OR started < "
            "(SELECT started FROM migrations ORDER BY started DESC LIMIT 1 OFFSET ?2)) ORDER BY started LIMIT ?3");
        query.bind(millis(now - retention.events)).bind(most_migrations - 1).bind(rows_per_item);
        while (query.step()) old.emplace_back(query.text(0));
    }
    for (const JobId& id : old) transaction.erase_row<Migration>(id, {"migration.pruned", "past retention"});
    return static_cast<std::int64_t>(old.size());
}

std::int64_t prune_plans(StoreTransaction& transaction, const Retention& retention, Timestamp now) {
    std::vector<PlanId> old;
    {
        Query query = transaction.connection().cached(
            "SELECT id FROM plans WHERE finished != 0 AND (finished < ?1 OR made < "
            "(SELECT made FROM plans ORDER BY made DESC LIMIT 1 OFFSET ?2)) ORDER BY made LIMIT ?3");
        query.bind(millis(now - retention.jobs)).bind(most_plans - 1).bind(rows_per_item);
        while (query.step()) old.emplace_back(query.text(0));
    }
    for (const PlanId& id : old) transaction.erase_row<Plan>(id, {"plan.pruned", "past retention"});
    return static_cast<std::int64_t>(old.size());
}

std::int64_t prune_bases(StoreTransaction& transaction, const Retention& retention, Timestamp now) {
    Connection& connection = transaction.connection();
    // The newest base that is itself out of either bound; those before it are needed by nothing that is kept.
    Query query =
        connection.cached("DELETE FROM bases WHERE seq < (SELECT max(seq) FROM bases WHERE time < ?1 OR seq <= ?2)");
    query.bind(millis(now - retention.events));
    query.bind(static_cast<std::int64_t>(transaction.snapshot().seq) - retention.max_events);
    return run_counted(connection, query);
}

std::int64_t prune_base_rows(StoreTransaction& transaction, const Retention&, Timestamp) {
    Connection& connection = transaction.connection();
    Query query = connection.cached(
        "DELETE FROM base_rows WHERE rowid IN "
        "(SELECT rowid FROM base_rows WHERE base < (SELECT min(seq) FROM bases) LIMIT ?)");
    query.bind(rows_per_item);
    return run_counted(connection, query);
}

std::int64_t prune_events(StoreTransaction& transaction, const Retention& retention, Timestamp now) {
    Connection& connection = transaction.connection();
    // The oldest base is kept for the events after it; while it is within retention the events before it are too.
    Query query = connection.cached(
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq <= "
        "(SELECT max(seq) FROM bases WHERE time < ?1 OR seq <= ?2) ORDER BY seq LIMIT ?3)");
    query.bind(millis(now - retention.events));
    query.bind(static_cast<std::int64_t>(transaction.snapshot().seq) - retention.max_events);
    query.bind(rows_per_item);
    return run_counted(connection, query);
}

}  // namespace ballast::store
