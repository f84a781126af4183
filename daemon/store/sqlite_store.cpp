#include "daemon/store/sqlite_store.h"

#include <future>

#include "core/try.h"
#include "daemon/store/entities.h"
#include "daemon/store/kept.h"
#include "daemon/store/list.h"
#include "daemon/store/memory_rows.h"
#include "daemon/store/prune.h"
#include "daemon/store/vm_memory_rows.h"

namespace ballast::store {
namespace {

constexpr std::size_t base_rows_per_item = 500;

/// A base of many rows is made after as many events twice over: bases never cost more than the log itself.
std::uint64_t base_interval(const Snapshot& snapshot, std::uint64_t least) {
    std::size_t rows = 0;
    for_each_entity([&]<class Row>() { rows += table_of<Row>(snapshot).size(); });
    return std::max<std::uint64_t>(least, 2 * rows);
}

}  // namespace

SqliteStore::SqliteStore(StoreOptions options, LockFile lock, Opened opened, std::shared_ptr<const Clock> clock,
                         std::shared_ptr<IdSource> ids)
    : lock_(std::move(lock)),
      options_(std::move(options)),
      clock_(clock),
      last_base_(opened.newest_base),
      readers_(options_.path, std::max(1, options_.readers)),
      writer_(std::move(opened.connection), std::move(opened.snapshot), std::move(opened.refused), std::move(clock),
              std::move(ids),
              WriterOptions{.answers_kept = options_.retention.answers, .probe_every = options_.probe_every}) {
    writer_.on_publish([this](std::uint64_t seq) { base_if_due(seq); });
}

Task<Committed> SqliteStore::write(WriteContext context, Change change) {
    return run(std::move(context), std::move(change));
}

Task<Committed> SqliteStore::run(WriteContext context, Writer::Work work) {
    return await_completion<Committed>(
        [this, context = std::move(context), work = std::move(work)](Writer::Done done) mutable {
            writer_.enqueue(std::move(context), std::move(work), std::move(done));
        });
}

Task<std::vector<Event>> SqliteStore::events(EventQuery query) {
    return readers_.run<std::vector<Event>>(
        [query = std::move(query)](Connection& connection) { return read_events(connection, query); });
}

Task<IdPage> SqliteStore::list(ListQuery query) {
    return readers_.run<IdPage>(
        [query = std::move(query)](Connection& connection) { return list_ids(connection, query); });
}

Task<std::shared_ptr<const Snapshot>> SqliteStore::snapshot_at(std::uint64_t seq) {
    return readers_.run<std::shared_ptr<const Snapshot>>(
        [seq](Connection& connection) -> Result<std::shared_ptr<const Snapshot>> {
            BALLAST_TRY(auto snapshot, rebuild_snapshot(connection, seq));
            return std::make_shared<const Snapshot>(std::move(snapshot));
        });
}

Task<std::uint64_t> SqliteStore::seq_at(Timestamp time) {
    return readers_.run<std::uint64_t>(
        [time](Connection& connection) -> Result<std::uint64_t> { return find_seq_at(connection, time); });
}

Task<std::map<std::string, std::string>> SqliteStore::kept(std::string prefix) {
    return readers_.run<std::map<std::string, std::string>>(
        [prefix = std::move(prefix)](Connection& connection) -> Result<std::map<std::string, std::string>> {
            return read_kept(connection, prefix);
        });
}

Task<> SqliteStore::note(std::vector<MemoryPoint> points) {
    auto over = open_rows_.note(points, clock_->now());
    if (over.empty()) co_return Result<void>();
    Writer::Work work = [over = std::move(over)](StoreTransaction& transaction) {
        write_memory_rows(transaction.connection(), over);
        return Result<void>();
    };
    BALLAST_CO_CHECK(co_await run(WriteContext{}, std::move(work)));
    co_return Result<void>();
}

Task<std::vector<MemoryRow>> SqliteStore::read(MemoryHistoryQuery query) {
    const Timestamp now = clock_->now();
    query.from = std::max(query.from, now - query.resolution.kept - query.resolution.step);
    query.until = std::min(query.until, now + query.resolution.step);
    return readers_.run<std::vector<MemoryRow>>(
        [query = std::move(query)](Connection& connection) -> Result<std::vector<MemoryRow>> {
            return read_memory_rows(connection, query);
        });
}

Task<> SqliteStore::note(std::vector<VmMemoryPoint> points) {
    auto over = open_vm_rows_.note(points, clock_->now());
    if (over.empty()) co_return Result<void>();
    Writer::Work work = [over = std::move(over)](StoreTransaction& transaction) {
        write_vm_memory_rows(transaction.connection(), over);
        return Result<void>();
    };
    BALLAST_CO_CHECK(co_await run(WriteContext{}, std::move(work)));
    co_return Result<void>();
}

Task<std::vector<VmMemoryRow>> SqliteStore::read(VmMemoryHistoryQuery query) {
    const Timestamp now = clock_->now();
    query.from = std::max(query.from, now - query.resolution.kept - query.resolution.step);
    query.until = std::min(query.until, now + query.resolution.step);
    return readers_.run<std::vector<VmMemoryRow>>(
        [query = std::move(query)](Connection& connection) -> Result<std::vector<VmMemoryRow>> {
            return read_vm_memory_rows(connection, query);
        });
}

std::unique_ptr<Subscription> SqliteStore::subscribe(boost::asio::any_io_executor executor,
                                                     std::function<void(const std::vector<Event>&)> listener) {
    return writer_.subscribers().add(std::move(executor), std::move(listener));
}

Task<> SqliteStore::prune() {
    const Timestamp now = clock_->now();
    for (const PruneStep step : prune_steps) {
        std::int64_t dropped = 1;
        while (dropped > 0) {
            const auto count = std::make_shared<std::int64_t>(0);
            Writer::Work work = [step, count, now, retention = options_.retention](StoreTransaction& transaction) {
                *count = step(transaction, retention, now);
                return Result<void>();
            };
            BALLAST_CO_CHECK(co_await run(WriteContext{}, std::move(work)));
            dropped = *count;
        }
    }
    co_return Result<void>();
}

void SqliteStore::close() {
    closing_ = true;
    housekeeping_.join();
    writer_.close();
    readers_.close();
}

void SqliteStore::base_if_due(std::uint64_t seq) {
    if (closing_ || seq - last_base_ < options_.base_every) return;
    const auto snapshot = writer_.published();
    if (seq - last_base_ < base_interval(*snapshot, options_.base_every)) return;
    last_base_ = seq;
    boost::asio::post(housekeeping_, [this, snapshot] { write_base(snapshot); });
}

/// In small items, so that no write waits long behind a base.
void SqliteStore::write_base(std::shared_ptr<const Snapshot> snapshot) {
    const std::uint64_t base = snapshot->seq;
    const Timestamp now = clock_->now();
    std::vector<BaseRow> rows;
    const auto flush = [&] {
        return write_and_wait([base, part = std::exchange(rows, {})](StoreTransaction& transaction) {
            write_base_rows(transaction.connection(), base, part);
            return Result<void>();
        });
    };
    for (const auto& row : base_rows_of(std::move(snapshot))) {
        if (closing_) return;
        rows.push_back(row());
        if (rows.size() >= base_rows_per_item && !flush()) return;
    }
    if (!flush()) return;
    static_cast<void>(write_and_wait([base, now](StoreTransaction& transaction) {
        finish_base(transaction.connection(), base, now);
        return Result<void>();
    }));
}

bool SqliteStore::write_and_wait(Writer::Work work) {
    std::promise<bool> written;
    auto outcome = written.get_future();
    writer_.enqueue(WriteContext{}, std::move(work),
                    [&](const Result<Committed>& result) { written.set_value(result.has_value()); });
    return outcome.get();
}

Result<std::shared_ptr<Store>> open_store(StoreOptions options, std::shared_ptr<const Clock> clock,
                                          std::shared_ptr<IdSource> ids) {
    BALLAST_CHECK(make_folder(options.path));
    BALLAST_TRY(LockFile lock, LockFile::acquire(options.path + ".lock"));
    BALLAST_TRY(Opened opened, open_database(options.path, schema_steps(), clock->now(), *ids));
    return std::make_shared<SqliteStore>(std::move(options), std::move(lock), std::move(opened), std::move(clock),
                                         std::move(ids));
}

}  // namespace ballast::store
