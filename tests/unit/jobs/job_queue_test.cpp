#include "daemon/jobs/job_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::jobs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TheQueue : public ::testing::Test {
  protected:
    void put(const std::string& id, JobState state, const std::string& kind = "vm.create", bool cancel = false,
             const std::string& vm = "") {
        Job job;
        job.id = JobId(id);
        job.vm = VmId(vm);
        job.kind = kind;
        job.state = state;
        job.cancel_requested = cancel;
        rows.jobs.put(job);
    }
    void follow() { queue.follow(std::make_shared<const Snapshot>(rows)); }
    /// Everyone whose turn comes, in order.
    [[nodiscard]] std::vector<std::string> turns(bool slot_is_free = true) const {
        std::vector<std::string> ids;
        JobQueue::Turn last;
        while (const auto next = queue.next(last, slot_is_free)) {
            last = next->first;
            ids.push_back(next->second->id.str());
        }
        return ids;
    }

    Snapshot rows;
    JobQueue queue;
};

TEST_F(TheQueue, HasWhatWasLeftRunningBeforeWhatWaitsAndNothingThatEnded) {
    put("1", JobState::queued);
    put("2", JobState::running);
    put("3", JobState::succeeded);
    put("4", JobState::running);
    put("5", JobState::failed);
    put("0", JobState::queued);
    follow();
    EXPECT_THAT(turns(), ElementsAre("2", "4", "0", "1"));
    put("1", JobState::cancelled);
    put("6", JobState::queued);
    rows.jobs.erase(JobId("4"));
    follow();
    EXPECT_THAT(turns(), ElementsAre("2", "0", "6"));
}

TEST_F(TheQueue, KeepsTheOrderOfAskingAmongThoseThatNeedASlotAndThoseThatNeedNone) {
    put("1", JobState::queued);
    put("2", JobState::queued, "vm.migrate");
    put("3", JobState::queued);
    put("4", JobState::queued, "host.evacuate");
    put("5", JobState::queued, "cluster.rebalance");
    follow();
    EXPECT_THAT(turns(true), ElementsAre("1", "2", "3", "4", "5"));
    EXPECT_THAT(turns(false), ElementsAre("2", "4", "5"));
}

TEST_F(TheQueue, OneThatNeedsNoSlotDoesNotOvertakeAnotherOfItsVm) {
    const auto is_first = [&](const char* id) { return queue.is_first_of_its_vm(*rows.jobs.find(JobId(id))); };
    put("1", JobState::queued, "vm.start", false, "web1");
    put("2", JobState::queued, "vm.migrate", false, "web1");
    put("3", JobState::queued, "vm.migrate", false, "web2");
    put("4", JobState::queued, "host.evacuate");
    follow();
    EXPECT_TRUE(is_first("1"));
    EXPECT_FALSE(is_first("2"));
    EXPECT_TRUE(is_first("3"));
    EXPECT_TRUE(is_first("4"));
    put("1", JobState::queued, "vm.start", true, "web1");
    follow();
    EXPECT_TRUE(is_first("2")) << "one that is called off stands in nobody's way";
    queue.take(JobId("2"));
    put("2", JobState::succeeded, "vm.migrate", false, "web1");
    put("5", JobState::queued, "vm.stop", false, "web1");
    follow();
    EXPECT_TRUE(is_first("5"));
}

TEST_F(TheQueue, ACalledOffJobNeedsNoSlot) {
    put("1", JobState::queued);
    put("2", JobState::queued);
    follow();
    EXPECT_THAT(turns(false), IsEmpty());
    put("2", JobState::queued, "vm.create", true);
    follow();
    EXPECT_THAT(turns(false), ElementsAre("2"));
}

TEST_F(TheQueue, AJobThatIsTakenHasNoTurnUntilItIsGivenBackUnended) {
    put("1", JobState::queued);
    put("2", JobState::queued);
    follow();
    queue.take(JobId("1"));
    put("1", JobState::running);
    follow();
    EXPECT_THAT(turns(), ElementsAre("2"));
    EXPECT_EQ(queue.taken(), 1U);
    queue.give_back(JobId("1"));
    EXPECT_THAT(turns(), ElementsAre("1", "2")) << "its end could not be stored";
    put("1", JobState::succeeded);
    follow();
    EXPECT_THAT(turns(), ElementsAre("2"));
    EXPECT_EQ(queue.taken(), 0U);
}

}  // namespace
}  // namespace ballast::jobs
