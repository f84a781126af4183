// How hosts are compared when jobs place VMs: the cluster's policies and the load history.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

std::string small_vm(const std::string& name, const std::string& more = "") {
    return fmt::format(R"({{"name":"{}","spec":{{"memory_bytes":67108864}}{}}})", name, more);
}

std::string error_of(const Result<Job>& job) {
    if (!job) return job.error().chain();
    return job->error ? job->error->message : "";
}

scheduler::VmLoad cores(double mean) {
    scheduler::VmLoad load;
    load.cpu_mean = mean;
    return load;
}

TEST(Preferences, AreThoseByWhichJobsPlace) {
    SimCluster cluster(2);
    auto load = std::make_shared<scheduler::ClusterLoad>();
    cluster.preferences.policies.own = {{"quiet", {{"load_left", 1}}}};
    cluster.preferences.policies.standard = "quiet";
    for (const std::string busy : {"h1", "h2"}) {
        const std::string name = "on-" + busy;
        const auto there = small_vm(name, fmt::format(R"(,"host":"{}")", busy));
        ASSERT_EQ(error_of(cluster.do_job("vm.create", "", there)), "");
        load->vms[cluster.vm(name)->id] = cores(busy == "h1" ? 1.5 : 0.1);
    }
    cluster.preferences.load = load;
    ASSERT_EQ(error_of(cluster.do_job("vm.create", "", small_vm("web1"))), "");
    EXPECT_EQ(cluster.vm("web1")->host, HostId("id-h2"));
    load = std::make_shared<scheduler::ClusterLoad>();
    load->vms[cluster.vm("on-h1")->id] = cores(0.1);
    load->vms[cluster.vm("on-h2")->id] = cores(1.5);
    cluster.preferences.load = load;
    ASSERT_EQ(error_of(cluster.do_job("vm.create", "", small_vm("web2"))), "");
    EXPECT_EQ(cluster.vm("web2")->host, HostId("id-h1"));
}

}  // namespace
}  // namespace ballast::testing
