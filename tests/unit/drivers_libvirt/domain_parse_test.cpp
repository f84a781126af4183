#include "drivers/libvirt/domain_parse.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/unit/drivers_libvirt/matchers.h"

namespace ballast::drivers::libvirt {
namespace {

using ballast::testing::Refuses;
using ballast::testing::Succeeds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* foreign = R"(<domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>legacy</name>
  <uuid>6F3A0E1C-0000-4000-8000-00000000ABCD</uuid>
  <metadata><other:x xmlns:other='https://example.org' cluster='not ours'/></metadata>
  <memory unit='GiB'>2</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <vcpu placement='static' current='2'>4</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-6.2'>hvm</type><boot dev='hd'/></os>
  <cpu mode='custom'><model fallback='allow'>Haswell</model></cpu>
  <devices>
    <disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/><source dev='/dev/vg/legacy'/>
      <target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><source file='/iso/debian.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br7'/><model type='virtio'/></interface>
    <interface type='network'><source network='default' bridge='virbr0'/></interface>
    <hostdev mode='subsystem' type='pci' managed='yes'/>
    <memballoon model='none'/>
  </devices>
</domain>)";

TEST(DomainParse, ReadsAForeignDefinition) {
    const auto view = parse_domain(foreign);
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->id, VmId("6f3a0e1c-0000-4000-8000-00000000abcd")) << "ids are lower case";
    EXPECT_EQ(view->name, "legacy");
    EXPECT_EQ(view->spec.memory, gibibytes(2));
    EXPECT_EQ(view->spec.vcpus, 2);
    EXPECT_EQ(view->spec.machine, "pc-i440fx-6.2");
    EXPECT_EQ(view->spec.cpu_model, "Haswell");
    ASSERT_EQ(view->spec.disks.size(), 1U) << "a CD drive is no disk";
    EXPECT_EQ(view->spec.disks[0].path, "/dev/vg/legacy");
    ASSERT_EQ(view->spec.nics.size(), 2U);
    EXPECT_EQ(view->spec.nics[0].bridge, "br7");
    EXPECT_EQ(view->spec.nics[1].network, "default");
    EXPECT_EQ(view->spec.nics[1].bridge, "");
    EXPECT_FALSE(view->spec.balloon.enabled);
    EXPECT_FALSE(view->stamp.has_value()) << "somebody else's metadata is not a stamp";
    EXPECT_THAT(view->bound_by, ElementsAre("passthrough device (pci)", "local media /iso/debian.iso"));
}

TEST(DomainParse, ReadsTheModeOfACpuThatIsTheHostsOwn) {
    const auto model_of = [](const std::string& cpu) {
        const auto view =
            parse_domain("<domain><name>x</name><uuid>6f3a0e1c-0000-4000-8000-00000000abcd</uuid>" + cpu + "</domain>");
        return view ? view->spec.cpu_model : view.error().message();
    };
    EXPECT_EQ(model_of("<cpu mode='host-passthrough' check='none' migratable='on'/>"), "host-passthrough");
    EXPECT_EQ(model_of("<cpu mode='host-model' check='partial'/>"), "host-model");
    EXPECT_EQ(model_of("<cpu mode='maximum'/>"), "maximum");
    EXPECT_EQ(model_of("<cpu mode='custom' match='exact'><model>EPYC</model></cpu>"), "EPYC");
    EXPECT_EQ(model_of("<cpu match='exact'><model>EPYC</model></cpu>"), "EPYC");
    EXPECT_EQ(model_of(""), "");
}

TEST(DomainParse, ReadsTheCpuFeaturesThatAreRequiredBeyondTheModel) {
    const auto view = parse_domain(
        "<domain><uuid>6f3a0e1c-0000-4000-8000-00000000abcd</uuid><cpu mode='custom' "
        "match='exact'><model>Haswell</model>"
        "<feature policy='require' name='pku'/><feature policy='disable' name='hle'/><feature name='aes'/>"
        "<feature policy='force' name='avx512f'/><feature policy='optional' name='x2apic'/></cpu></domain>");
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->spec.cpu_model, "Haswell");
    EXPECT_THAT(view->spec.cpu_features, ElementsAre("aes", "avx512f", "pku"));
}

TEST(DomainParse, NamesDevicesThatHangOnTheirHostAsBonds) {
    const auto bonds_of = [](const char* devices) {
        const auto view =
            parse_domain(std::string("<domain><uuid>6f3a0e1c-0000-4000-8000-00000000abcd</uuid><devices>") + devices +
                         "</devices></domain>");
        return view ? view->bound_by : std::vector{view.error().message()};
    };
    EXPECT_THAT(bonds_of("<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv/share'/>"
                         "<target dir='share'/></filesystem>"),
                ElementsAre("shared folder /srv/share (virtiofs)"));
    EXPECT_THAT(bonds_of("<filesystem type='mount'><driver type='virtiofs'/><source socket='/run/fs.sock'/>"
                         "<target dir='share'/></filesystem>"),
                ElementsAre("shared folder /run/fs.sock (virtiofs)"));
    EXPECT_THAT(bonds_of("<filesystem><source dir='/srv/share'/><target dir='share'/></filesystem>"),
                ElementsAre("shared folder /srv/share (9p)"));
    EXPECT_THAT(bonds_of("<shmem name='ring'><model type='ivshmem-plain'/></shmem>"),
                ElementsAre("shared memory ring"));
    EXPECT_THAT(bonds_of("<interface type='direct'><mac address='52:54:00:00:00:01'/><source dev='eth0' mode='bridge'/>"
                         "</interface>"),
                ElementsAre("NIC 52:54:00:00:00:01 (macvtap on eth0)"));
    EXPECT_THAT(bonds_of("<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"),
                ElementsAre("NIC 52:54:00:00:00:01 (of type user)"));
    EXPECT_THAT(bonds_of("<interface type='hostdev'/>"), ElementsAre("passthrough NIC"));
    EXPECT_THAT(bonds_of("<interface type='network'><source network='default'/></interface>"
                         "<interface type='bridge'><source bridge='br0'/></interface>"),
                IsEmpty());
}

TEST(DomainParse, FindsAStampUnderAnyPrefix) {
    const auto stamped = [](const char* metadata) {
        return parse_domain(std::string("<domain><uuid>6f3a0e1c-0000-4000-8000-00000000abcd</uuid><metadata>") +
                            metadata + "</metadata></domain>");
    };
    const Stamp expected{.cluster = "c1", .owner = HostId("h1"), .epoch = 3};
    for (const char* metadata :
         {"<ballast:vm xmlns:ballast='https://ballast.dev/xmlns/1' cluster='c1' owner='h1' epoch='3'/>",
          "<b:vm xmlns:b='https://ballast.dev/xmlns/1' cluster='c1' owner='h1' epoch='3'/>",
          "<vm xmlns='https://ballast.dev/xmlns/1' cluster='c1' owner='h1' epoch='3'/>"}) {
        const auto view = stamped(metadata);
        ASSERT_THAT(view, Succeeds());
        EXPECT_EQ(view->stamp, expected) << metadata;
    }
    EXPECT_FALSE(stamped("<ballast:vm xmlns:ballast='https://example.org' cluster='c1'/>")->stamp.has_value());
}

TEST(DomainParse, RefusesDocumentTypesAndNeverExpandsEntities) {
    EXPECT_THAT(parse_domain("<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain><name>&e;</name></domain>"),
                Refuses(Code::invalid_argument, "document type"));
    const auto undeclared =
        parse_domain("<domain><uuid>6f3a0e1c-0000-4000-8000-00000000abcd</uuid><name>&e;&amp;&#65;</name></domain>");
    ASSERT_THAT(undeclared, Succeeds());
    EXPECT_EQ(undeclared->name, "&e;&A") << "an unknown entity stays the text it is";
}

TEST(DomainParse, RefusesWhatIsNotADomain) {
    EXPECT_THAT(parse_domain(""), Refuses(Code::invalid_argument, "not XML"));
    EXPECT_THAT(parse_domain("<domain><name>"), Refuses(Code::invalid_argument, "not XML"));
    EXPECT_THAT(parse_domain("<network/>"), Refuses(Code::invalid_argument, "<domain>"));
    EXPECT_THAT(parse_domain("<domain/>"), Refuses(Code::invalid_argument, ""));
    EXPECT_THAT(parse_domain("<domain><uuid>../../etc</uuid></domain>"), Refuses(Code::invalid_argument, ""));
    EXPECT_THAT(parse_domain(std::string(std::size_t{9} << 20U, 'x')), Refuses(Code::invalid_argument, "more than"));
}

TEST(DomainParse, SurvivesDeepAndBrokenDocuments) {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "<a>";
    EXPECT_FALSE(parse_domain(deep).has_value());
    std::mt19937 random(7);
    const std::string whole = foreign;
    for (int i = 0; i < 2'000; ++i) {
        std::string broken = whole;
        for (int k = 0; k < 3; ++k) broken[random() % broken.size()] = static_cast<char>(random() % 256);
        broken.resize(1 + random() % broken.size());
        EXPECT_NO_THROW({ static_cast<void>(parse_domain(broken)); });
    }
}

TEST(DomainParse, ReadsCapabilities) {
    const std::string xml = R"(<capabilities><host><uuid>u-1</uuid><cpu><arch>x86_64</arch><model>EPYC</model>
        <feature name='avx2'/><feature name='x2apic'/></cpu>
        <topology><cells num='1'><cell id='0'><memory unit='KiB'>1024</memory><pages unit='KiB' size='4'>256</pages>
          <pages unit='KiB' size='2048'>7</pages><cpus num='2'/></cell></cells></topology></host>
        <guest><arch name='i686'><machine>pc-old</machine></arch></guest>
        <guest><arch name='x86_64'><machine>pc-q35-7.2</machine><machine canonical='pc-q35-7.2'>q35</machine>
          <domain type='qemu'/><domain type='kvm'/></arch></guest></capabilities>)";
    HostFacts facts;
    ASSERT_THAT(read_capabilities(xml, facts), Succeeds());
    EXPECT_EQ(facts.host_uuid, "u-1");
    EXPECT_EQ(facts.cpu_model, "EPYC");
    ASSERT_EQ(facts.numa.size(), 1U);
    EXPECT_EQ(facts.numa[0].memory, mebibytes(1));
    EXPECT_EQ(facts.numa[0].cpus, 2);
    EXPECT_THAT(facts.numa[0].pages, ElementsAre(HugePages{.size = mebibytes(2), .count = 7}));
    EXPECT_THAT(facts.cpu_features, IsEmpty()) << "the model implies others that are not listed here";
    EXPECT_THAT(parse_machine_types(xml, "x86_64"), ElementsAre("pc-q35-7.2", "q35"));
    EXPECT_THAT(parse_virt_types(xml, "x86_64"), ElementsAre("qemu", "kvm"));
    EXPECT_THAT(parse_machine_types("rubbish", "x86_64"), IsEmpty());
}

TEST(DomainParse, ReadsDomainCapabilities) {
    const auto found = parse_domain_capabilities(R"(<domainCapabilities><domain>qemu</domain>
        <os supported='yes'><enum name='firmware'><value>efi</value></enum></os>
        <cpu><mode name='host-model'><model>X</model></mode><mode name='custom' supported='yes'>
          <model usable='yes'>qemu64</model><model usable='no'>EPYC</model><model usable='unknown'>Old</model></mode></cpu>
        </domainCapabilities>)");
    ASSERT_THAT(found, Succeeds());
    EXPECT_EQ(found->virt_type, "qemu");
    EXPECT_THAT(found->cpu_models, ElementsAre("qemu64", "Old"));
    EXPECT_THAT(found->firmware, ElementsAre("efi"));
}

TEST(DomainParse, MakesACpuOfTheHostModelAndReadsWhatOneRequires) {
    const std::string cpu = parse_host_model(R"(<domainCapabilities><cpu><mode name='host-passthrough' supported='yes'/>
        <mode name='host-model' supported='yes'><model fallback='forbid'>EPYC</model><vendor>AMD</vendor>
          <feature policy='require' name='pku'/><feature policy='disable' name='vme'/></mode></cpu></domainCapabilities>)");
    EXPECT_EQ(cpu, R"(<cpu mode="custom" match="exact"><model fallback="forbid">EPYC</model><vendor>AMD</vendor>)"
                   R"(<feature policy="require" name="pku"/><feature policy="disable" name="vme"/></cpu>)");
    EXPECT_EQ(parse_host_model("<domainCapabilities><cpu><mode name='host-model' supported='no'/></cpu>"
                               "</domainCapabilities>"),
              "");
    EXPECT_EQ(parse_host_model("rubbish"), "");
    EXPECT_THAT(parse_features("<cpu><model>EPYC</model><feature policy='require' name='pku'/>"
                               "<feature policy='disable' name='vme'/><feature policy='require' name='aes'/></cpu>"),
                ElementsAre("aes", "pku"));
    EXPECT_THAT(parse_features("rubbish"), IsEmpty());
}

}  // namespace
}  // namespace ballast::drivers::libvirt
