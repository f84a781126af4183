#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/try.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto web1 = R"({"name":"web1","spec":{"memory_bytes":268435456,"disks":[{"size_bytes":67108864}]}})";

std::string error_of(const Result<Job>& job) {
    return job && job->error ? job->error->message + " | " + fmt::format("{}", fmt::join(job->error->causes, " | "))
                             : "";
}

TEST(VmCreate, RunsOnAHostWithItsDiskAndLeavesNoClaim) {
    SimCluster cluster;
    const auto job = cluster.do_job("vm.create", "", web1);
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_EQ(job->state, JobState::succeeded) << error_of(job);
    const auto vm = cluster.vm("web1");
    ASSERT_TRUE(vm);
    EXPECT_EQ(vm->state, VmState::running);
    EXPECT_FALSE(vm->job);
    EXPECT_EQ(vm->epoch, 1U);
    EXPECT_THAT(cluster.world->running_copies(vm->id), SizeIs(1));
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
    EXPECT_EQ(cluster.snapshot()->volumes.size(), 1U);
}

TEST(VmCreate, RefusesAVmLargerThanAnyHostAndNamesEachHost) {
    SimCluster cluster;
    const auto job = cluster.do_job("vm.create", "", R"({"name":"big","spec":{"memory_bytes":17592186044416}})");
    ASSERT_TRUE(job) << job.error().chain();
    EXPECT_EQ(job->state, JobState::failed);
    EXPECT_THAT(error_of(job), HasSubstr("h1"));
    EXPECT_THAT(error_of(job), HasSubstr("h2"));
    EXPECT_FALSE(cluster.vm("big")) << "the name is free again";
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
}

TEST(VmCreate, ANameIsTakenWhileItsVmIsStillBeingMade) {
    SimCluster cluster;
    const auto first = cluster.queue("vm.create", "", web1);
    ASSERT_TRUE(first);
    const auto second = cluster.queue("vm.create", "", web1);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Code::already_exists);
    EXPECT_EQ(cluster.wait(first->id)->state, JobState::succeeded);
}

TEST(VmStart, WaitsForAHostThatDoesNotAnswerForAMoment) {
    SimCluster cluster;
    ASSERT_EQ(
        cluster
            .do_job("vm.create", "", R"({"name":"web1","host":"h1","start":false,"spec":{"memory_bytes":67108864}})")
            ->state,
        JobState::succeeded);
    const auto set_state = [&](HostState state) {
        return cluster.write([&cluster, state](store::Transaction& transaction) -> Result<void> {
            Host host = *cluster.host("h1");
            host.state = state;
            transaction.put(std::move(host), {"test.put", "by a test"});
            return {};
        });
    };
    ASSERT_TRUE(set_state(HostState::slow));
    const auto job = cluster.queue("vm.start", "web1", "{}");
    ASSERT_TRUE(job);
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("web1")->job == job->id; }));
    ASSERT_TRUE(set_state(HostState::up));
    const auto ended = cluster.wait(job->id);
    EXPECT_EQ(ended->state, JobState::succeeded) << error_of(ended);
}

/// What the host's own definition says.
bool merges(SimCluster& cluster, const VmId& id) {
    const auto driver = cluster.registry->reachable(cluster.host("h1")->id).value();
    const auto view = run(*cluster.io, driver->compute().read_domain(id));
    EXPECT_TRUE(view) << view.error().chain();
    return view && view->spec.overcommit.merge;
}

TEST(VmStart, TakesOnThatPagesAreNoLongerMerged) {
    SimCluster cluster;
    ASSERT_EQ(
        cluster
            .do_job("vm.create", "", R"({"name":"web1","host":"h1","start":false,"spec":{"memory_bytes":67108864}})")
            ->state,
        JobState::succeeded);
    const VmId id = cluster.vm("web1")->id;
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        Vm vm = *transaction.snapshot().vms.find(id);
        vm.spec.overcommit.merge = false;
        transaction.put(std::move(vm), {"vm.changed", "by a test"});
        return {};
    }));
    EXPECT_TRUE(merges(cluster, id)) << "until then the definition stays";
    const auto job = cluster.do_job("vm.start", "web1", "{}");
    ASSERT_TRUE(job);
    EXPECT_EQ(job->state, JobState::succeeded) << error_of(job);
    EXPECT_FALSE(merges(cluster, id));
}

TEST(VmCreate, ThatIsCalledOffBeforeItBeganLeavesNoVmAndNoName) {
    SimCluster cluster;
    JobId id;
    const auto written = cluster.write([&](store::Transaction& transaction) -> Result<void> {
        BALLAST_TRY(
            const Job queued,
            jobs::submit(transaction, {.kind = "vm.create", .vm = {}, .host = {}, .subject = {}, .params = {web1}}));
        id = queued.id;
        BALLAST_CHECK(jobs::request_cancel(transaction, id));
        return {};
    });
    ASSERT_TRUE(written) << written.error().chain();
    EXPECT_EQ(cluster.wait(id)->state, JobState::cancelled);
    EXPECT_FALSE(cluster.vm("web1"));
    EXPECT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded) << "the name is free again";
}

TEST(VmCreate, CreatesSideBySideSeeEachOthersChoice) {
    SimCluster cluster(4);
    std::vector<JobId> jobs;
    for (const char* name : {"a", "b", "c", "d"})
        jobs.push_back(cluster.queue("vm.create", "", fmt::format(R"({{"name":"{}","spec":{{}}}})", name))->id);
    for (const JobId& job : jobs) EXPECT_EQ(cluster.wait(job)->state, JobState::succeeded);
    std::set<HostId> hosts;
    for (const char* name : {"a", "b", "c", "d"}) hosts.insert(cluster.vm(name)->host.value_or(HostId()));
    EXPECT_THAT(hosts, SizeIs(4)) << "equal hosts take one each: a decision counts before its claim is stored";
}

TEST(VmCreate, TakesBackWhatItMadeWhenTheStartFails) {
    SimCluster cluster(1);
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::start,
                                      Error(Code::failed_precondition, "no such CPU"),
                                      drivers::simulated::When::before_effect);
    const auto job = cluster.do_job("vm.create", "", web1);
    ASSERT_TRUE(job) << job.error().chain();
    EXPECT_EQ(job->state, JobState::failed);
    EXPECT_THAT(error_of(job), HasSubstr("no such CPU"));
    EXPECT_FALSE(cluster.vm("web1"));
    EXPECT_TRUE(cluster.snapshot()->volumes.empty());
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
    const auto volumes = run(*cluster.io, cluster.registry->find(HostId("id-h1"))->storage().list_volumes("shared"));
    ASSERT_TRUE(volumes);
    EXPECT_THAT(*volumes, IsEmpty());
}

TEST(VmCreate, StartsOnceTheMemoryIsThereThatItsGuestMayFill) {
    SimCluster cluster(1);
    int asked = 0;
    cluster.no_room = [&](const VmId& vm, const HostId& host) {
        EXPECT_EQ(host, HostId("id-h1"));
        EXPECT_THAT(cluster.world->running_copies(vm), IsEmpty());
        return ++asked < 4 ? "others are made smaller" : "";
    };
    const auto job = cluster.do_job("vm.create", "", web1);
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_EQ(job->state, JobState::succeeded) << error_of(job);
    EXPECT_EQ(asked, 4);
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
}

TEST(VmCreate, TakesBackWhatItMadeWhereThatMemoryDoesNotCome) {
    SimCluster cluster(1);
    cluster.room_timeout = Seconds(0);
    cluster.restart();
    ASSERT_TRUE(cluster.until([&] { return cluster.registry->reachable(HostId("id-h1")).has_value(); }));
    cluster.no_room = [](const VmId&, const HostId&) { return "300 MiB are there"; };
    const auto job = cluster.do_job("vm.create", "", web1);
    EXPECT_EQ(job->state, JobState::failed);
    EXPECT_THAT(error_of(job),
                HasSubstr("VM web1 can't be started on h1: 300 MiB are there (waited 0 ms); stop or move a VM there"));
    EXPECT_FALSE(cluster.vm("web1"));
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
}

TEST(VmCreate, WaitsForThatMemoryNoLongerThanItIsWanted) {
    SimCluster cluster(1);
    cluster.no_room = [](const VmId&, const HostId&) { return "not yet"; };
    const auto job = cluster.queue("vm.create", "", web1);
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("web1") && cluster.vm("web1")->host; }));
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        const auto cancelled = jobs::request_cancel(transaction, job->id);
        return cancelled ? Result<void>{} : std::unexpected(cancelled.error());
    }));
    EXPECT_EQ(cluster.wait(job->id)->state, JobState::cancelled);
    EXPECT_FALSE(cluster.vm("web1"));
}

TEST(VmCreate, ALostAnswerOfTheStartIsNoFailureAndNoSecondStart) {
    SimCluster cluster(1);
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::start,
                                      Error(Code::deadline_exceeded, "no answer"),
                                      drivers::simulated::When::after_effect);
    const auto job = cluster.do_job("vm.create", "", web1);
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_EQ(job->state, JobState::succeeded) << error_of(job);
    EXPECT_THAT(cluster.world->running_copies(cluster.vm("web1")->id), SizeIs(1));
}

TEST(VmCreate, TwoAtOnceNeverClaimTheSameRoom) {
    SimCluster cluster(1);
    const auto room = usable_memory(*cluster.host("h1"));
    const auto body = [&](const std::string& name) {
        return fmt::format(R"({{"name":"{}","spec":{{"memory_bytes":{}}}}})", name, room.count() * 6 / 10);
    };
    const auto a = cluster.queue("vm.create", "", body("a"));
    const auto b = cluster.queue("vm.create", "", body("b"));
    ASSERT_TRUE(a && b);
    const auto first = cluster.wait(a->id);
    const auto second = cluster.wait(b->id);
    ASSERT_TRUE(first && second);
    const int succeeded =
        (first->state == JobState::succeeded ? 1 : 0) + (second->state == JobState::succeeded ? 1 : 0);
    EXPECT_EQ(succeeded, 1) << error_of(first) << error_of(second);
}

TEST(VmPower, StopsStartsAndRestartsAGuest) {
    SimCluster cluster(1);
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    const auto off = cluster.do_job("vm.shutdown", "web1", "{}");
    ASSERT_EQ(off->state, JobState::succeeded) << error_of(off);
    EXPECT_EQ(cluster.vm("web1")->state, VmState::stopped);
    const auto on = cluster.do_job("vm.start", "web1", "{}");
    ASSERT_EQ(on->state, JobState::succeeded) << error_of(on);
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
    const auto again = cluster.do_job("vm.start", "web1", "{}");
    EXPECT_EQ(again->state, JobState::failed);
    EXPECT_THAT(error_of(again), HasSubstr("running already"));
}

TEST(VmPower, AGuestThatIgnoresAcpiKeepsRunningUnlessForced) {
    SimCluster cluster(1);
    cluster.world->set_common_load({.answers_acpi = false});
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    const auto polite = cluster.do_job("vm.shutdown", "web1", R"({"timeout_s":2})");
    EXPECT_EQ(polite->state, JobState::failed);
    EXPECT_THAT(error_of(polite), HasSubstr("--force"));
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
    const auto forced = cluster.do_job("vm.shutdown", "web1", R"({"timeout_s":1,"force":true})");
    EXPECT_EQ(forced->state, JobState::succeeded) << error_of(forced);
    EXPECT_EQ(cluster.vm("web1")->state, VmState::stopped);
}

TEST(VmDelete, RemovesDefinitionVolumesAndRows) {
    SimCluster cluster(1);
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    const auto refused = cluster.do_job("vm.delete", "web1", "{}");
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("--force"));
    const auto id = cluster.vm("web1")->id;
    const auto deleted = cluster.do_job("vm.delete", "web1", R"({"force":true})");
    ASSERT_EQ(deleted->state, JobState::succeeded) << error_of(deleted);
    EXPECT_FALSE(cluster.vm("web1"));
    EXPECT_FALSE(cluster.world->find_domain("h1", id));
    EXPECT_TRUE(cluster.snapshot()->volumes.empty());
}

TEST(VmMigrate, MovesTheOneCopyAndRaisesTheEpoch) {
    SimCluster cluster;
    ASSERT_EQ(
        cluster
            .do_job(
                "vm.create", "",
                R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456,"disks":[{"size_bytes":67108864}]}})")
            ->state,
        JobState::succeeded);
    const auto id = cluster.vm("web1")->id;
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h2"})");
    ASSERT_TRUE(moved) << moved.error().chain();
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_THAT(cluster.world->running_copies(id), ::testing::ElementsAre("h2"));
    EXPECT_FALSE(cluster.world->find_domain("h1", id));
    EXPECT_EQ(cluster.vm("web1")->epoch, 2U);
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
    const auto stamped = cluster.world->find_domain("h2", id)->stamp;
    ASSERT_TRUE(stamped);
    EXPECT_EQ(stamped->epoch, 2U);
}

TEST(VmMigrate, ToTheSameHostIsRefusedBeforeAnythingIsDone) {
    SimCluster cluster;
    ASSERT_EQ(
        cluster.do_job("vm.create", "", R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456}})")->state,
        JobState::succeeded);
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h1"})");
    EXPECT_EQ(moved->state, JobState::failed);
    EXPECT_THAT(error_of(moved), HasSubstr("h1"));
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
}

TEST(VmMigrate, ChoosesAHostWhenNoneIsNamed) {
    SimCluster cluster(3);
    ASSERT_EQ(
        cluster.do_job("vm.create", "", R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456}})")->state,
        JobState::succeeded);
    const auto moved = cluster.do_job("vm.migrate", "web1", "{}");
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_NE(cluster.vm("web1")->host, HostId("id-h1"));
}

TEST(VmMigrate, TheSameVmAskedForTwiceMovesInTurn) {
    SimCluster cluster;
    ASSERT_EQ(
        cluster.do_job("vm.create", "", R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456}})")->state,
        JobState::succeeded);
    const auto there = cluster.queue("vm.migrate", "web1", R"({"to":"h2"})");
    const auto back = cluster.queue("vm.migrate", "web1", R"({"to":"h1"})");
    ASSERT_TRUE(there && back);
    EXPECT_EQ(cluster.wait(there->id)->state, JobState::succeeded);
    const auto second = cluster.wait(back->id);
    EXPECT_EQ(second->state, JobState::succeeded) << error_of(second);
    EXPECT_EQ(cluster.vm("web1")->epoch, 3U);
    EXPECT_THAT(cluster.world->running_copies(cluster.vm("web1")->id), ::testing::ElementsAre("h1"));
}

TEST(Submit, RefusesToActOnAVmThatBearsAForeignStamp) {
    SimCluster cluster(1);
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    const auto id = cluster.vm("web1")->id;
    auto driver = cluster.registry->find(HostId("id-h1"));
    const drivers::Stamp foreign{.cluster = "another cluster", .owner = HostId("elsewhere"), .epoch = 9};
    ASSERT_TRUE(run(*cluster.io, driver->compute().stamp(id, foreign)));
    ASSERT_TRUE(cluster.until([&] { return !cluster.vm("web1")->alerts.empty(); }));
    const auto refused = cluster.queue("vm.destroy", "web1", "{}");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::failed_precondition);
    EXPECT_THAT(cluster.world->running_copies(id), SizeIs(1));
}

TEST(Submit, RefusesAVmThatIsOnlyObserved) {
    SimCluster cluster(1);
    ASSERT_EQ(cluster.do_job("vm.create", "", web1)->state, JobState::succeeded);
    ASSERT_TRUE(cluster.write([id = cluster.vm("web1")->id](store::Transaction& transaction) -> Result<void> {
        Vm vm = *transaction.snapshot().vms.find(id);
        vm.managed = false;
        transaction.put(std::move(vm), {"vm.changed", "by a test"});
        return {};
    }));
    const auto refused = cluster.queue("vm.destroy", "web1", "{}");
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("ballast vm adopt web1"));
}

TEST(Recovery, AJobThatADeadDaemonLeftRunningIsTakenUp) {
    SimCluster cluster;
    const auto job = cluster.queue("vm.create", "", web1);
    ASSERT_TRUE(job);
    ASSERT_TRUE(cluster.until([&] { return !cluster.snapshot()->jobs.find(job->id)->steps.empty(); }));
    cluster.restart();
    const auto ended = cluster.wait(job->id);
    ASSERT_TRUE(ended) << ended.error().chain();
    ASSERT_EQ(ended->state, JobState::succeeded) << error_of(ended);
    EXPECT_THAT(cluster.world->running_copies(cluster.vm("web1")->id), SizeIs(1));
    EXPECT_EQ(cluster.snapshot()->volumes.size(), 1U);
}

}  // namespace
}  // namespace ballast::testing
