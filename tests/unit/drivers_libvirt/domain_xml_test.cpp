// Golden tests: tests/golden/xml/NAME.json makes NAME.xml. BALLAST_UPDATE_GOLDEN=1 writes the expected files anew.

#include "drivers/libvirt/domain_xml.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "drivers/libvirt/domain_parse.h"
#include "tests/unit/drivers_libvirt/matchers.h"

namespace ballast::drivers::libvirt {
namespace {

using ballast::testing::Refuses;
using ballast::testing::Succeeds;
namespace fs = std::filesystem;

const fs::path golden = fs::path(BALLAST_SOURCE_DIR) / "tests/golden/xml";

std::string text_of(const fs::path& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

Accelerator accelerator_of(const std::string& word) {
    if (word == "kvm") return Accelerator::kvm;
    return word == "tcg" ? Accelerator::tcg : Accelerator::auto_;
}

struct Case {
    DomainDefinition definition;
    Platform platform;
};

Case read_case(const fs::path& path) {
    const Json json = Json::parse(text_of(path));
    const auto spec = from_json<VmSpec>(json["spec"], "spec");
    if (!spec) throw std::runtime_error(spec.error().chain());
    Case one;
    one.definition.id = VmId(json["id"]);
    one.definition.name = json["name"];
    one.definition.spec = *spec;
    one.definition.stamp = {
        .cluster = json["stamp"]["cluster"], .owner = HostId(json["stamp"]["owner"]), .epoch = json["stamp"]["epoch"]};
    one.definition.accelerator = accelerator_of(json.value("accelerator", "auto"));
    const auto& platform = json["platform"];
    one.platform.kvm = platform["kvm"];
    one.platform.tcg = platform["tcg"];
    one.platform.machine_types = platform["machine_types"].get<std::vector<std::string>>();
    one.platform.libvirt_version = platform.value("libvirt_version", std::uint64_t{0});
    return one;
}

std::vector<std::string> case_names() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(golden))
        if (entry.path().extension() == ".json") names.push_back(entry.path().stem());
    std::sort(names.begin(), names.end());
    return names;
}

class GoldenXml : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenXml, IsWhatTheSpecAsksFor) {
    const auto one = read_case(golden / (GetParam() + ".json"));
    const auto made = make_domain_xml(one.definition, one.platform);
    ASSERT_THAT(made, Succeeds());
    const auto path = golden / (GetParam() + ".xml");
    if (std::getenv("BALLAST_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << *made;
    EXPECT_EQ(*made, text_of(path)) << "if the change is meant: BALLAST_UPDATE_GOLDEN=1 ctest -R GoldenXml";
}

TEST_P(GoldenXml, IsValidForLibvirtsOwnSchema) {
    if (std::system("command -v virt-xml-validate >/dev/null && command -v xmllint >/dev/null") != 0)
        GTEST_SKIP() << "NOT CHECKED: install libvirt-clients and libxml2-utils for virt-xml-validate";
    const std::string command = "virt-xml-validate " + (golden / (GetParam() + ".xml")).string() + " domain >&2";
    EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_P(GoldenXml, IsReadBackAsTheSameSpec) {
    const auto one = read_case(golden / (GetParam() + ".json"));
    const auto made = make_domain_xml(one.definition, one.platform);
    ASSERT_THAT(made, Succeeds());
    const auto view = parse_domain(*made);
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->id, one.definition.id);
    EXPECT_EQ(view->name, one.definition.name);
    EXPECT_EQ(view->stamp, one.definition.stamp);
    EXPECT_EQ(view->spec.memory, kibibytes((one.definition.spec.memory.count() + 1023) / 1024))
        << "whole KiB, rounded up";
    EXPECT_EQ(view->spec.vcpus, one.definition.spec.vcpus);
    EXPECT_EQ(view->spec.boot, one.definition.spec.boot);
    EXPECT_EQ(view->spec.serial, one.definition.spec.serial);
    EXPECT_EQ(view->spec.balloon.enabled, one.definition.spec.balloon.enabled);
    ASSERT_EQ(view->spec.disks.size(), one.definition.spec.disks.size());
    for (std::size_t i = 0; i < view->spec.disks.size(); ++i) {
        EXPECT_EQ(view->spec.disks[i].path, one.definition.spec.disks[i].path);
        EXPECT_EQ(view->spec.disks[i].format, one.definition.spec.disks[i].format);
        EXPECT_EQ(view->spec.disks[i].read_only, one.definition.spec.disks[i].read_only);
    }
    ASSERT_EQ(view->spec.nics.size(), one.definition.spec.nics.size());
    for (std::size_t i = 0; i < view->spec.nics.size(); ++i) {
        EXPECT_EQ(view->spec.nics[i].network, one.definition.spec.nics[i].network);
        EXPECT_EQ(view->spec.nics[i].bridge, one.definition.spec.nics[i].bridge);
    }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenXml, ::testing::ValuesIn(case_names()),
                         [](const auto& info) { return info.param; });

DomainDefinition a_definition() {
    DomainDefinition definition;
    definition.id = VmId("11111111-2222-4333-8444-555555555555");
    definition.name = "web1";
    return definition;
}

Platform a_platform() {
    Platform platform;
    platform.machine_types = {"pc-q35-7.2"};
    return platform;
}

TEST(DomainXml, EscapesEverythingThatAUserMayName) {
    auto definition = a_definition();
    definition.name = "a<b>&\"c'";
    definition.spec.boot = {.kernel = "/boot/<k>", .initrd = "", .cmdline = "x=\"1\" </cmdline><disk/> &lt; ]]>"};
    definition.stamp.cluster = "\"/><evil/>";
    const auto xml = make_domain_xml(definition, a_platform());
    ASSERT_THAT(xml, Succeeds());
    EXPECT_EQ(xml->find("<evil"), std::string::npos);
    EXPECT_EQ(xml->find("</cmdline><disk/>"), std::string::npos);
    const auto view = parse_domain(*xml);
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->name, definition.name);
    EXPECT_EQ(view->spec.boot, definition.spec.boot);
    EXPECT_EQ(view->stamp->cluster, definition.stamp.cluster);
}

TEST(DomainXml, RefusesWhatXmlCannotCarry) {
    auto definition = a_definition();
    definition.name = "bell\a";
    EXPECT_THAT(make_domain_xml(definition, a_platform()), Refuses(Code::invalid_argument, "control character"));
}

TEST(DomainXml, RefusesWhatTheHostDoesNotOffer) {
    auto definition = a_definition();
    definition.accelerator = Accelerator::kvm;
    EXPECT_THAT(make_domain_xml(definition, a_platform()), Refuses(Code::failed_precondition, "KVM"));
    definition.accelerator = Accelerator::auto_;
    definition.spec.machine = "pc-q35-99.0";
    EXPECT_THAT(make_domain_xml(definition, a_platform()), Refuses(Code::failed_precondition, "pc-q35-99.0"));
    definition.spec.machine = "";
    Platform bare = a_platform();
    bare.machine_types = {"virt"};
    EXPECT_THAT(make_domain_xml(definition, bare), Refuses(Code::failed_precondition, "q35"));
}

TEST(DomainXml, WritesTheHostsOwnCpuAsAModeAndReadsItBack) {
    auto definition = a_definition();
    for (const std::string mode : {"host-model", "host-passthrough", "maximum"}) {
        definition.spec.cpu_model = mode;
        const auto xml = make_domain_xml(definition, a_platform());
        ASSERT_THAT(xml, Succeeds());
        EXPECT_NE(xml->find("<cpu mode=\"" + mode + "\""), std::string::npos) << *xml;
        EXPECT_EQ(xml->find("<model fallback"), std::string::npos) << "a mode is no model's name";
        EXPECT_EQ(parse_domain(*xml)->spec.cpu_model, mode);
    }
}

TEST(DomainXml, RequiresTheCpuFeaturesThatTheSpecNames) {
    auto definition = a_definition();
    definition.spec.cpu_features = {"aes", "pku"};
    for (const std::string model : {"qemu64", "host-model"}) {
        definition.spec.cpu_model = model;
        const auto xml = make_domain_xml(definition, a_platform());
        ASSERT_THAT(xml, Succeeds());
        EXPECT_NE(xml->find(R"(<feature policy="require" name="pku")"), std::string::npos) << *xml;
        EXPECT_EQ(parse_domain(*xml)->spec.cpu_features, definition.spec.cpu_features) << model;
    }
}

TEST(DomainXml, RefusesADiskWithoutAVolumeAndANicWithoutANetwork) {
    auto definition = a_definition();
    definition.spec.disks.emplace_back();
    EXPECT_THAT(make_domain_xml(definition, a_platform()), Refuses(Code::invalid_argument, "no path"));
    definition.spec.disks.clear();
    definition.spec.nics.emplace_back();
    EXPECT_THAT(make_domain_xml(definition, a_platform()), Refuses(Code::invalid_argument, "network or a bridge"));
}

TEST(DomainXml, TakesTheNewestVersionedQ35) {
    EXPECT_EQ(newest_q35({"q35", "pc-q35-2.12", "pc-q35-7.2", "pc-q35-6.10", "pc-i440fx-8.0", "pc-q35-x"}),
              "pc-q35-7.2");
    EXPECT_EQ(newest_q35({"pc-q35-10.0", "pc-q35-9.2"}), "pc-q35-10.0");
    EXPECT_EQ(newest_q35({"q35", "virt"}), "");
    EXPECT_EQ(newest_q35({}), "");
}

TEST(DomainXml, MacsAreStablePerVmAndDifferentPerNic) {
    const VmId one("11111111-2222-4333-8444-555555555555");
    const VmId two("11111111-2222-4333-8444-555555555556");
    EXPECT_EQ(mac_of(one, 0), mac_of(one, 0));
    EXPECT_NE(mac_of(one, 0), mac_of(one, 1));
    EXPECT_NE(mac_of(one, 0), mac_of(two, 0));
    EXPECT_EQ(mac_of(one, 0).substr(0, 9), "52:54:00:");
}

}  // namespace
}  // namespace ballast::drivers::libvirt
