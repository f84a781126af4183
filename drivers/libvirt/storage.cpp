// The storage role: pools and volumes of one host. Small reads on the control connection; an upload on a connection of
// its own.

#include <algorithm>
#include <array>

#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/roles.h"
#include "drivers/libvirt/volumes.h"

namespace ballast::drivers::libvirt {
namespace {

constexpr Milliseconds slow_storage{120'000};

class LibvirtStorage final : public Storage {
  public:
    explicit LibvirtStorage(ExecutorPtr executor) : executor_(std::move(executor)) {}

    Task<std::vector<PoolView>> list_pools() override {
        return Executor::call<std::vector<PoolView>>(executor_, {.what = "list its pools", .expected_slow = true},
                                                     read_pools);
    }
    Task<std::vector<VolumeView>> list_volumes(std::string pool) override {
        return Executor::call<std::vector<VolumeView>>(executor_, about("list the volumes of pool", pool),
                                                       [pool](virConnectPtr c) { return read_volumes(c, pool); });
    }
    Task<VolumeView> read_volume(std::string pool, std::string name) override {
        return Executor::call<VolumeView>(executor_, about("read a volume of pool", pool),
                                          [pool, name](virConnectPtr c) { return read_one_volume(c, pool, name); });
    }
    Task<VolumeView> create_volume(NewVolume volume) override {
        auto spec = about("create a volume in pool", volume.pool);
        return Executor::call<VolumeView>(executor_, std::move(spec), [volume = std::move(volume)](virConnectPtr c) {
            return make_volume(c, volume);
        });
    }
    Task<> upload(std::string pool, std::string name, Bytes size, ByteSource source) override {
        CallSpec spec{.what = fmt::format("upload volume '{}' into pool '{}'", name, pool), .expected_slow = true};
        return Executor::job<void>(executor_, std::move(spec),
                                   [pool = std::move(pool), name = std::move(name), size, source = std::move(source)](
                                       virConnectPtr c) { return fill_volume(c, pool, name, size, source); });
    }
    Task<std::string> read_head(std::string pool, std::string name, Bytes size) override {
        return Executor::call<std::string>(
            executor_, about("read the head of a volume of pool", pool),
            [pool, name, size](virConnectPtr c) { return read_volume_head(c, pool, name, size); });
    }
    Task<> delete_volume(std::string pool, std::string name) override {
        return Executor::call<void>(executor_, about("delete a volume of pool", pool),
                                    [pool, name](virConnectPtr c) { return remove_volume(c, pool, name); });
    }
    Task<> refresh(std::string pool) override {
        return Executor::call<void>(executor_, about("refresh pool", pool), [pool](virConnectPtr c) -> Result<void> {
            BALLAST_TRY(const auto found, find_pool(c, pool));
            if (virStoragePoolRefresh(found.get(), 0) < 0) return refused("can't refresh pool '{}'", pool);
            return {};
        });
    }

  private:
    static CallSpec about(const char* verb, const std::string& pool) {
        return {.what = fmt::format("{} '{}'", verb, pool), .deadline = slow_storage, .expected_slow = true};
    }

    ExecutorPtr executor_;
};

}  // namespace

std::unique_ptr<Storage> make_storage(ExecutorPtr executor) {
    return std::make_unique<LibvirtStorage>(std::move(executor));
}

}  // namespace ballast::drivers::libvirt
