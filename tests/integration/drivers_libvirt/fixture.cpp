#include "tests/integration/drivers_libvirt/fixture.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "core/clock.h"

namespace ballast::testing {
namespace {

/// Up once per executable; gtest takes it down after the last test.
class LabEnvironment : public ::testing::Environment {
  public:
    void SetUp() override {}
    void TearDown() override { lab.reset(); }
    static inline std::unique_ptr<Lab> lab;  // NOLINT: gtest owns environments by raw pointer
};

const auto* const registered = ::testing::AddGlobalTestEnvironment(new LabEnvironment);

}  // namespace

bool Events::has(drivers::DriverEvent::Kind kind, const VmId& vm, const std::string& detail) const {
    const auto list = all();
    return std::any_of(list.begin(), list.end(), [&](const auto& event) {
        return event.kind == kind && event.vm == vm && event.detail.find(detail) != std::string::npos;
    });
}

bool Events::has_link(drivers::LinkState state) const {
    const auto list = all();
    return std::any_of(list.begin(), list.end(), [&](const auto& event) {
        return event.kind == drivers::DriverEvent::Kind::link && event.link == state;
    });
}

Lab& LabDriver::lab() {
    return *LabEnvironment::lab;
}

void LabDriver::SetUpTestSuite() {
    static_cast<void>(registered);
    if (!LabEnvironment::lab) LabEnvironment::lab = Lab::up("drvtest", 2);
}

void LabDriver::SetUp() {
    const auto driver = drivers::libvirt::make_libvirt_driver();
    for (std::size_t i = 0; i < lab().size(); ++i) {
        auto events = std::make_shared<Events>();
        drivers::HostTarget target{.id = HostId(lab().host(i).name), .uri = lab().host(i).uri};
        auto opened = driver->open(target, [events](const drivers::DriverEvent& event) { events->add(event); });
        ASSERT_TRUE(opened.has_value()) << opened.error().chain();
        hosts_.push_back(*opened);
        events_.push_back(events);
    }
    for (const auto& one : hosts_)
        ASSERT_TRUE(until([&] { return one->link() == drivers::LinkState::up; })) << "the lab's host does not come up";
}

void LabDriver::TearDown() {
    for (const auto& vm : made_) {
        for (const auto& one : hosts_) {
            static_cast<void>(run(one->compute().destroy(vm)));
            static_cast<void>(run(one->compute().undefine(vm)));
        }
    }
    for (const auto& one : hosts_) one->close();
    hosts_.clear();
    io_.poll();
}

DomainState LabDriver::state_on(std::size_t host, const VmId& vm) {
    const auto view = run(hosts_.at(host)->compute().read_domain(vm));
    return view ? view->state : DomainState::unknown;
}

drivers::DomainDefinition LabDriver::guest(const std::string& name, const std::string& load) {
    static const auto tiny = lab().guest();
    static const auto ids = make_random_ids();
    drivers::DomainDefinition definition;
    definition.id = VmId(ids->uuid());
    definition.name = name;
    definition.spec.memory = mebibytes(128);
    definition.spec.boot = {.kernel = tiny.kernel,
                            .initrd = tiny.initrd,
                            .cmdline = fmt::format("{} ballast.load={} ballast.disk=0", tiny.cmdline, load)};
    definition.spec.serial.log_path = fmt::format("{}/{}.log", lab().console_dir(), definition.id);
    definition.spec.nics.push_back({.network = "lab", .bridge = "", .mac = ""});
    definition.stamp = {.cluster = "c-test", .owner = HostId("h1"), .epoch = 1};
    made_.push_back(definition.id);
    return definition;
}

std::string LabDriver::console_log(const drivers::DomainDefinition& definition) const {
    std::ifstream file(definition.spec.serial.log_path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void LabDriver::start(std::size_t host, const drivers::DomainDefinition& definition) {
    const auto defined = run(hosts_.at(host)->compute().define(definition));
    ASSERT_TRUE(defined.has_value()) << defined.error().chain();
    const auto started = run(hosts_.at(host)->compute().start(definition.id));
    ASSERT_TRUE(started.has_value()) << started.error().chain();
}

void LabDriver::await_heartbeat(const drivers::DomainDefinition& definition) {
    constexpr Seconds patience_under_load{180};  // a TCG guest on a machine that others load
    ASSERT_TRUE(
        until([&] { return console_log(definition).find("HB seq=") != std::string::npos; }, patience_under_load))
        << "the guest does not come to its heartbeat: " << console_log(definition);
}

}  // namespace ballast::testing
