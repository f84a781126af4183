#include "daemon/reconcile/release.h"

#include "daemon/reconcile/merge.h"

namespace ballast::reconcile {

int release_vms(store::Transaction& transaction, const HostId& host, const std::string& reason) {
    const auto owned = transaction.snapshot().vms.select([&](const Vm& vm) {
        return vm.host && *vm.host == host && !vm.job && (vm.managed || vm.state != VmState::stopped);
    });
    const std::string name = host_name(transaction.snapshot(), host);
    for (const auto& vm : owned)
        transaction.put(
            released(*vm, host, reason, transaction.now()),
            {"vm.released", fmt::format("{} is released: host {} is confirmed dead: {}", vm->name, name, reason)});
    return static_cast<int>(owned.size());
}

}  // namespace ballast::reconcile
