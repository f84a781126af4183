#include "drivers/libvirt/libvirt_driver.h"

#include "core/try.h"
#include "drivers/cpu.h"
#include "drivers/libvirt/events.h"
#include "drivers/libvirt/executor.h"
#include "drivers/libvirt/facts.h"
#include "drivers/libvirt/roles.h"
#include "drivers/libvirt/uri.h"

namespace ballast::drivers::libvirt {
namespace {

class LibvirtHost final : public HostDriver, public CpuRole {
  public:
    LibvirtHost(ExecutorPtr executor, EventSink sink)
        : executor_(std::move(executor)),
          compute_(make_compute(executor_)),
          statistics_(make_statistics(executor_, std::move(sink))),
          migration_(make_migration(executor_)),
          memory_(make_memory(executor_)),
          storage_(make_storage(executor_)) {}
    LibvirtHost(const LibvirtHost&) = delete;
    LibvirtHost& operator=(const LibvirtHost&) = delete;
    ~LibvirtHost() override { executor_->close(); }

    Compute& compute() override { return *compute_; }
    Statistics& statistics() override { return *statistics_; }
    MigrationRole& migration() override { return *migration_; }
    Memory& memory() override { return *memory_; }
    Storage& storage() override { return *storage_; }
    Task<std::vector<std::string>> guest_features() override {
        return Executor::call<std::vector<std::string>>(executor_, {.what = "read the features of its CPU"},
                                                        read_guest_features);
    }
    [[nodiscard]] LinkState link() const override { return executor_->link(); }
    void close() override { executor_->close(); }

  private:
    ExecutorPtr executor_;
    std::unique_ptr<Compute> compute_;
    std::unique_ptr<Statistics> statistics_;
    std::unique_ptr<MigrationRole> migration_;
    std::unique_ptr<Memory> memory_;
    std::unique_ptr<Storage> storage_;
};

class LibvirtDriver final : public Driver {
  public:
    [[nodiscard]] Result<void> check_uri(std::string_view uri) const override {
        BALLAST_CHECK(parse_uri(uri));
        return {};
    }

    [[nodiscard]] Result<std::shared_ptr<HostDriver>> open(HostTarget target, EventSink sink) override {
        BALLAST_TRY(auto uri, parse_uri(target.uri));
        auto watch = [host = target.id, sink](virConnectPtr connection) {
            return watch_events(connection, host, sink);
        };
        auto executor = Executor::start(std::move(target), std::move(uri), sink, std::move(watch));
        return std::make_shared<LibvirtHost>(std::move(executor), std::move(sink));
    }
};

}  // namespace

std::shared_ptr<Driver> make_libvirt_driver() {
    return std::make_shared<LibvirtDriver>();
}

}  // namespace ballast::drivers::libvirt
