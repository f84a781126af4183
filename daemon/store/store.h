#pragma once
// The store: the one place that knows SQL. It decides nothing about VMs; it makes changes durable, in order, and
// publishes what is true.
//
// Thread rule: one writer thread owns the writing connection and the working Snapshot. `write` queues an item; the
// writer runs items in order, each under a savepoint in one transaction (BEGIN IMMEDIATE, WAL, synchronous FULL),
// commits, publishes one Snapshot, and only then acknowledges and hands events to subscribers. Reads of rows come from
// `snapshot()`, any thread, no lock held. Lists that filter and sort are done in SQL on read-only connections and give
// ids. Nothing here is awaited inside a transaction.
//
// A failed COMMIT fails its batch and turns the store read-only: watching goes on, writes answer `unavailable` with the
// reason.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "core/clock.h"
#include "core/snapshot.h"

namespace ballast::store {

template <class T = void>
using Task = boost::asio::awaitable<Result<T>>;

/// Who writes and why: goes into every event of the transaction and into the audit log.
struct WriteContext {
    std::string actor = "ballast";  ///< token name, "ballast" (the daemon itself) or "outside"
    Origin origin = Origin::ballast;
    JobId job = {};  ///< empty: not part of a job
};

/// What the event of a change says. Kinds read "<subject>.<past participle>": vm.started, host.unreachable,
/// job.succeeded.
struct EventNote {
    std::string kind;
    std::string message;
};

/// The answer that a reused Idempotency-Key gets again (kept 24 h).
struct RememberedAnswer {
    std::string body_sha256;  ///< of the request: another body under the same key is a conflict
    int status = 0;
    std::string location = {};
    std::string body = {};
};

/// One durable change of any number of rows, as seen by the function that makes it. Runs on the writer thread: no I/O,
/// no waiting. `put` sets revisions: run_revision grows with every put; revision (the ETag) only when the spec part of
/// a Host or Vm differs, and with every put of the other kinds. Every put and erase writes one event with the row's
/// after-image.
class Transaction {
  public:
    virtual ~Transaction() = default;
    /// Every row as it is now, this transaction's own changes included. References into it end with the next put or
    /// erase.
    [[nodiscard]] virtual const Snapshot& snapshot() const = 0;
    [[nodiscard]] virtual Timestamp now() const = 0;
    [[nodiscard]] virtual IdSource& ids() = 0;
    [[nodiscard]] virtual const WriteContext& context() const = 0;

    /// Some VM of that name, found without a look at every VM.
    [[nodiscard]] virtual std::optional<VmId> find_vm_named(const std::string& name) = 0;

    virtual void put(Host row, EventNote note) = 0;
    virtual void put(Vm row, EventNote note) = 0;
    virtual void put(Pool row, EventNote note) = 0;
    virtual void put(Volume row, EventNote note) = 0;
    virtual void put(Image row, EventNote note) = 0;
    virtual void put(HostPair row, EventNote note) = 0;
    virtual void put(Job row, EventNote note) = 0;
    virtual void put(Claim row, EventNote note) = 0;
    virtual void put(Migration row, EventNote note) = 0;
    virtual void put(Plan row, EventNote note) = 0;
    virtual void put(Token row, EventNote note) = 0;

    virtual void erase(const HostId& id, EventNote note) = 0;
    virtual void erase(const VmId& id, EventNote note) = 0;
    virtual void erase(const PoolId& id, EventNote note) = 0;
    virtual void erase(const VolumeId& id, EventNote note) = 0;
    virtual void erase(const ImageId& id, EventNote note) = 0;
    virtual void erase(const PairId& id, EventNote note) = 0;
    virtual void erase(const ClaimId& id, EventNote note) = 0;

    /// A text that a restart should not lose and nobody needs the history of: no row, no event. Empty: it goes.
    virtual void keep(std::string_view key, std::string text) = 0;

    /// An event without a row (an alert, a login, an audit entry).
    virtual void emit(Event event) = 0;

    [[nodiscard]] virtual std::optional<RememberedAnswer> find_answer(std::string_view actor, std::string_view key) = 0;
    virtual void remember_answer(std::string_view actor, std::string_view key, RememberedAnswer answer) = 0;
};

/// The change itself. An error rolls back this item alone and is what `write` returns.
using Change = std::function<Result<void>(Transaction&)>;

struct Committed {
    std::uint64_t seq = 0;  ///< of the last event of this item (or of the log, if it made none)
};

struct EventQuery {
    std::uint64_t after = 0;
    int limit = 1000;
    std::string subject_kind = {};  ///< empty: any
    std::string subject_id = {};
    std::string kind_prefix = {};  ///< "vm." …
};

/// A list in SQL: ids in order, keyset-paged. Column names are checked against the entity's own list.
struct ListQuery {
    std::string entity;  ///< vms, hosts, pools, volumes, images, pairs, jobs, migrations, plans, tokens
    struct Filter {
        std::string column;
        std::string value;
    };
    std::vector<Filter> filters = {};  ///< equality, all of them
    std::string sort = "id";
    bool descending = false;
    std::string after = {};  ///< cursor of the last page; empty: from the start
    int limit = 100;         ///< 1 to 1000
};

struct IdPage {
    std::vector<std::string> ids;
    std::string next;  ///< cursor; empty: the last page
};

struct Health {
    bool writable = true;
    std::string reason;  ///< why not
    std::uint64_t seq = 0;
    std::uint64_t queued = 0;  ///< items that wait for the writer
};

class MemoryHistory;
class VmMemoryHistory;

/// Lives as long as the subscription is wanted.
class Subscription {
  public:
    virtual ~Subscription() = default;
};

class Store {
  public:
    virtual ~Store() = default;
    virtual Task<Committed> write(WriteContext context, Change change) = 0;
    [[nodiscard]] virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
    virtual Task<std::vector<Event>> events(EventQuery query) = 0;
    virtual Task<IdPage> list(ListQuery query) = 0;
    /// The snapshot as it was after event `seq`, rebuilt from the log. Errors: not_found when it is past retention.
    virtual Task<std::shared_ptr<const Snapshot>> snapshot_at(std::uint64_t seq) = 0;
    /// The last event that is not later than `time`; 0: none is so old. Where the clock was set back, one of those.
    virtual Task<std::uint64_t> seq_at(Timestamp time) = 0;
    /// What was kept under keys that begin with `prefix`, by the rest of the key.
    virtual Task<std::map<std::string, std::string>> kept(std::string prefix) = 0;
    /// What becomes of the memory of hosts (memory_history.h); as long-lived as the store.
    [[nodiscard]] virtual MemoryHistory& memory_history() = 0;
    /// The same of VMs (vm_memory_history.h).
    [[nodiscard]] virtual VmMemoryHistory& vm_memory_history() = 0;
    /// `listener` gets every committed batch of events, in order, on `executor`, after the snapshot is published.
    [[nodiscard]] virtual std::unique_ptr<Subscription> subscribe(
        boost::asio::any_io_executor executor, std::function<void(const std::vector<Event>&)> listener) = 0;
    [[nodiscard]] virtual Health health() const = 0;
    /// Drops what is past retention (SAFETY.md 14). In small transactions, through the writer.
    virtual Task<> prune() = 0;
    /// Finishes what is queued, syncs, joins the writer. Later writes answer `unavailable`.
    virtual void close() = 0;
};

struct Retention {
    std::chrono::hours events{24 * 90};
    std::int64_t max_events = 2'000'000;
    std::chrono::hours jobs{24 * 30};
    std::chrono::hours answers{24};
};

struct StoreOptions {
    std::string path;  ///< database file; its folder is made (0700) if only that is missing
    Retention retention;
    int readers = 2;
    std::uint64_t base_every = 10'000;            ///< events between base snapshots (at least twice the rows)
    std::chrono::milliseconds probe_every{1000};  ///< how often a full disk is tried again
};

/// Opens (and, where needed, creates or upgrades after a backup copy) the database. A corrupt database opens read-only
/// with `health()` saying so; nothing is overwritten. Errors: failed_precondition (newer schema than this binary),
/// unavailable (another ballastd holds it), internal.
[[nodiscard]] Result<std::shared_ptr<Store>> open_store(StoreOptions options, std::shared_ptr<const Clock> clock,
                                                        std::shared_ptr<IdSource> ids);

}  // namespace ballast::store
