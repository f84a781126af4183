#include "daemon/overcommit/history.h"

namespace ballast::overcommit {

store::MemoryPoint point_of(const HostPicture& picture) {
    const memory::HostLedger& ledger = picture.ledger;
    return {.host = picture.host,
            .figures = {.total = ledger.total,
                        .guest_in_use = ledger.guest_in_use,
                        .page_cache = ledger.page_cache,
                        .guest_unused = ledger.guest_unused,
                        .shared = ledger.shared,
                        .overhead = ledger.overhead,
                        .host_cache = ledger.host_cache,
                        .host_own = ledger.host_own,
                        .reserve = ledger.reserve,
                        .free = ledger.free,
                        .saved = ledger.saved,
                        .promised = ledger.promised,
                        .ballooned = ledger.ballooned,
                        .never_touched = ledger.never_touched},
            .unmet = picture.unmet,
            .risk = picture.risk.risk,
            .level = static_cast<int>(picture.level),
            .vms = static_cast<int>(picture.vms.size())};
}

void add_vm_points(const HostPicture& picture, const Snapshot& snapshot, std::vector<store::VmMemoryPoint>& points) {
    for (const VmPicture& vm : picture.vms) {
        const Vm* row = snapshot.vms.find(vm.vm);
        if (row == nullptr || row->host != picture.host) continue;
        points.push_back({.vm = vm.vm,
                          .figures = {.balloon = vm.balloon,
                                      .working_set = vm.working_set.size,
                                      .page_cache = vm.working_set.page_cache,
                                      .resident = vm.resident},
                          .lacks = vm.working_set.lacks,
                          .believed = vm.working_set.trust == memory::Trust::trusted});
    }
}

}  // namespace ballast::overcommit
