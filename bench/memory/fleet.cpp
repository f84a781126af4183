#include "bench/memory/fleet.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ballast::bench {
namespace {

constexpr double host_gib = 64;
constexpr double maximum_gib = 4;

Bytes gib(double value) {
    return Bytes(std::llround(value * static_cast<double>(gibibytes(1).count())));
}

memory::VmMemory a_vm(int host, int number) {
    memory::VmMemory vm;
    vm.id = VmId(fmt::format("6f9619ff-8b86-d011-{:04x}-{:012x}", host, number));
    vm.name = fmt::format("vm{}-{}", host, number);
    vm.maximum = vm.reading.balloon = gib(maximum_gib);
    vm.minimum = mebibytes(512);
    vm.overhead = mebibytes(100);
    vm.group = fmt::format("image-{}", number % 4);
    vm.reading.swap_in = Bytes(0);
    vm.reading.major_faults = 0;
    return vm;
}

}  // namespace

Fleet::Fleet(int hosts, int vms_per_host, std::uint64_t seed)
    : state_(seed), now_(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) {
    for (int h = 0; h < hosts; ++h) {
        OneHost one;
        one.host.total = gib(host_gib);
        one.host.reserved = gibibytes(1);
        one.host.pressure = 0.0;
        one.host.ksm = memory::KsmReading{.pages_to_scan = 100};
        for (int v = 0; v < vms_per_host; ++v) {
            one.vms.push_back(a_vm(h, v));
            one.used_gib.push_back(0.3 + uniform());
        }
        hosts_.push_back(std::move(one));
    }
}

double Fleet::uniform() {
    state_ = state_ * 6'364'136'223'846'793'005ULL + 1'442'695'040'888'963'407ULL;
    return static_cast<double>(state_ >> 11U) * 0x1.0p-53;
}

void Fleet::pass_time() {
    now_ += Seconds(10);
    for (OneHost& one : hosts_) {
        for (const memory::BalloonMove& move : one.last.balloons)
            std::ranges::find(one.vms, move.vm, &memory::VmMemory::id)->reading.balloon = move.to;
        Bytes resident;
        for (std::size_t i = 0; i < one.vms.size(); ++i) {
            double& used = one.used_gib[i];
            used = std::clamp(used + 0.1 * (uniform() - 0.5), 0.2, 2.0);
            memory::GuestReading& reading = one.vms[i].reading;
            const Bytes in_use = std::min(gib(used), reading.balloon);
            reading.at = now_;
            reading.available = reading.balloon;
            reading.usable = reading.balloon - in_use;
            reading.unused = *reading.usable / 2;
            reading.resident = in_use + one.vms[i].overhead;
            resident += reading.resident;
        }
        one.host.free = saturating_sub(one.host.total, resident + gibibytes(1));
    }
}

void Fleet::sweep() {
    for (OneHost& one : hosts_) {
        auto [decisions, next] = memory::control(one.host, one.vms, one.memo, MemoryPolicy::balanced, now_);
        one.memo = std::move(next);
        one.last = std::move(decisions);
    }
}

}  // namespace ballast::bench
