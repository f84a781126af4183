// The contract on libvirt's own test driver, as far as that reaches: no QEMU, no files, no moves.
#include "drivers/libvirt/libvirt_driver.h"
#include "tests/contract/suite.h"

namespace ballast::testing {
namespace {

class LibvirtTestHarness final : public Harness {
  public:
    drivers::Driver& driver() override { return *driver_; }
    [[nodiscard]] std::vector<HostAddress> hosts() const override {
        return {{HostId("mock"), "test:///default", "test:///default", ""}};
    }
    [[nodiscard]] Abilities abilities() const override {
        return {.migrates = false, .has_console = false, .has_content = false, .has_backing = false, .is_mock = true};
    }
    [[nodiscard]] drivers::DomainDefinition guest() const override {
        drivers::DomainDefinition definition;
        definition.spec.memory = mebibytes(256);
        definition.spec.nics = {{.network = "default", .bridge = "", .mac = "52:54:00:00:00:01"}};
        return definition;
    }
    [[nodiscard]] std::string pool() const override { return "default-pool"; }
    [[nodiscard]] std::string unreachable_uri() const override { return "qemu+tcp://127.0.0.1:1/system"; }
    bool set_autostart(const std::string&, const std::string&, const VmId&) override { return false; }

  private:
    std::shared_ptr<drivers::Driver> driver_ = drivers::libvirt::make_libvirt_driver();
};

}  // namespace
}  // namespace ballast::testing

BALLAST_CONTRACT(Contract, "libvirt_test", [] { return std::make_shared<LibvirtTestHarness>(); })
