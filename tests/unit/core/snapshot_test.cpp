// Finding rows by what people call them, and the snapshot's way through JSON.
#include "core/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "tests/support/builders.h"

namespace ballast {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;

Snapshot two_of_one_name() {
    return a_cluster()
        .with(a_host("h1"))
        .with(a_host("h2"))
        .with(a_vm("db").id("u1").on("h1"))
        .with(a_vm("db").id("u2").on("h2"))
        .with(a_vm("web").id("u3").on("h1"))
        .build();
}

TEST(FindVm, TakesANameAnIdOrNameAtHost) {
    EXPECT_EQ(find_vm(two_of_one_name(), "web").value()->id, VmId("u3"));
    EXPECT_EQ(find_vm(two_of_one_name(), "u2").value()->id, VmId("u2"));
    EXPECT_EQ(find_vm(two_of_one_name(), "db@h2").value()->id, VmId("u2"));
}

TEST(FindVm, RefusesAnAmbiguousNameAndListsTheCandidates) {
    const auto found = find_vm(two_of_one_name(), "db");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), Code::conflict);
    EXPECT_THAT(found.error().message(), AllOf(HasSubstr("db@h1 (u1)"), HasSubstr("db@h2 (u2)")));
}

TEST(FindVm, SaysWhatIsNotThere) {
    EXPECT_EQ(find_vm(two_of_one_name(), "nope").error().code(), Code::not_found);
    EXPECT_EQ(find_vm(two_of_one_name(), "web@h2").error().code(), Code::not_found);
}

TEST(FindVm, KnowsAVmByAnyHostThatDefinesIt) {
    const auto vm = a_vm("web").id("u3").on("h1").also_defined_on("h2", DomainState::shut_off);
    const auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(vm).build();
    EXPECT_TRUE(find_vm(cluster, "web@h2"));
}

TEST(FindHost, TakesANameOrAnId) {
    EXPECT_EQ(find_host(two_of_one_name(), "h1").value()->name, "h1");
    EXPECT_EQ(find_host(two_of_one_name(), "h9").error().code(), Code::not_found);
}

TEST(FindPoolHolding, TakesTheInnermostFolderAndNoNamesake) {
    Pool inner = a_pool("h1", "inner");
    inner.path = "/pools/data/inner";
    const auto cluster = a_cluster().with(a_pool("h1", "data")).with(inner).with(a_pool("h2", "other")).build();
    EXPECT_EQ(find_pool_holding(cluster, HostId("h1"), "/pools/data/a.qcow2")->name, "data");
    EXPECT_EQ(find_pool_holding(cluster, HostId("h1"), "/pools/data/inner/a.qcow2")->name, "inner");
    EXPECT_EQ(find_pool_holding(cluster, HostId("h1"), "/pools/database/a.qcow2"), nullptr);
    EXPECT_EQ(find_pool_holding(cluster, HostId("h2"), "/pools/data/a.qcow2"), nullptr);
}

TEST(Snapshot, GoesThroughJsonUnchanged) {
    auto cluster = a_cluster().with(a_host("h1")).with(a_vm("web").on("h1").running()).with(a_pool("h1", "data"));
    cluster.with(a_pair("h1", "h2").shares("data")).with(an_image("tiny", "data", "h1")).at_seq(42);
    const Snapshot snapshot = cluster.with(a_claim("j", "h1", "web", gibibytes(1))).build();
    const auto read = snapshot_from_json(to_json(snapshot));
    ASSERT_TRUE(read) << read.error().chain();
    EXPECT_EQ(read->seq, 42U);
    EXPECT_EQ(*read->vms.find(VmId("web")), *snapshot.vms.find(VmId("web")));
    EXPECT_EQ(dump(to_json(*read)), dump(to_json(snapshot)));
}

TEST(Snapshot, RefusesAnotherFormat) {
    EXPECT_FALSE(snapshot_from_json(Json::object()));
    EXPECT_FALSE(snapshot_from_json(Json{{"format", 99}}));
    EXPECT_THAT(snapshot_from_json(Json{{"format", 99}}).error().message(),
                AllOf(HasSubstr("format 99"), HasSubstr("reads format 1")));
    EXPECT_THAT(snapshot_from_json(Json{{"hosts", 1}}).error().message(), HasSubstr("not a snapshot"));
    EXPECT_FALSE(snapshot_from_json(Json::array()));
}

TEST(HostName, FallsBackToTheId) {
    EXPECT_EQ(host_name(two_of_one_name(), HostId("gone")), "gone");
}

}  // namespace
}  // namespace ballast
