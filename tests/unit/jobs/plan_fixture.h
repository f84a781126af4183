#pragma once
// A simulated cluster of three hosts with a planner of the test's own: what it wants is said by name.

#include <atomic>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {

using jobs::PlanAsk;
using scheduler::ClusterPlan;
using scheduler::Goal;
using scheduler::PlanStep;

/// What the planner is to want.
struct Wish {
    std::string vm;
    std::string to;
    std::vector<std::string> after = {};
    bool asks = false;
};

class PlanFixture : public ::testing::Test {
  public:
    PlanFixture() {
        cluster.planner.plan = [this](const Snapshot& snapshot, const auto&, const auto&, const auto&,
                                      const scheduler::PlanOptions& options, const auto&,
                                      const auto&) -> Result<ClusterPlan> { return plan(snapshot, options); };
        cluster.planner.check = [](const Snapshot& snapshot, const ClusterPlan&, const PlanStep& step,
                                   const scheduler::Preferences&) -> Result<void> {
            const Vm* vm = snapshot.vms.find(step.vm);
            if (vm == nullptr) return fail(Code::failed_precondition, "{} is gone", step.name);
            if (vm->host != step.from) return fail(Code::failed_precondition, "{} is elsewhere", step.name);
            const Host* target = snapshot.hosts.find(step.to);
            if (target == nullptr || !accepts_work(*target))
                return fail(Code::failed_precondition, "{} takes nothing", step.to_name);
            return {};
        };
    }

    /// Runs on the planner's thread while the loop turns: it reads what the test set before.
    [[nodiscard]] ClusterPlan plan(const Snapshot& snapshot, const scheduler::PlanOptions& options) {
        ++planned;
        ClusterPlan made;
        made.goal = options.goal;
        made.made = options.now;
        made.snapshot_seq = snapshot.seq;
        made.emptied = emptied;
        const auto& list = planned > 1 && !wishes_then.empty() ? wishes_then : wishes;
        for (const Wish& wish : list) {
            const auto vm = find_vm(snapshot, wish.vm);
            if (!vm || !(*vm)->host || host_name(snapshot, *(*vm)->host) == wish.to) continue;
            PlanStep step;
            step.number = static_cast<int>(made.steps.size()) + 1;
            step.vm = (*vm)->id;
            step.name = wish.vm;
            step.from = *(*vm)->host;
            step.to = HostId("id-" + wish.to);
            step.from_name = host_name(snapshot, step.from);
            step.to_name = wish.to;
            step.asks = wish.asks;
            for (const auto& before : wish.after)
                for (const auto& other : made.steps)
                    if (other.name == before) step.after.push_back(other.number);
            made.steps.push_back(std::move(step));
        }
        made.verdict = made.steps.empty() ? "nothing worth moving" : fmt::format("{} moves", made.steps.size());
        return made;
    }

    void make_vm(const std::string& name, const std::string& host = "h1") {
        const auto job = cluster.do_job(
            "vm.create", "",
            fmt::format(
                R"({{"name":"{}","host":"{}","spec":{{"memory_bytes":268435456,"disks":[{{"size_bytes":67108864}}]}}}})",
                name, host));
        ASSERT_TRUE(job) << job.error().chain();
        ASSERT_EQ(job->state, JobState::succeeded);
    }

    [[nodiscard]] Result<ClusterPlan> make(PlanAsk ask = {}) {
        return run(*cluster.io, cluster.plans->make(std::move(ask)));
    }

    /// The id of a plan that waits for a yes.
    PlanId advise(PlanAsk ask = {}) {
        auto made = make(ask);
        EXPECT_TRUE(made) << made.error().chain();
        auto id = std::make_shared<PlanId>();
        const auto written = cluster.write([&](store::Transaction& transaction) -> Result<void> {
            *id = jobs::put_plan(transaction, jobs::make_plan_row(ask, *made, "test")).id;
            return {};
        });
        EXPECT_TRUE(written);
        return *id;
    }

    Result<JobId> apply(const PlanId& id) {
        auto job = std::make_shared<JobId>();
        const auto written = cluster.write([&](store::Transaction& transaction) -> Result<void> {
            BALLAST_TRY(const Job queued, jobs::apply_plan(transaction, id, cluster.plans->settings()));
            *job = queued.id;
            return {};
        });
        if (!written) return std::unexpected(written.error());
        return *job;
    }

    /// Advised, applied and waited for.
    Job carry_out(const PlanId& id) {
        const auto job = apply(id);
        EXPECT_TRUE(job) << job.error().chain();
        const auto ended = job ? cluster.wait(*job) : Result<Job>(Job());
        EXPECT_TRUE(ended) << ended.error().chain();
        return ended ? *ended : Job();
    }

    [[nodiscard]] std::string where(const std::string& name) const {
        const auto vm = cluster.vm(name);
        return vm && vm->host ? host_name(*cluster.snapshot(), *vm->host) : "nowhere";
    }

    static std::vector<std::string> names(const Job& job, const char* list) {
        std::vector<std::string> out;
        for (const auto& run : Json::parse(job.result.text)[list]) out.push_back(run["name"]);
        return out;
    }

    static std::string reason(const Job& job, const char* list) {
        return Json::parse(job.result.text)[list][0]["reason"];
    }

    [[nodiscard]] Plan row(const PlanId& id) const { return *cluster.snapshot()->plans.find(id); }

    void change_vm(const std::string& name, const std::function<void(Vm&)>& change) {
        ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
            Vm vm = *cluster.vm(name);
            change(vm);
            transaction.put(std::move(vm), {"vm.changed", "by a test"});
            return {};
        }));
    }

    [[nodiscard]] std::vector<Event> events(const std::string& kind) {
        auto read = run(*cluster.io, cluster.store->events({.after = 0, .limit = 10'000, .kind_prefix = kind}));
        return read ? *read : std::vector<Event>();
    }

    SimCluster cluster{3};
    std::vector<Wish> wishes;
    std::vector<Wish> wishes_then;  ///< of every plan but the first
    std::vector<std::string> emptied;
    std::atomic<int> planned = 0;
};

}  // namespace ballast::testing
