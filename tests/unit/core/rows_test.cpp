// What rows say of themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/host.h"
#include "core/job.h"
#include "core/vm.h"
#include "tests/support/builders.h"

namespace ballast {
namespace {

using namespace ballast::test;
using testing::HasSubstr;

TEST(UsableMemory, IsTheCapacityLessTheReserve) {
    EXPECT_EQ(usable_memory(a_host().memory(gibibytes(8)).reserve(gibibytes(2)).build()), gibibytes(6));
    EXPECT_EQ(usable_memory(a_host().memory(gibibytes(1)).reserve(gibibytes(2)).build()), Bytes(0));
    HostSettings settings;
    settings.memory_capacity = gibibytes(3);
    EXPECT_EQ(usable_memory(a_host().memory(gibibytes(8)).settings(settings).build()), gibibytes(3));
}

TEST(UsableVcpus, AreCoresLessReservedTimesOvercommit) {
    HostSettings settings;
    settings.reserved_cpus = 2;
    settings.cpu_overcommit = 1.5;
    EXPECT_EQ(usable_vcpus(a_host().settings(settings).cpus(8).build()), 9);
    EXPECT_EQ(usable_vcpus(a_host().settings(settings).cpus(1).build()), 0);
}

TEST(AcceptsWork, OnlyWhereManagedUpAndNotInMaintenance) {
    EXPECT_TRUE(accepts_work(a_host().build()));
    EXPECT_FALSE(accepts_work(a_host().observed().build()));
    EXPECT_FALSE(accepts_work(a_host().in_maintenance().build()));
    EXPECT_FALSE(accepts_work(a_host().confirmed_dead().build()));
    EXPECT_FALSE(accepts_work(a_host().state(HostState::slow).build()));
}

TEST(IsActive, MeansThatAQemuProcessExists) {
    EXPECT_TRUE(is_active(DomainState::incoming));
    EXPECT_TRUE(is_active(DomainState::postcopy_failed));
    EXPECT_FALSE(is_active(DomainState::shut_off));
    EXPECT_FALSE(is_active(DomainState::unknown));
}

TEST(IsFinished, HoldsForTheThreeEnds) {
    EXPECT_TRUE(is_finished(JobState::cancelled));
    EXPECT_FALSE(is_finished(JobState::verifying));
}

TEST(GuaranteedMemory, IsTheMinimumOrElseTheMaximum) {
    VmSpec spec = a_vm().memory(gibibytes(2)).spec();
    EXPECT_EQ(guaranteed_memory(spec), gibibytes(2));
    spec.memory_minimum = gibibytes(1);
    EXPECT_EQ(guaranteed_memory(spec), gibibytes(1));
}

std::string error_of(const VmSpec& spec) {
    const auto checked = check(spec);
    return checked ? "no error" : checked.error().message();
}

TEST(CheckSpec, NamesTheFieldAndTheLimit) {
    VmSpec spec = a_vm().memory(mebibytes(256)).spec();
    EXPECT_EQ(error_of(spec), "no error");
    spec.memory_minimum = mebibytes(512);
    EXPECT_THAT(error_of(spec), HasSubstr("memory_minimum: 512 MiB is above the maximum of 256 MiB"));
    spec.memory_minimum = Bytes(-1);
    EXPECT_THAT(error_of(spec), HasSubstr("below 0"));
    EXPECT_THAT(error_of(a_vm().vcpus(0).spec()), HasSubstr("vcpus"));
    EXPECT_THAT(error_of(a_vm().memory(mebibytes(1)).spec()), HasSubstr("memory"));
    DiskSpec disk;
    EXPECT_THAT(error_of(a_vm().disk(disk).spec()), HasSubstr("disks[0]"));
    disk.image = "tiny";
    disk.bus = "ide";
    EXPECT_THAT(error_of(a_vm().disk(disk).spec()), HasSubstr("disks[0].bus"));
    VmSpec two = a_vm().network("default").spec();
    two.nics[0].bridge = "br0";
    EXPECT_THAT(error_of(two), HasSubstr("nics[0]"));
    EXPECT_THAT(error_of(a_vm().machine("pc\n<x/>").spec()), HasSubstr("control characters"));
    EXPECT_EQ(error_of(a_vm().cpu_features({"aes", "sse4.1", "arch-capabilities"}).spec()), "no error");
    for (const std::string bad : {"", "Aes", "aes,+pku", "aes'/><x"})
        EXPECT_THAT(error_of(a_vm().cpu_features({bad}).spec()), HasSubstr("cpu_features: '" + bad + "'"));
}

}  // namespace
}  // namespace ballast
