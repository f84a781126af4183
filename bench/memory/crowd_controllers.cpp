// The controllers that play a flash crowd: Ballast's, MOM's, Proxmox's, each at the period it has.
#include <algorithm>

#include <fmt/format.h>

#include "bench/memory/crowd.h"
#include "bench/memory/peers.h"
#include "memory/control.h"

namespace ballast::bench {
namespace {

Bytes bytes(double value) {
    return Bytes(static_cast<std::int64_t>(std::max(value, 0.0)));
}

class BallastController final : public CrowdController {
  public:
    [[nodiscard]] std::string name() const override { return "ballast"; }
    /// Statistics are read every 2 seconds; a sweep is made every 10, or when a guest lacks memory.
    [[nodiscard]] int period() const override { return 2; }
    void act(const CrowdHost& host, std::vector<CrowdGuest>& guests, int second) override {
        const Timestamp now = Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + Seconds(second + 1);
        memory::HostMemory seen;
        seen.total = bytes(host.total);
        seen.free = bytes(host.free);
        seen.reserved = bytes(host.own);
        seen.pressure = 0.0;
        std::vector<memory::VmMemory> vms;
        for (std::size_t i = 0; i < guests.size(); ++i) vms.push_back(read(host, guests[i], i, now));
        if (second % 10 != 0 && !memory::sweep_at_once(vms, memo_)) return;
        auto [decisions, next] = memory::control(seen, vms, memo_, MemoryPolicy::balanced, now);
        memo_ = std::move(next);
        for (const memory::BalloonMove& move : decisions.balloons) {
            const auto at = std::ranges::find(vms, move.vm, &memory::VmMemory::id) - vms.begin();
            guests[static_cast<std::size_t>(at)].target = static_cast<double>(move.to.count());
        }
    }

  private:
    static memory::VmMemory read(const CrowdHost& host, const CrowdGuest& guest, std::size_t i, Timestamp now) {
        memory::VmMemory vm;
        vm.id = VmId(fmt::format("vm{:03}", i));
        vm.name = vm.id.str();
        vm.maximum = bytes(guest.maximum);
        vm.minimum = bytes(guest.minimum);
        vm.overhead = bytes(host.overhead);
        vm.reading.at = now;
        vm.reading.balloon = bytes(guest.balloon);
        vm.reading.available = vm.reading.balloon;
        vm.reading.unused = bytes(guest.balloon - guest.anonymous - guest.cache);
        vm.reading.usable = bytes(guest.balloon - guest.anonymous);
        vm.reading.disk_caches = bytes(guest.cache);
        vm.reading.swap_in = bytes(guest.swap_in);
        vm.reading.major_faults = static_cast<std::uint64_t>(guest.major_faults);
        vm.reading.resident = bytes(guest.resident + host.overhead);
        return vm;
    }

    memory::HostMemo memo_;
};

class NoController final : public CrowdController {
  public:
    [[nodiscard]] std::string name() const override { return "memory_for_all"; }
    [[nodiscard]] int period() const override { return 10; }
    void act(const CrowdHost& /*host*/, std::vector<CrowdGuest>& /*guests*/, int /*second*/) override {}
};

template <class Rule>
class PeerController final : public CrowdController {
  public:
    PeerController(std::string name, int period, Rule rule) : name_(std::move(name)), period_(period), rule_(rule) {}
    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] int period() const override { return period_; }
    void act(const CrowdHost& host, std::vector<CrowdGuest>& guests, int /*second*/) override {
        std::vector<PeerGuest> seen;
        for (const CrowdGuest& guest : guests)
            seen.push_back({.balloon = guest.balloon,
                            .minimum = guest.minimum,
                            .maximum = guest.maximum,
                            .unused = std::max(guest.balloon - guest.anonymous - guest.cache, 0.0)});
        const std::vector<double> targets = rule_(seen, PeerHost{host.total, std::max(host.free, 0.0)});
        for (std::size_t i = 0; i < guests.size(); ++i) guests[i].target = targets[i];
    }

  private:
    std::string name_;
    int period_;
    Rule rule_;
};

}  // namespace

std::unique_ptr<CrowdController> ballast_controller() {
    return std::make_unique<BallastController>();
}
std::unique_ptr<CrowdController> mom_controller() {
    return std::make_unique<PeerController<decltype(&mom_targets)>>("mom", 10, &mom_targets);
}
std::unique_ptr<CrowdController> proxmox_controller() {
    return std::make_unique<PeerController<decltype(&proxmox_targets)>>("proxmox", 10, &proxmox_targets);
}
std::unique_ptr<CrowdController> no_controller() {
    return std::make_unique<NoController>();
}

}  // namespace ballast::bench
