// The memory role: the balloon of a running domain.

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/roles.h"

namespace ballast::drivers::libvirt {
namespace {

Result<void> write_balloon(virConnectPtr connection, const VmId& vm, Bytes target) {
    constexpr std::int64_t kibibyte = 1'024;
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    if (virDomainSetMemoryFlags(domain.get(), static_cast<unsigned long>(target.count() / kibibyte),
                                VIR_DOMAIN_AFFECT_LIVE) < 0)
        return refused("can't set the balloon of domain {} to {}", vm, target);
    return {};
}

class LibvirtMemory final : public Memory {
  public:
    explicit LibvirtMemory(ExecutorPtr executor) : executor_(std::move(executor)) {}

    Task<> set_balloon(VmId vm, Bytes target) override {
        CallSpec spec{.what = fmt::format("set the balloon of domain {}", vm), .domain = vm};
        return Executor::call<void>(executor_, std::move(spec),
                                    [vm, target](virConnectPtr c) { return write_balloon(c, vm, target); });
    }

  private:
    ExecutorPtr executor_;
};

}  // namespace

std::unique_ptr<Memory> make_memory(ExecutorPtr executor) {
    return std::make_unique<LibvirtMemory>(std::move(executor));
}

}  // namespace ballast::drivers::libvirt
