#pragma once
// The writer: one thread, one connection, one order. It drains its queue into one transaction, each item under a
// savepoint; COMMIT; publish; deliver; acknowledge. A failed COMMIT fails the batch and ends writing; a full disk stops
// writing until a probe finds room again. Thread rule: everything public is for any thread; the working Snapshot and
// the connection belong to the writer thread.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "daemon/store/connection.h"
#include "daemon/store/store.h"
#include "daemon/store/subscribers.h"
#include "daemon/store/transaction.h"

namespace ballast::store {

struct WriterOptions {
    std::chrono::hours answers_kept{24};
    std::chrono::milliseconds probe_every{1000};  ///< how often a full disk is tried again
};

class Writer {
  public:
    using Work = std::function<Result<void>(StoreTransaction&)>;
    /// Called once, on the writer thread (or at once on the caller's, when nothing may be written).
    using Done = std::move_only_function<void(Result<Committed>)>;

    /// A null connection or a `refused` reason: nothing is ever written.
    Writer(std::unique_ptr<Connection> connection, Snapshot start, std::string refused,
           std::shared_ptr<const Clock> clock, std::shared_ptr<IdSource> ids, WriterOptions options);
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer() { close(); }

    void enqueue(WriteContext context, Work work, Done done);
    [[nodiscard]] std::shared_ptr<const Snapshot> published() const;
    [[nodiscard]] Health health() const;
    [[nodiscard]] Subscribers& subscribers() { return subscribers_; }
    /// `listener` is called on the writer thread after each publish. Set it before the first write.
    void on_publish(std::function<void(std::uint64_t seq)> listener) { on_publish_ = std::move(listener); }
    /// Ends after what is queued now.
    void close();

  private:
    enum class Mode : std::uint8_t { writable, disk_full, read_only };
    struct Item {
        WriteContext context;
        Work work;
        Done done;
        Result<Committed> outcome;
        std::vector<Event> events;
    };
    using Batch = std::vector<Item>;

    void run();
    /// What is queued; empty: time to probe; none: stopped and nothing left.
    [[nodiscard]] std::optional<Batch> take();
    void commit(Batch batch);
    void run_item(Item& item);
    void conclude(Batch batch);
    void publish();
    void fail_batch(Batch batch, const SQLite::Exception& error);
    static void refuse(Batch batch, const Error& error);
    void roll_back();
    void probe_if_due();
    void set_mode(Mode mode, std::string reason);
    [[nodiscard]] Error refusal() const;

    std::unique_ptr<Connection> connection_;
    Snapshot working_;
    std::shared_ptr<const Clock> clock_;
    std::shared_ptr<IdSource> ids_;
    WriterOptions options_;
    Subscribers subscribers_;
    std::function<void(std::uint64_t)> on_publish_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Item> queue_;
    Mode mode_ = Mode::writable;  // written by the writer thread, which may read it without the lock
    std::string reason_;
    bool stopping_ = false;
    std::shared_ptr<const Snapshot> published_;
    std::chrono::steady_clock::time_point probed_;
    bool runs_ = false;  // constant after construction
    std::thread thread_;
};

}  // namespace ballast::store
