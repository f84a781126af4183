// The contract on simulated hosts.
#include "drivers/simulated/world.h"
#include "tests/contract/suite.h"

namespace ballast::testing {
namespace {

namespace sim = drivers::simulated;

class SimulatedHarness final : public Harness {
  public:
    SimulatedHarness() : world_(sim::World::make()), driver_(sim::make_simulated_driver(world_)) {
        for (const std::string name : {"h1", "h2"}) {
            sim::HostModel host;
            host.name = name;
            host.pools.push_back({.name = "shared", .path = "/srv/shared", .store = "shared"});
            EXPECT_TRUE(world_->add_host(host));
        }
        world_->set_common_load({.touched = mebibytes(100),
                                 .working_set = mebibytes(4),
                                 .dirty_rate = BytesPerSecond(mebibytes(1).count()),
                                 .boot_time = Milliseconds(1'000),
                                 .memory = sim::MemoryLoad{.wants = mebibytes(60), .cache = mebibytes(20)}});
    }

    drivers::Driver& driver() override { return *driver_; }
    [[nodiscard]] std::vector<HostAddress> hosts() const override {
        return {{HostId("h1"), "sim://h1", "sim://h1", ""}, {HostId("h2"), "sim://h2", "sim://h2", ""}};
    }
    [[nodiscard]] drivers::DomainDefinition guest() const override {
        drivers::DomainDefinition definition;
        definition.accelerator = Accelerator::tcg;
        definition.spec.memory = mebibytes(256);
        definition.spec.machine = "pc-q35-7.2";
        definition.spec.cpu_model = "qemu64";
        definition.spec.nics = {{.network = "default", .bridge = "", .mac = "52:54:00:00:00:01"}};
        definition.spec.boot = {.kernel = "/boot/vmlinuz", .initrd = "/boot/initrd", .cmdline = "quiet"};
        return definition;
    }
    [[nodiscard]] std::string pool() const override { return "shared"; }
    [[nodiscard]] std::string local_pool() const override { return "default"; }
    [[nodiscard]] std::string unreachable_uri() const override { return "sim://nowhere"; }
    bool set_autostart(const std::string& host, const std::string&, const VmId& vm) override {
        world_->faults().set_autostart(host, vm, true);
        return true;
    }
    bool advise_ksm(const std::string& host, bool on) override {
        world_->faults().advise_ksm(host, on);
        return true;
    }
    void cut(std::size_t, bool silent) override {
        world_->faults().cut("h1", "h2", silent ? sim::Cut::silent : sim::Cut::hard);
    }
    void heal(std::size_t) override { world_->faults().heal("h1", "h2"); }
    void idle() override {
        // In small steps, so that what a test does while a migration runs happens while it runs.
        world_->advance(Milliseconds(50));
    }

  private:
    std::shared_ptr<sim::World> world_;
    std::shared_ptr<drivers::Driver> driver_;
};

}  // namespace
}  // namespace ballast::testing

BALLAST_CONTRACT(Contract, "simulated", [] { return std::make_shared<SimulatedHarness>(); })
