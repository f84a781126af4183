#pragma once
// A store in a folder of its own, and short words for what tests do with it.

#include <filesystem>
#include <memory>
#include <stdlib.h>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "daemon/store/sqlite_store.h"
#include "tests/support/builders.h"
#include "tests/support/run.h"

namespace ballast::store {

class TempFolder {
  public:
    TempFolder() {
        std::string name = "/tmp/ballast-store-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

  private:
    std::filesystem::path path_;
};

class StoreTest : public ::testing::Test {
  protected:
    StoreTest() { options_.path = folder_.file("ballast.db"); }
    ~StoreTest() override {
        if (store_) store_->close();
    }

    [[nodiscard]] Result<std::shared_ptr<Store>> try_open() { return open_store(options_, clock_, ids_); }
    void open() {
        auto opened = try_open();
        if (!opened) throw std::runtime_error(opened.error().chain());
        store_ = *std::move(opened);
    }
    void reopen() {
        store_->close();
        store_.reset();
        open();
    }

    [[nodiscard]] Result<Committed> write(Change change, WriteContext context = {}) {
        return ballast::testing::run(io_, store_->write(std::move(context), std::move(change)));
    }
    template <class Row>
    [[nodiscard]] Result<Committed> put(Row row, EventNote note = {"test.put", "put by a test"}) {
        return write([row = std::move(row), note = std::move(note)](Transaction& transaction) {
            transaction.put(row, note);
            return Result<void>();
        });
    }
    [[nodiscard]] std::vector<Event> events(EventQuery query = {}) {
        auto read = ballast::testing::run(io_, store_->events(std::move(query)));
        EXPECT_TRUE(read.has_value()) << (read ? "" : read.error().chain());
        return read ? *std::move(read) : std::vector<Event>();
    }
    [[nodiscard]] Result<IdPage> list(ListQuery query) {
        return ballast::testing::run(io_, store_->list(std::move(query)));
    }
    [[nodiscard]] Result<std::shared_ptr<const Snapshot>> at(std::uint64_t seq) {
        return ballast::testing::run(io_, store_->snapshot_at(seq));
    }
    /// Work with the raw connection, as the store itself does.
    [[nodiscard]] Result<Committed> raw(std::function<void(Connection&)> work) {
        return ballast::testing::run(io_, sqlite().run({}, [work = std::move(work)](StoreTransaction& transaction) {
            work(transaction.connection());
            return Result<void>();
        }));
    }
    [[nodiscard]] SqliteStore& sqlite() { return static_cast<SqliteStore&>(*store_); }
    [[nodiscard]] const Snapshot& now() {
        seen_ = store_->snapshot();
        return *seen_;
    }

    TempFolder folder_;
    boost::asio::io_context io_;
    std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
    std::shared_ptr<IdSource> ids_ = std::make_shared<SeededIds>(1);
    StoreOptions options_;
    std::shared_ptr<Store> store_;
    std::shared_ptr<const Snapshot> seen_;
};

}  // namespace ballast::store
