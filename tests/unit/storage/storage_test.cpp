#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/common_machine.h"
#include "storage/resolve.h"
#include "tests/support/builders.h"

namespace ballast::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void put_big_endian(std::string& text, std::size_t offset, std::size_t count, std::uint64_t value) {
    for (std::size_t i = 0; i < count; ++i)
        text[offset + i] = static_cast<char>(value >> (8 * (count - 1 - i)) & 0xFFU);
}

/// The first 512 bytes of a qcow2 file of version 3 with 64 MiB.
std::string qcow2_head() {
    std::string head(512, '\0');
    head.replace(0, 4, "QFI\xFB", 4);
    put_big_endian(head, 4, 4, 3);
    put_big_endian(head, 24, 8, std::uint64_t{64} << 20U);
    return head;
}

TEST(InspectImage, ReadsTheVirtualSizeOfAQcow2) {
    const auto found = inspect_image(qcow2_head(), kibibytes(192));
    ASSERT_TRUE(found) << found.error().chain();
    EXPECT_EQ(found->format, ImageFormat::qcow2);
    EXPECT_EQ(found->virtual_size, mebibytes(64));
}

TEST(InspectImage, RefusesAQcow2ThatNamesABackingFile) {
    std::string head = qcow2_head();
    put_big_endian(head, 8, 8, 112);
    const auto found = inspect_image(head, kibibytes(192));
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().message(), HasSubstr("backing file"));
}

TEST(InspectImage, RefusesAQcow2ThatKeepsItsDataElsewhere) {
    std::string head = qcow2_head();
    put_big_endian(head, 72, 8, 4);
    ASSERT_FALSE(inspect_image(head, kibibytes(192)));
}

TEST(InspectImage, RefusesWhatIsNoImage) {
    const auto text = inspect_image("#!/bin/sh\necho hello\n", Bytes(21));
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code(), Code::invalid_argument);
    EXPECT_THAT(text.error().message(), HasSubstr("not an image"));
    EXPECT_FALSE(inspect_image("", Bytes(0)));
    EXPECT_FALSE(inspect_image(std::string_view("QFI\xFB", 4), Bytes(4))) << "a truncated header";
}

TEST(InspectImage, TakesARawDiskWithABootSector) {
    std::string head(1024, '\0');
    head.replace(510, 2, "\x55\xAA");
    const auto found = inspect_image(head, mebibytes(1));
    ASSERT_TRUE(found) << found.error().chain();
    EXPECT_EQ(found->format, ImageFormat::raw);
    EXPECT_FALSE(inspect_image(head, Bytes(1000))) << "no multiple of a sector";
}

Image ready_image() {
    Image image;
    image.id = ImageId("i1");
    image.name = "tiny";
    image.path = "/srv/tiny.qcow2";
    image.format = "qcow2";
    image.capacity = mebibytes(64);
    image.boot = {.kernel = "/srv/vmlinuz", .initrd = "/srv/initrd", .cmdline = "quiet"};
    image.state = VolumeState::ready;
    return image;
}

DiskSpec disk_of(std::string image, Bytes size = {}, std::string target = {}) {
    DiskSpec disk;
    disk.image = std::move(image);
    disk.size = size;
    disk.target = std::move(target);
    return disk;
}

DiskSpec disk_at(std::string path) {
    DiskSpec disk;
    disk.path = std::move(path);
    return disk;
}

TEST(ResolveSpec, FillsInPoolTargetSizeAndBootFromTheImage) {
    Snapshot snapshot;
    snapshot.images.put(ready_image());
    VmSpec spec;
    spec.disks = {disk_of("tiny"), disk_of("", mebibytes(10))};
    const auto resolved = resolve_spec(snapshot, spec, "shared");
    ASSERT_TRUE(resolved) << resolved.error().chain();
    EXPECT_EQ(resolved->disks[0].target, "vda");
    EXPECT_EQ(resolved->disks[1].target, "vdb");
    EXPECT_EQ(resolved->disks[0].size, mebibytes(64));
    EXPECT_EQ(resolved->disks[0].pool, "shared");
    EXPECT_EQ(resolved->disks[0].image, "i1");
    EXPECT_EQ(resolved->boot.kernel, "/srv/vmlinuz");
}

TEST(ResolveSpec, RefusesWhatCannotBeBuilt) {
    Snapshot snapshot;
    Image image = ready_image();
    snapshot.images.put(image);
    VmSpec small;
    small.disks = {disk_of("tiny", mebibytes(1))};
    EXPECT_EQ(resolve_spec(snapshot, small, "shared").error().code(), Code::invalid_argument);
    VmSpec twice;
    twice.disks = {disk_of("", mebibytes(1), "vda"), disk_of("", mebibytes(1), "vda")};
    EXPECT_THAT(resolve_spec(snapshot, twice, "shared").error().message(), HasSubstr("twice"));
    image.state = VolumeState::creating;
    snapshot.images.put(image);
    VmSpec early;
    early.disks = {disk_of("tiny")};
    EXPECT_EQ(resolve_spec(snapshot, early, "shared").error().code(), Code::failed_precondition);
}

TEST(ResolveSpec, ChoosesTheNewestMachineTypeThatEveryManagedHostHas) {
    Snapshot snapshot;
    HostFacts old_facts = test::a_host("h1").build().facts;
    old_facts.machine_types = {"pc-q35-7.1", "pc-q35-6.2", "q35"};
    snapshot.hosts.put(test::a_host("h1").facts(old_facts).build());
    snapshot.hosts.put(test::a_host("h2").build());
    const auto resolved = resolve_spec(snapshot, VmSpec{}, "shared");
    ASSERT_TRUE(resolved);
    EXPECT_EQ(resolved->machine, "pc-q35-7.1");
}

TEST(CommonMachine, FollowsTheHostsAsTheyChange) {
    const auto host_with = [](const char* name, std::vector<std::string> types) {
        HostFacts facts = test::a_host(name).build().facts;
        facts.machine_types = std::move(types);
        return test::a_host(name).facts(facts);
    };
    CommonMachine machine;
    Snapshot snapshot;
    const auto now = [&] { return machine.in(std::make_shared<const Snapshot>(snapshot)); };
    EXPECT_EQ(now(), "");
    snapshot.hosts.put(host_with("h1", {"pc-q35-7.2", "pc-q35-7.1"}).build());
    EXPECT_EQ(now(), "pc-q35-7.2");
    snapshot.hosts.put(host_with("h2", {"pc-q35-7.1"}).build());
    EXPECT_EQ(now(), "pc-q35-7.1");
    snapshot.hosts.put(host_with("h2", {"pc-q35-7.1"}).state(HostState::unreachable).build());
    EXPECT_EQ(now(), "pc-q35-7.1");
    snapshot.hosts.put(host_with("h2", {"pc-q35-7.1"}).observed().build());
    EXPECT_EQ(now(), "pc-q35-7.2") << "only managed hosts are asked";
    snapshot.hosts.put(host_with("h2", {"pc-q35-7.1"}).build());
    snapshot.hosts.erase(HostId("h2"));
    EXPECT_EQ(now(), "pc-q35-7.2");
}

TEST(PlanVolumes, NamesEachVolumeAfterItsVmAndItsOwnId) {
    Snapshot snapshot;
    SeededIds ids(3);
    Vm vm;
    vm.name = "web1";
    VmSpec spec;
    spec.disks = {disk_of("", mebibytes(8), "vda"), disk_at("/somewhere/else")};
    const auto volumes = plan_volumes(snapshot, vm, spec, ids, Timestamp{});
    ASSERT_EQ(volumes.size(), 1U) << "a disk with a path of its own needs no volume";
    EXPECT_EQ(volumes[0].name, fmt::format("web1-vda-{}.qcow2", volumes[0].id.str().substr(0, 8)));
    EXPECT_EQ(spec.disks[0].volume, volumes[0].id);
    EXPECT_EQ(volumes[0].state, VolumeState::creating);
}

TEST(UsersOf, NamesVmsAndTheVolumesThatAnImageBacks) {
    Snapshot snapshot;
    snapshot.images.put(ready_image());
    Volume child;
    child.id = VolumeId("v1");
    child.name = "web1-vda.qcow2";
    child.image = ImageId("i1");
    snapshot.volumes.put(child);
    EXPECT_THAT(users_of(snapshot, "/srv/tiny.qcow2", {}), ElementsAre(HasSubstr("web1-vda.qcow2")));
    Vm vm = test::a_vm("web1").build();
    vm.spec.disks = {disk_at("/srv/data.raw")};
    snapshot.vms.put(vm);
    EXPECT_THAT(users_of(snapshot, "/srv/data.raw", {}), ElementsAre("VM web1"));
    EXPECT_THAT(users_of(snapshot, "/srv/data.raw", vm.id), IsEmpty()) << "the VM that is being deleted does not count";
}

TEST(ChooseHost, SaysWhatEachHostLacks) {
    Snapshot snapshot;
    snapshot.hosts.put(test::a_host("h1").build());
    snapshot.hosts.put(test::a_host("h2").in_maintenance().build());
    const auto none = choose_host(snapshot, "shared", "", mebibytes(1));
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message(), HasSubstr("h1 has no active pool 'shared'"));
    EXPECT_THAT(none.error().message(), HasSubstr("h2 takes no work"));
    Pool pool;
    pool.id = pool_id(HostId("h1"), "shared");
    pool.host = HostId("h1");
    pool.name = "shared";
    pool.active = true;
    pool.available = mebibytes(10);
    snapshot.pools.put(pool);
    EXPECT_EQ(choose_host(snapshot, "shared", "", mebibytes(1)).value(), HostId("h1"));
    EXPECT_THAT(choose_host(snapshot, "shared", "", mebibytes(11)).error().message(),
                HasSubstr("10 MiB free, 11 MiB are needed"));
}

}  // namespace
}  // namespace ballast::storage
