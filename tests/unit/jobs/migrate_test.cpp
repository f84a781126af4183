// vm.migrate on simulated hosts: forecast, choice, steering, an operator's word, the queue, and post-copy that breaks.
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/json_impl.h"
#include "core/try.h"
#include "migration/machine.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using drivers::simulated::Cut;
using drivers::simulated::GuestLoad;
using migration::MigrationEventKind;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto slow_link = BytesPerSecond(20 * 1'048'576);

std::string error_of(const Result<Job>& job) {
    if (!job) return job.error().chain();
    return job->error ? job->error->message + " | " + fmt::format("{}", fmt::join(job->error->causes, " | ")) : "";
}

class Moving : public ::testing::Test {
  protected:
    void make(const std::string& name, GuestLoad load = {}) {
        const std::string params = fmt::format(
            R"({{"name":"{}","host":"h1","spec":{{"memory_bytes":268435456,"disks":[{{"size_bytes":67108864}}]}}}})",
            name);
        const auto made = cluster.do_job("vm.create", "", params);
        ASSERT_EQ(made->state, JobState::succeeded) << error_of(made);
        cluster.world->set_load(cluster.vm(name)->id, load);
    }
    [[nodiscard]] std::shared_ptr<const Migration> row(const JobId& id) const {
        return cluster.snapshot()->migrations.find_ptr(id);
    }
    [[nodiscard]] bool reaches(const JobId& id, MigrationPhase phase) {
        return cluster.until([&] { return row(id) && row(id)->phase == phase; });
    }
    [[nodiscard]] std::vector<std::string> running_on(const std::string& name) const {
        return cluster.world->running_copies(cluster.vm(name)->id);
    }

    SimCluster cluster;
};

const GuestLoad writes_faster_than_the_link{
    .touched = mebibytes(256), .working_set = mebibytes(200), .dirty_rate = BytesPerSecond(400 * 1'048'576LL)};

TEST_F(Moving, StoresItsForecastItsReasonAndItsOutcome) {
    make("web1");
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h2"})");
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    const auto migration = row(moved->id);
    EXPECT_EQ(migration->requested, ModeChoice::auto_);
    EXPECT_EQ(migration->mode, MigrationMode::pre_copy) << "nothing is known of the guest: the mode without a risk";
    EXPECT_THAT(migration->reason, ::testing::Not(IsEmpty()));
    const auto forecast = parse_as<migration::Forecast>(migration->forecast.text, "forecast");
    ASSERT_TRUE(forecast) << forecast.error().chain();
    EXPECT_THAT(forecast->modes, SizeIs(4));
    EXPECT_TRUE(migration->total);
    EXPECT_TRUE(migration->downtime);
    EXPECT_TRUE(migration->sent);
    EXPECT_TRUE(migration->called);
}

TEST_F(Moving, SwitchesToPostCopyWhereAPushWouldNeverEndAndPostCopyIsAllowed) {
    make("web1", writes_faster_than_the_link);
    cluster.world->set_link("h1", "h2", slow_link);
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h2","policy":{"post_copy":true}})");
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_TRUE(row(moved->id)->pull) << row(moved->id)->reason;
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h2"));
}

TEST_F(Moving, GivesUpWithAReasonWhereNothingWithinThePolicyEndsIt) {
    make("web1", writes_faster_than_the_link);
    cluster.world->set_link("h1", "h2", BytesPerSecond(150 * 1'048'576));
    const auto job = cluster.do_job(
        "vm.migrate", "web1",
        R"({"to":"h2","mode":"pre_copy","policy":{"post_copy":false,"max_throttle":0,"max_downtime_ms":50}})");
    ASSERT_TRUE(job) << job.error().chain();
    EXPECT_EQ(job->state, JobState::failed);
    EXPECT_THAT(error_of(job), HasSubstr("round"));
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h1"));
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
}

TEST_F(Moving, ResumesAPostCopyWhoseLinkBrokeAndNeverGoesBack) {
    make("web1", writes_faster_than_the_link);
    cluster.world->set_link("h1", "h2", slow_link);
    const auto job = cluster.queue("vm.migrate", "web1", R"({"to":"h2","mode":"post_copy"})");
    ASSERT_TRUE(job) << job.error().chain();
    ASSERT_TRUE(reaches(job->id, MigrationPhase::pull));
    cluster.world->faults().cut("h1", "h2", Cut::hard);
    ASSERT_TRUE(reaches(job->id, MigrationPhase::pull_paused));
    const auto refused = cluster.desk->moves().ask(job->id, {.kind = MigrationEventKind::cancel_requested});
    EXPECT_EQ(refused.error().code(), Code::failed_precondition) << "it has switched";
    cluster.world->faults().heal("h1", "h2");
    const auto moved = cluster.wait(job->id);
    EXPECT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h2"));
}

TEST_F(Moving, SwitchesAtASecondTryWhereTheFirstWasRefused) {
    make("web1", writes_faster_than_the_link);
    cluster.world->set_link("h1", "h2", slow_link);
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::start_post_copy,
                                      Error(Code::unavailable, "libvirtd restarts"));
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h2","mode":"post_copy"})");
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_TRUE(row(moved->id)->pull) << "it was pushed to its end instead";
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h2"));
}

TEST_F(Moving, FinishesAtOnceWhereAnOperatorAsksForIt) {
    make("web1", writes_faster_than_the_link);
    cluster.world->set_link("h1", "h2", slow_link);
    const auto job = cluster.queue("vm.migrate", "web1", R"({"to":"h2","mode":"pre_copy"})");
    ASSERT_TRUE(reaches(job->id, MigrationPhase::push));
    const auto asked =
        cluster.desk->moves().ask(job->id, {.kind = MigrationEventKind::finish_requested, .actor = "op"});
    ASSERT_TRUE(asked) << asked.error().chain();
    const auto moved = cluster.wait(job->id);
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    ASSERT_THAT(row(job->id)->interventions, ::testing::Not(IsEmpty()));
    EXPECT_EQ(row(job->id)->interventions.front().actor, "op");
}

TEST_F(Moving, SaysWhetherItConvergesOnceARoundHasEndedNotBefore) {
    make("web1", writes_faster_than_the_link);
    cluster.world->set_link("h1", "h2", slow_link);
    const auto job = cluster.queue("vm.migrate", "web1", R"({"to":"h2","mode":"pre_copy"})");
    std::set<std::pair<bool, bool>> said;  // a round has ended, `converges` is there
    ASSERT_TRUE(cluster.until([&] {
        const auto* now = cluster.progress->find(job->id);
        const Json data = now != nullptr ? Json::parse(now->data.text, nullptr, false) : Json();
        if (data.is_object() && data.value("phase", "") == "push" && data.value("sent_bytes", std::int64_t{0}) > 0)
            said.emplace(data.value("round", 0) > 1, data.contains("converges"));
        return std::ranges::any_of(said, [](const auto& one) { return one.first; });
    }));
    EXPECT_THAT(said, ::testing::ElementsAre(std::pair(false, false), std::pair(true, true)));
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        BALLAST_CHECK(jobs::request_cancel(transaction, job->id));
        return {};
    }));
    EXPECT_EQ(cluster.wait(job->id)->state, JobState::cancelled);
}

TEST_F(Moving, RefusesAWordToAMigrationThatDoesNotRun) {
    const auto refused = cluster.desk->moves().ask(JobId("none"), {.kind = MigrationEventKind::finish_requested});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::failed_precondition);
}

TEST_F(Moving, RefusesADeadlineThatHasPassedAndPostCopyThatThePolicyForbids) {
    make("web1");
    const auto late = cluster.do_job("vm.migrate", "web1", R"({"to":"h2","deadline":"2001-01-01T00:00:00Z"})");
    EXPECT_THAT(error_of(late), HasSubstr("deadline"));
    const auto forbidden =
        cluster.do_job("vm.migrate", "web1", R"({"to":"h2","mode":"post_copy","policy":{"post_copy":false}})");
    EXPECT_THAT(error_of(forbidden), HasSubstr("forbids"));
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h1"));
}

TEST_F(Moving, RefusesADiskThatSomebodyAttachedOutsideBallast) {
    make("web1");
    const auto vm = cluster.vm("web1");
    drivers::DomainDefinition definition;
    definition.id = vm->id;
    definition.name = vm->name;
    definition.spec = vm->spec;
    definition.spec.disks.emplace_back().path = "/srv/local/by-hand.qcow2";
    definition.spec.disks.back().target = "vdb";
    auto* const host = cluster.registry->find(HostId("id-h1")).get();
    ASSERT_TRUE(run(*cluster.io, host->compute().define(definition)));
    const auto refused = cluster.do_job("vm.migrate", "web1", R"({"to":"h2"})");
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("disk vdb (/srv/local/by-hand.qcow2) of VM web1 was attached outside"));
    EXPECT_THAT(error_of(refused), HasSubstr("virsh detach-disk web1 vdb"));
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h1"));
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
}

TEST_F(Moving, NeverCopiesADiskOverItself) {
    make("web1");
    for (const char* copy : {"full", "incremental"}) {
        const auto refused =
            cluster.do_job("vm.migrate", "web1", fmt::format(R"({{"to":"h2","knobs":{{"copy_disks":"{}"}}}})", copy));
        ASSERT_TRUE(refused);
        EXPECT_EQ(refused->state, JobState::failed);
        EXPECT_THAT(error_of(refused), HasSubstr("would write this one over itself; leave copy_disks out"));
    }
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h1"));
    EXPECT_THAT(cluster.world->damage(), IsEmpty());
}

TEST_F(Moving, TakesDisksAlongThatTheTargetDoesNotSee) {
    const std::string params = R"({"name":"web1","host":"h1","spec":{"memory_bytes":268435456,
"disks":[{"size_bytes":67108864,"pool":"local"}]}})";
    ASSERT_EQ(cluster.do_job("vm.create", "", params)->state, JobState::succeeded);
    Volume spare = *cluster.snapshot()->volumes.rows().front();  // the VM's too, but no disk of it
    spare.id = VolumeId("spare");
    spare.name = "spare.qcow2";
    spare.path += ".spare";
    ASSERT_TRUE(cluster.write([spare](store::Transaction& transaction) -> Result<void> {
        transaction.put(spare, {"volume.created", "a spare one"});
        return {};
    }));
    const auto refused = cluster.do_job("vm.migrate", "web1", R"({"to":"h2"})");
    EXPECT_THAT(error_of(refused), HasSubstr("or copy the disks along (copy_disks)"));
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h2","knobs":{"copy_disks":"full"}})");
    ASSERT_TRUE(moved) << moved.error().chain();
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h2"));
    EXPECT_THAT(cluster.world->damage(), IsEmpty());
    const auto snapshot = cluster.snapshot();
    const auto volume = snapshot->volumes.select([](const Volume& one) { return one.id != VolumeId("spare"); }).front();
    EXPECT_EQ(volume->host, HostId("id-h2")) << "its row goes with it";
    EXPECT_EQ(snapshot->volumes.find(VolumeId("spare"))->host, HostId("id-h1")) << "what was not copied stays";
    const auto has_it = [&](const char* host) {
        auto* const driver = cluster.registry->find(HostId(host)).get();
        return run(*cluster.io, driver->storage().read_volume("local", volume->name)).has_value();
    };
    EXPECT_TRUE(has_it("id-h2"));
    EXPECT_FALSE(has_it("id-h1")) << "the copy that was left behind is gone";
}

TEST_F(Moving, RefusesAMoveWhoseRoomIsGoneMeanwhile) {
    make("web1");
    cluster.world->set_link("h1", "h2", BytesPerSecond(3 * 1'048'576));
    make("web2");
    const auto first = cluster.queue("vm.migrate", "web2", R"({"to":"h2"})");
    ASSERT_TRUE(reaches(first->id, MigrationPhase::push));
    const auto second = cluster.queue("vm.migrate", "web1", R"({"to":"h2"})");  // it waits for the link
    ASSERT_TRUE(cluster.until([&] { return cluster.desk->lanes().view().queued.size() == 1; }));
    EXPECT_EQ(cluster.desk->lanes().view().queued.front().eta.waits, "h1 sends 1 already") << "by name, not by id";
    const auto shrunk = cluster.write([](store::Transaction& transaction) -> Result<void> {
        Host host = *transaction.snapshot().hosts.find(HostId("id-h2"));
        host.settings.memory_capacity = mebibytes(500);  // web2's claim leaves no room for another 256 MiB
        transaction.put(std::move(host), {"host.changed", "by a test"});
        return {};
    });
    ASSERT_TRUE(shrunk);
    const auto refused = cluster.wait(second->id);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->state, JobState::failed);
    EXPECT_THAT(error_of(refused), HasSubstr("memory_fit"));
    EXPECT_EQ(cluster.wait(first->id)->state, JobState::succeeded);
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h1"));
    EXPECT_TRUE(cluster.snapshot()->claims.empty());
}

TEST_F(Moving, OneAtATimeOnALinkAndTheUrgentOneFirst) {
    cluster.world->set_link("h1", "h2", BytesPerSecond(3 * 1'048'576));  // all four are queued while the first moves
    for (const std::string name : {"a", "b", "c", "d"}) make(name);
    std::vector<JobId> jobs;
    for (const std::string name : {"a", "b", "c"}) {
        const auto job = cluster.queue("vm.migrate", name, R"({"to":"h2"})");
        ASSERT_TRUE(job);
        jobs.push_back(job->id);
    }
    const auto urgent = cluster.queue("vm.migrate", "d", R"({"to":"h2","policy":{"priority":50}})");
    jobs.push_back(urgent->id);
    int most = 0;
    const bool ended = cluster.until([&] {
        int now = 0;
        cluster.snapshot()->migrations.for_each(
            [&](const Migration& migration) { now += migration::has_ended(migration.phase) ? 0 : 1; });
        most = std::max(most, now);
        return std::ranges::all_of(
            jobs, [&](const JobId& id) { return is_finished(cluster.snapshot()->jobs.find(id)->state); });
    });
    ASSERT_TRUE(ended);
    EXPECT_EQ(most, 1);
    const auto before_the_urgent_one =
        std::ranges::count_if(jobs, [&](const JobId& id) { return row(id)->started < row(urgent->id)->started; });
    EXPECT_LE(before_the_urgent_one, 1) << "only the one that came to a free link";
}

TEST_F(Moving, TakesUpAPullAfterTheDaemonDied) {
    make("web1", writes_faster_than_the_link);
    cluster.world->set_link("h1", "h2", slow_link);
    const auto job = cluster.queue("vm.migrate", "web1", R"({"to":"h2","mode":"hybrid"})");
    ASSERT_TRUE(reaches(job->id, MigrationPhase::pull));
    cluster.restart();
    const auto moved = cluster.wait(job->id);
    EXPECT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h2"));
}

TEST_F(Moving, OfflineMovesOnlyTheDefinitionOfAVmThatDoesNotRun) {
    make("web1");
    const auto early = cluster.do_job("vm.migrate", "web1", R"({"to":"h2","mode":"offline"})");
    EXPECT_THAT(error_of(early), HasSubstr("does not run"));
    ASSERT_EQ(cluster.do_job("vm.destroy", "web1", "{}")->state, JobState::succeeded);
    const auto moved = cluster.do_job("vm.migrate", "web1", R"({"to":"h2","mode":"offline"})");
    ASSERT_EQ(moved->state, JobState::succeeded) << error_of(moved);
    EXPECT_EQ(cluster.vm("web1")->host, cluster.host("h2")->id);
    EXPECT_EQ(cluster.vm("web1")->epoch, 2U);
    ASSERT_TRUE(cluster.until([&] { return cluster.vm("web1")->definitions.size() == 1; }));
    EXPECT_EQ(cluster.vm("web1")->definitions.front().host, cluster.host("h2")->id);
    EXPECT_EQ(cluster.do_job("vm.start", "web1", "{}")->state, JobState::succeeded);
    EXPECT_THAT(running_on("web1"), ::testing::ElementsAre("h2"));
}

TEST_F(Moving, AForecastThatWasAskedForHasACurveSoon) {
    make("web1", writes_faster_than_the_link);
    const auto vm = cluster.vm("web1");
    ASSERT_TRUE(cluster.desk->forecast(*vm, cluster.host("h2")->id, {}));
    ASSERT_TRUE(cluster.until([&] { return cluster.desk->curves().find(vm->id).has_value(); }));
    const auto forecast = cluster.desk->forecast(*cluster.vm("web1"), cluster.host("h2")->id, {});
    ASSERT_TRUE(forecast && forecast->input.curve);
    EXPECT_GT(forecast->input.curve->working_set.likely, mebibytes(100));
}

}  // namespace
}  // namespace ballast::testing
