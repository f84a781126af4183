#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto web1 =
    R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456,"disks":[{"size_bytes":67108864}]}})";

std::string error_of(const Result<Job>& job) {
    return job && job->error ? job->error->message + " | " + fmt::format("{}", fmt::join(job->error->causes, " | "))
                             : "";
}

std::shared_ptr<drivers::HostDriver> driver_of(const SimCluster& cluster, const std::string& host) {
    return cluster.registry->find(HostId("id-" + host));
}

std::vector<drivers::VolumeView> volumes_on(SimCluster& cluster, const std::string& host) {
    return run(*cluster.io, driver_of(cluster, host)->storage().list_volumes("shared")).value();
}

/// A qcow2 header of 64 MiB and nothing behind it: enough for an import to take it.
void upload_qcow2(const SimCluster& cluster, const std::string& name) {
    std::string head(4096, '\0');
    head.replace(0, 4, "QFI\xFB", 4);
    head[7] = 3;
    head[28] = 4;  // 0x04000000 bytes
    std::ofstream(cluster.uploads() / name, std::ios::binary) << head;
}

void define_outside(SimCluster& cluster, const std::string& name, const std::string& path) {
    drivers::DomainDefinition definition;
    definition.id = VmId("0b0b0b0b-0000-4000-8000-00000000000" + std::to_string(name.size() % 10));
    definition.name = name;
    definition.spec.disks.emplace_back();
    definition.spec.disks.back().target = "vda";
    definition.spec.disks.back().path = path;
    ASSERT_TRUE(run(*cluster.io, driver_of(cluster, "h1")->compute().define(definition)));
    ASSERT_TRUE(cluster.until([&] { return cluster.vm(name) != nullptr; }));
}

TEST(ImageImport, MakesAnImageThatVmsStandOnAndThatStaysWhileTheyDo) {
    SimCluster cluster;
    upload_qcow2(cluster, "f1");
    const auto imported = cluster.do_job("image.import", "", R"({"name":"tiny","disk_file":"f1"})");
    ASSERT_TRUE(imported) << imported.error().chain();
    ASSERT_EQ(imported->state, JobState::succeeded) << error_of(imported);
    const auto image = find_image(*cluster.snapshot(), "tiny").value();
    EXPECT_EQ(image->state, VolumeState::ready);
    EXPECT_THAT(image->sha256, SizeIs(64));
    EXPECT_FALSE(std::filesystem::exists(cluster.uploads() / "f1"));
    const auto made = cluster.do_job("vm.create", "",
                                     R"({"name":"web1","spec":{"memory_bytes":268435456,"disks":[{"image":"tiny"}]}})");
    ASSERT_EQ(made->state, JobState::succeeded) << error_of(made);
    const std::string which = fmt::format(R"({{"id":"{}"}})", image->id);
    const auto refused = cluster.do_job("image.delete", "", which);
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("backing file"));
    ASSERT_EQ(cluster.do_job("vm.delete", "web1", R"({"force":true})")->state, JobState::succeeded);
    const auto deleted = cluster.do_job("image.delete", "", which);
    EXPECT_EQ(deleted->state, JobState::succeeded) << error_of(deleted);
    EXPECT_THAT(volumes_on(cluster, "h1"), IsEmpty());
}

TEST(ImageImport, RefusesWhatIsNoImageAndKeepsNothingOfIt) {
    SimCluster cluster(1);
    std::ofstream(cluster.uploads() / "f1") << "#!/bin/sh\n";
    const auto job = cluster.do_job("image.import", "", R"({"name":"tiny","disk_file":"f1"})");
    EXPECT_EQ(job->state, JobState::failed);
    EXPECT_THAT(error_of(job), HasSubstr("not an image"));
    EXPECT_TRUE(cluster.snapshot()->images.empty());
    EXPECT_FALSE(std::filesystem::exists(cluster.uploads() / "f1"));
    EXPECT_THAT(volumes_on(cluster, "h1"), IsEmpty());
}

TEST(ImageImport, TakesAHalfWrittenVolumeBackWhenThePoolIsFull) {
    SimCluster cluster(1);
    upload_qcow2(cluster, "f1");
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::upload,
                                      Error(Code::resource_exhausted, "No space left on device"),
                                      drivers::simulated::When::after_effect);
    const auto job = cluster.do_job("image.import", "", R"({"name":"tiny","disk_file":"f1"})");
    EXPECT_EQ(job->state, JobState::failed);
    EXPECT_THAT(error_of(job), HasSubstr("No space left"));
    EXPECT_TRUE(cluster.snapshot()->images.empty());
    EXPECT_THAT(volumes_on(cluster, "h1"), IsEmpty());
}

TEST(VolumeCreate, ChoosesAHostThatHasThePool) {
    SimCluster cluster;
    const auto made = cluster.do_job("volume.create", "", R"({"name":"data.qcow2","capacity_bytes":1073741824})");
    ASSERT_EQ(made->state, JobState::succeeded) << error_of(made);
    EXPECT_THAT(volumes_on(cluster, "h1"), SizeIs(1));
    const auto again = cluster.do_job("volume.create", "", R"({"name":"data.qcow2","capacity_bytes":1073741824})");
    EXPECT_EQ(again->state, JobState::failed);
    EXPECT_THAT(volumes_on(cluster, "h1"), SizeIs(1)) << "the first one is still there";
}

TEST(VmDelete, KeepsTheDisksOfAnAdoptedVmUnlessEachIsNamed) {
    SimCluster cluster(1);
    const drivers::NewVolume volume{.pool = "shared",
                                    .name = "old.qcow2",
                                    .format = "qcow2",
                                    .capacity = mebibytes(64),
                                    .backing_path = {},
                                    .backing_format = {}};
    const auto made = run(*cluster.io, driver_of(cluster, "h1")->storage().create_volume(volume));
    ASSERT_TRUE(made);
    define_outside(cluster, "old", made->path);
    ASSERT_TRUE(cluster.write([id = cluster.vm("old")->id](store::Transaction& transaction) -> Result<void> {
        Vm vm = *transaction.snapshot().vms.find(id);
        vm.managed = true;
        transaction.put(std::move(vm), {"vm.adopted", "by a test"});
        return {};
    }));
    const auto deleted = cluster.do_job("vm.delete", "old", "{}");
    ASSERT_EQ(deleted->state, JobState::succeeded) << error_of(deleted);
    EXPECT_THAT(volumes_on(cluster, "h1"), SizeIs(1));
    EXPECT_FALSE(cluster.vm("old"));
}

TEST(VmDelete, RefusesWhileAnotherDomainUsesTheVolume) {
    SimCluster cluster(1);
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    define_outside(cluster, "leech", cluster.vm("web1")->spec.disks.front().path);
    const auto refused = cluster.do_job("vm.delete", "web1", R"({"force":true})");
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("leech"));
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running) << "nothing was done";
    EXPECT_THAT(volumes_on(cluster, "h1"), SizeIs(1));
}

/// As an interrupted move or a restored backup leaves it: the same UUID, off, on the other host.
void leave_definition(SimCluster& cluster, const std::string& cluster_id, std::uint64_t epoch) {
    const auto vm = cluster.vm("web1");
    const drivers::DomainDefinition left{.id = vm->id,
                                         .name = vm->name,
                                         .spec = vm->spec,
                                         .stamp = {.cluster = cluster_id, .owner = HostId("id-h2"), .epoch = epoch}};
    ASSERT_TRUE(run(*cluster.io, driver_of(cluster, "h2")->compute().define(left)));
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("web1")->definitions.size() == 2; }));
}

bool is_defined_on_h2(SimCluster& cluster, const VmId& vm) {
    return run(*cluster.io, driver_of(cluster, "h2")->compute().read_domain(vm)).has_value();
}

TEST(VmDelete, TakesItsOwnLeftOverDefinitionAlong) {
    SimCluster cluster;
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    const VmId id = cluster.vm("web1")->id;
    leave_definition(cluster, cluster.snapshot()->cluster, 1);
    const auto deleted = cluster.do_job("vm.delete", "web1", R"({"force":true})");
    ASSERT_EQ(deleted->state, JobState::succeeded) << error_of(deleted);
    EXPECT_FALSE(is_defined_on_h2(cluster, id));
    EXPECT_FALSE(cluster.vm("web1")) << "it does not come back as an observed VM";
}

TEST(VmDelete, RefusesWhileADefinitionElsewhereIsNotProvablyItsOwn) {
    SimCluster cluster;
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    const VmId id = cluster.vm("web1")->id;
    leave_definition(cluster, "", 0);
    const auto refused = cluster.do_job("vm.delete", "web1", R"({"force":true})");
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("also defined on h2"));
    EXPECT_THAT(error_of(refused), HasSubstr("undefine " + id.str()));
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running) << "nothing was done";
    EXPECT_TRUE(is_defined_on_h2(cluster, id));
    EXPECT_THAT(volumes_on(cluster, "h1"), SizeIs(1));
}

TEST(VmDelete, RefusesWhileAHostThatStillDefinesItCannotBeAsked) {
    SimCluster cluster;
    ASSERT_EQ(
        cluster.do_job("vm.create", "", R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456}})")->state,
        JobState::succeeded);
    leave_definition(cluster, cluster.snapshot()->cluster, 1);
    cluster.world->faults().make_unreachable("h2");
    ASSERT_TRUE(cluster.until([&] { return cluster.host("h2")->state == HostState::unreachable; }));
    const auto refused = cluster.do_job("vm.delete", "web1", R"({"force":true})");
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("also defined on h2, which can't be asked"));
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
}

TEST(VmDelete, RefusesWhileAHostOfThePoolCannotBeAsked) {
    SimCluster cluster(2);
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    cluster.world->faults().make_unreachable("h2");
    ASSERT_TRUE(cluster.until([&] { return cluster.host("h2")->state == HostState::unreachable; }));
    const auto refused = cluster.do_job("vm.delete", "web1", R"({"force":true})");
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("h2"));
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
    EXPECT_THAT(volumes_on(cluster, "h1"), SizeIs(1));
}

}  // namespace
}  // namespace ballast::testing
