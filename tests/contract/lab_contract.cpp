// The contract on the lab's real hosts: libvirtd and QEMU. Where the simulated driver differs, this one is right.
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "drivers/libvirt/libvirt_driver.h"
#include "tests/contract/suite.h"
#include "tests/support/lab.h"

namespace ballast::testing {
namespace {

/// Two runs on one machine need two names: the second would take the first one's lab down.
std::string name_of_lab() {
    const char* name = std::getenv("BALLAST_CONTRACT_LAB");
    return name == nullptr ? "contract" : name;
}

class LabHarness final : public Harness {
  public:
    LabHarness() : lab_(Lab::up(name_of_lab(), 2)), guest_(lab_->guest()) {}

    drivers::Driver& driver() override { return *driver_; }
    [[nodiscard]] std::vector<HostAddress> hosts() const override {
        std::vector<HostAddress> addresses;
        for (std::size_t i = 0; i < lab_->size(); ++i) {
            const LabHost& host = lab_->host(i);
            addresses.push_back({HostId(host.name), host.uri, host.peer_uri, "tcp://" + host.migration_address});
        }
        return addresses;
    }
    [[nodiscard]] drivers::DomainDefinition guest() const override {
        drivers::DomainDefinition definition;
        definition.accelerator = Accelerator::tcg;
        definition.spec.memory = mebibytes(192);
        definition.spec.machine = "pc-q35-7.2";
        definition.spec.cpu_model = "qemu64";
        definition.spec.nics = {{.network = "lab", .bridge = "", .mac = "52:54:00:00:00:01"}};
        definition.spec.boot = {.kernel = guest_.kernel, .initrd = guest_.initrd, .cmdline = guest_.cmdline};
        return definition;
    }
    [[nodiscard]] std::string pool() const override { return "shared"; }
    [[nodiscard]] std::string local_pool() const override { return "local"; }
    [[nodiscard]] std::string unreachable_uri() const override { return "qemu+tcp://127.0.0.1:1/system"; }
    bool set_autostart(const std::string& host, const std::string& name, const VmId&) override {
        lab_->virsh(host == lab_->host(0).name ? 0 : 1, "autostart " + name);
        return true;
    }

    /// Kernels from 6.8 on have one; it is the machine's.
    bool advise_ksm(const std::string&, bool on) override {
        std::ofstream mode("/sys/kernel/mm/ksm/advisor_mode");
        mode << (on ? "scan-time" : "none") << std::flush;
        return mode.good();
    }

    void make_busy(drivers::DomainDefinition& definition) const override {
        definition.spec.boot.cmdline += " ballast.load=16:500:random";
        definition.spec.serial.log_path = log_of(definition.id);
    }
    int beats(const VmId& vm) override {
        std::ifstream file(log_of(vm));
        std::string line;
        int next = 0;
        while (std::getline(file, line)) {
            if (line.find("CORRUPT") != std::string::npos || line.find("panic") != std::string::npos) return -1;
            const auto at = line.find("HB seq=");
            if (at == std::string::npos) continue;
            if (std::atoi(line.c_str() + at + std::strlen("HB seq=")) != next++) return -1;
        }
        return next;
    }
    void cut(std::size_t host, bool silent) override { silent ? lab_->cut_silently(host) : lab_->cut(host); }
    void heal(std::size_t host) override { lab_->heal(host); }

  private:
    [[nodiscard]] std::string log_of(const VmId& vm) const { return lab_->console_dir() + "/" + vm.str() + ".log"; }

    std::unique_ptr<Lab> lab_;
    LabGuest guest_;
    std::shared_ptr<drivers::Driver> driver_ = drivers::libvirt::make_libvirt_driver();
};

/// One lab for all tests of the executable; it goes down before main ends.
class OneLab final : public ::testing::Environment {
  public:
    static std::shared_ptr<LabHarness>& harness() {
        static std::shared_ptr<LabHarness> one;
        return one;
    }
    void TearDown() override { harness().reset(); }
};

const auto* const registered = ::testing::AddGlobalTestEnvironment(new OneLab);  // gtest owns it

std::shared_ptr<Harness> the_lab() {
    auto& one = OneLab::harness();
    if (!one) one = std::make_shared<LabHarness>();
    return one;
}

}  // namespace
}  // namespace ballast::testing

BALLAST_CONTRACT(Contract, "lab", [] { return the_lab(); })
