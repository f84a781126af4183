#pragma once
// VMs and hosts as a sweep sees them, for the tests of memory/.

#include <string>

#include "memory/facts.h"

namespace ballast::memory::test {

inline const Timestamp noon =
    Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(12);

/// 4 GiB, 1 GiB guaranteed, nothing ballooned; uses 1 GiB, 512 MiB of its rest are page cache.
inline VmMemory a_vm(const std::string& name = "web1", Bytes maximum = gibibytes(4), Bytes minimum = gibibytes(1)) {
    VmMemory vm;
    vm.id = VmId(name);
    vm.name = name;
    vm.maximum = maximum;
    vm.minimum = minimum;
    vm.reading.at = noon;
    vm.reading.balloon = maximum;
    vm.reading.available = maximum;
    vm.reading.usable = saturating_sub(maximum, gibibytes(1));
    vm.reading.unused = saturating_sub(*vm.reading.usable, mebibytes(512));
    vm.reading.swap_in = Bytes(0);
    vm.reading.major_faults = 0;
    vm.reading.resident = maximum;
    return vm;
}

/// The same at another time, with so much in use that nothing of it is page cache.
inline VmMemory uses(VmMemory vm, Bytes used, Timestamp at = noon) {
    vm.reading.at = at;
    vm.reading.usable = vm.reading.unused = saturating_sub(vm.reading.balloon, used);
    return vm;
}

inline VmMemory has(VmMemory vm, Bytes balloon) {
    vm.reading.balloon = balloon;
    vm.reading.available = balloon;
    return vm;
}

}  // namespace ballast::memory::test
