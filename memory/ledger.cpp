#include "memory/ledger.h"

#include <algorithm>

#include "memory/ksm.h"

namespace ballast::memory {
namespace {

/// Takes up to `wanted` from what is left.
Bytes take(Bytes& left, Bytes wanted) {
    const Bytes taken = std::clamp(wanted, Bytes(0), std::max(left, Bytes(0)));
    left -= taken;
    return taken;
}

void add_vm(HostLedger& ledger, const VmMemory& vm, const WorkingSet& set) {
    Bytes left = std::max(vm.reading.resident, Bytes(0));
    ledger.overhead += take(left, vm.overhead);
    const Bytes resident = left;
    const Bytes balloon = std::clamp(vm.reading.balloon, Bytes(0), vm.maximum);
    ledger.promised += vm.maximum;
    ledger.ballooned += vm.maximum - balloon;
    ledger.never_touched += balloon - resident;  // below 0: inflated, and not given back yet
    if (set.trust != Trust::trusted) {
        ledger.guest_in_use += resident;
        return;
    }
    ledger.guest_in_use += take(left, saturating_sub(balloon, set.page_cache + set.unused));
    ledger.page_cache += take(left, set.page_cache);
    ledger.guest_unused += left;
}

/// Merged pages are in use, as far as there is that much; else they are page cache, or unused.
void take_off(HostLedger& ledger, Bytes bytes) {
    for (Bytes* part : {&ledger.guest_in_use, &ledger.page_cache, &ledger.guest_unused}) *part -= take(bytes, *part);
}

}  // namespace

HostLedger ledger_of(const HostMemory& host, std::span<const VmMemory> vms, std::span<const WorkingSet> working_sets,
                     Bytes reserve) {
    HostLedger ledger;
    ledger.total = host.total;
    for (std::size_t i = 0; i < vms.size(); ++i) add_vm(ledger, vms[i], working_sets[i]);
    ledger.saved = saved_by(host.ksm);
    if (host.ksm) ledger.shared = Bytes(std::max<std::int64_t>(host.ksm->pages_shared, 0) * page_size);
    take_off(ledger, ledger.saved + ledger.shared);
    ledger.host_cache = host.cached;
    ledger.reserve = std::clamp(reserve, Bytes(0), std::max(host.free, Bytes(0)));
    ledger.free = host.free - ledger.reserve;
    const Bytes named = ledger.guest_in_use + ledger.page_cache + ledger.guest_unused + ledger.shared +
                        ledger.overhead + ledger.host_cache + ledger.reserve + ledger.free;
    Bytes left = ledger.total - named;
    ledger.host_own = take(left, host.reserved);
    ledger.unexplained = left;
    return ledger;
}

std::vector<LedgerRow> rows_of(const HostLedger& ledger) {
    return {{"guest in use", ledger.guest_in_use},
            {"guest page cache", ledger.page_cache},
            {"guest unused", ledger.guest_unused},
            {"shared", ledger.shared},
            {"overhead", ledger.overhead},
            {"host page cache", ledger.host_cache},
            {"host itself", ledger.host_own},
            {"reserve", ledger.reserve},
            {"free", ledger.free},
            {"unexplained", ledger.unexplained}};
}

}  // namespace ballast::memory
