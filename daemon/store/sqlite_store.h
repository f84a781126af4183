#pragma once
// The Store on SQLite: puts writer, readers and housekeeping together. Owns the lock on the database.

#include <boost/asio/thread_pool.hpp>

#include "daemon/store/lock_file.h"
#include "daemon/store/memory_rollup.h"
#include "daemon/store/open.h"
#include "daemon/store/readers.h"
#include "daemon/store/store.h"
#include "daemon/store/vm_memory_pages.h"
#include "daemon/store/writer.h"

namespace ballast::store {

class SqliteStore final : public Store, private MemoryHistory, private VmMemoryHistory {
  public:
    SqliteStore(StoreOptions options, LockFile lock, Opened opened, std::shared_ptr<const Clock> clock,
                std::shared_ptr<IdSource> ids);
    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;
    ~SqliteStore() override { close(); }

    Task<Committed> write(WriteContext context, Change change) override;
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const override { return writer_.published(); }
    Task<std::vector<Event>> events(EventQuery query) override;
    Task<IdPage> list(ListQuery query) override;
    Task<std::shared_ptr<const Snapshot>> snapshot_at(std::uint64_t seq) override;
    Task<std::uint64_t> seq_at(Timestamp time) override;
    Task<std::map<std::string, std::string>> kept(std::string prefix) override;
    [[nodiscard]] MemoryHistory& memory_history() override { return *this; }
    [[nodiscard]] VmMemoryHistory& vm_memory_history() override { return *this; }
    [[nodiscard]] std::unique_ptr<Subscription> subscribe(
        boost::asio::any_io_executor executor, std::function<void(const std::vector<Event>&)> listener) override;
    [[nodiscard]] Health health() const override { return writer_.health(); }
    Task<> prune() override;
    void close() override;

    /// Work with the raw connection, in the order and the transaction of everything else.
    Task<Committed> run(WriteContext context, Writer::Work work);

  private:
    Task<> note(std::vector<MemoryPoint> points) override;
    Task<std::vector<MemoryRow>> read(MemoryHistoryQuery query) override;
    Task<> note(std::vector<VmMemoryPoint> points) override;
    Task<std::vector<VmMemoryRow>> read(VmMemoryHistoryQuery query) override;
    void base_if_due(std::uint64_t seq);
    void write_base(std::shared_ptr<const Snapshot> snapshot);
    [[nodiscard]] bool write_and_wait(Writer::Work work);

    LockFile lock_;
    StoreOptions options_;
    std::shared_ptr<const Clock> clock_;
    std::uint64_t last_base_;  // of the writer thread
    OpenRows open_rows_;       // of the loop thread
    OpenVmRows open_vm_rows_;  // the same
    std::atomic<bool> closing_{false};
    Readers readers_;
    boost::asio::thread_pool housekeeping_{1};
    Writer writer_;
};

}  // namespace ballast::store
