#include "daemon/store/writer.h"

#include <algorithm>
#include <iterator>

#include <spdlog/spdlog.h>

namespace ballast::store {
namespace {

constexpr std::size_t max_batch = 256;  // bounds how long the first of a batch waits for the last

/// What a throwing change was: an error of that change alone.
Error error_of_throw(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const SQLite::Exception& error) {
        return error_of(error, "the change could not be written");
    } catch (const std::exception& error) {
        return Error(Code::internal, fmt::format("the change failed with an exception: {}", error.what()));
    } catch (...) {
        return Error(Code::internal, "the change failed with an exception of unknown type");
    }
}

/// Passes on what no single item can answer for.
void rethrow_if_about_the_file(const std::exception_ptr& thrown) {
    if (!thrown) return;
    try {
        std::rethrow_exception(thrown);
    } catch (const SQLite::Exception& error) {
        if (is_about_the_file(error)) throw;
    } catch (...) {  // NOLINT(bugprone-empty-catch): belongs to its item
    }
}

}  // namespace

Writer::Writer(std::unique_ptr<Connection> connection, Snapshot start, std::string refused,
               std::shared_ptr<const Clock> clock, std::shared_ptr<IdSource> ids, WriterOptions options)
    : connection_(std::move(connection)),
      working_(std::move(start)),
      clock_(std::move(clock)),
      ids_(std::move(ids)),
      options_(options),
      published_(std::make_shared<const Snapshot>(working_)) {
    if (!refused.empty() || !connection_) {
        set_mode(Mode::read_only, std::move(refused));
        return;
    }
    runs_ = true;
    thread_ = std::thread([this] { run(); });
}

void Writer::enqueue(WriteContext context, Work work, Done done) {
    {
        const std::scoped_lock lock(mutex_);
        if (runs_ && !stopping_) {
            queue_.push_back(Item{std::move(context), std::move(work), std::move(done), Committed{}, {}});
            wake_.notify_one();
            return;
        }
    }
    done(std::unexpected(refusal()));
}

std::shared_ptr<const Snapshot> Writer::published() const {
    const std::scoped_lock lock(mutex_);
    return published_;
}

Health Writer::health() const {
    const std::scoped_lock lock(mutex_);
    return Health{.writable = mode_ == Mode::writable && !stopping_,
                  .reason = stopping_ && mode_ == Mode::writable ? "the store is closed" : reason_,
                  .seq = published_->seq,
                  .queued = queue_.size()};
}

void Writer::close() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
        wake_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
}

void Writer::run() {
    while (auto batch = take()) {
        if (mode_ == Mode::disk_full) probe_if_due();
        if (batch->empty()) continue;
        if (mode_ == Mode::writable)
            commit(*std::move(batch));
        else
            refuse(*std::move(batch), refusal());
    }
}

std::optional<Writer::Batch> Writer::take() {
    std::unique_lock lock(mutex_);
    const auto ready = [this] { return stopping_ || !queue_.empty(); };
    if (mode_ == Mode::disk_full)
        wake_.wait_for(lock, options_.probe_every, ready);
    else
        wake_.wait(lock, ready);
    if (queue_.empty() && stopping_) return std::nullopt;
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), max_batch));
    Batch batch(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
    return batch;
}

void Writer::commit(Batch batch) {
    try {
        connection_->cached("BEGIN IMMEDIATE").run();
        for (Item& item : batch) run_item(item);
        connection_->cached("COMMIT").run();
    } catch (const SQLite::Exception& error) {
        fail_batch(std::move(batch), error);
        return;
    }
    conclude(std::move(batch));
}

void Writer::run_item(Item& item) {
    connection_->cached("SAVEPOINT item").run();
    StoreTransaction transaction(*connection_, working_, item.context, clock_->now(), *ids_, options_.answers_kept);
    Result<void> outcome;
    std::exception_ptr thrown;
    try {
        outcome = item.work(transaction);
    } catch (...) {
        thrown = std::current_exception();
    }
    if (transaction.failure()) thrown = transaction.failure();
    rethrow_if_about_the_file(thrown);
    if (thrown) outcome = std::unexpected(error_of_throw(thrown));
    if (outcome) {
        connection_->cached("RELEASE item").run();
        item.outcome = Committed{working_.seq};
        item.events = transaction.take_events();
    } else {
        connection_->cached("ROLLBACK TO item").run();
        connection_->cached("RELEASE item").run();
        transaction.undo();
        item.outcome = std::unexpected(std::move(outcome).error());
    }
}

/// Publish, deliver, acknowledge: in this order, so that a writer reads its own write and its subscribers know of it.
void Writer::conclude(Batch batch) {
    std::vector<Event> events;
    for (Item& item : batch) std::ranges::move(item.events, std::back_inserter(events));
    if (!events.empty()) publish();
    subscribers_.deliver(std::move(events));
    for (Item& item : batch) item.done(std::move(item.outcome));
}

void Writer::publish() {
    auto next = std::make_shared<const Snapshot>(working_);
    const std::uint64_t seq = next->seq;
    {
        const std::scoped_lock lock(mutex_);
        published_.swap(next);  // the old one ends outside the lock
    }
    if (on_publish_) on_publish_(seq);
}

void Writer::fail_batch(Batch batch, const SQLite::Exception& error) {
    const bool full = is_disk_full(error, *connection_);
    roll_back();
    working_ = *published_;
    const Error cause = error_of(error, "the transaction could not be committed");
    if (!full && cause.code() == Code::unavailable) {  // somebody else holds a lock: the next batch may do better
        refuse(std::move(batch), cause);
        return;
    }
    probed_ = std::chrono::steady_clock::now();
    if (full)
        set_mode(
            Mode::disk_full,
            "the disk under the database is full; make room and writing goes on by itself, watching never stopped");
    else
        set_mode(Mode::read_only,
                 fmt::format("writing failed ({}); check the disk, then restart ballastd", error.what()));
    refuse(std::move(batch), refusal());
}

void Writer::roll_back() {
    try {
        if (connection_->in_transaction()) connection_->exec("ROLLBACK");
    } catch (const SQLite::Exception& error) {
        spdlog::warn("store: the failed transaction could not be rolled back: {}", error.what());
    }
}

void Writer::refuse(Batch batch, const Error& error) {
    for (Item& item : batch) item.done(std::unexpected(error));
}

void Writer::probe_if_due() {
    const auto now = std::chrono::steady_clock::now();
    if (now - probed_ < options_.probe_every) return;
    probed_ = now;
    try {
        // More than one batch needs, so that writing does not flap at the edge.
        connection_->exec("BEGIN IMMEDIATE; INSERT OR REPLACE INTO meta VALUES ('probe', zeroblob(1048576)); COMMIT");
        connection_->exec("DELETE FROM meta WHERE key = 'probe'");
        set_mode(Mode::writable, "");
    } catch (const SQLite::Exception& error) {
        const bool full = is_disk_full(error, *connection_);
        roll_back();
        if (!full) set_mode(Mode::read_only, fmt::format("writing failed ({}); restart ballastd", error.what()));
    }
}

void Writer::set_mode(Mode mode, std::string reason) {
    if (mode == Mode::writable)
        spdlog::info("store: writing again");
    else
        spdlog::error("store: read-only: {}", reason);
    const std::scoped_lock lock(mutex_);
    mode_ = mode;
    reason_ = std::move(reason);
}

Error Writer::refusal() const {
    const std::scoped_lock lock(mutex_);
    if (stopping_ && mode_ == Mode::writable)
        return Error(Code::unavailable, "the store is closed; ballastd is ending");
    return Error(Code::unavailable, fmt::format("nothing can be written now: {}", reason_));
}

}  // namespace ballast::store
