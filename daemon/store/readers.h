#pragma once
// A few threads with a read-only connection each. Opened when first used, so that a damaged database costs its readers
// an error and nobody else. Thread rule: `run` from any thread; a function given to it owns the connection meanwhile.

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "core/try.h"
#include "daemon/store/completion.h"
#include "daemon/store/connection.h"

namespace ballast::store {

class Readers {
  public:
    Readers(std::string path, int threads) : path_(std::move(path)), pool_(static_cast<std::size_t>(threads)) {}

    /// `read(Connection&) -> Result<T>` on a reader's thread.
    template <class T, class Read>
    Task<T> run(Read read) {
        return await_completion<T>([this, read = std::move(read)](auto done) mutable {
            if (stopped_) {
                done(fail(Code::unavailable, "the store is closed; ballastd is ending"));
                return;
            }
            boost::asio::post(
                pool_, [this, read = std::move(read), done = std::move(done)]() mutable { done(attempt<T>(read)); });
        });
    }

    /// Ends after what has begun.
    void close() {
        stopped_ = true;
        pool_.join();
    }

  private:
    template <class T, class Read>
    Result<T> attempt(Read& read) {
        try {
            auto connection = take();
            Result<T> outcome = read(*connection);
            give_back(std::move(connection));
            return outcome;
        } catch (const SQLite::Exception& error) {
            return std::unexpected(error_of(error, "the database could not be read"));
        } catch (const std::exception& error) {
            return fail(Code::internal, "reading the database failed: {}", error.what());
        }
    }

    std::unique_ptr<Connection> take() {
        {
            const std::scoped_lock lock(mutex_);
            if (!idle_.empty()) {
                auto connection = std::move(idle_.back());
                idle_.pop_back();
                return connection;
            }
        }
        return std::make_unique<Connection>(path_, Connection::Mode::read_only);
    }

    void give_back(std::unique_ptr<Connection> connection) {
        const std::scoped_lock lock(mutex_);
        idle_.push_back(std::move(connection));
    }

    std::string path_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Connection>> idle_;
    std::atomic<bool> stopped_{false};
    boost::asio::thread_pool pool_;  // last: its threads use what stands above
};

}  // namespace ballast::store
