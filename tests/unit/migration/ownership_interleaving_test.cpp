// SAFETY.md 4, proven on the model: every interleaving of messages, losses, time-outs and restarts of daemon, libvirtd,
// QEMU and host. And the proof is worth something: with any one rule broken, it fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/migration/ownership_model.h"

namespace ballast::migration::model {
namespace {

TEST(OwnershipInterleavings, NeverTwoCopiesNeverNoneAndAlwaysOneOwnerInTheEnd) {
    const Exploration walk = explore({.faults = 3, .libvirt_resumes_on_lost_answer = false, .rules = {}});
    EXPECT_EQ(walk.violation, "");
    EXPECT_EQ(walk.stuck, 0U) << walk.stuck_path;
    EXPECT_GT(walk.states, 10'000U);
    EXPECT_GT(walk.ends_on_source, 0U);
    EXPECT_GT(walk.ends_on_target, 0U);
    EXPECT_GT(walk.restarts, 0U);
    RecordProperty("states", static_cast<int>(walk.states));
}

TEST(OwnershipInterleavings, AVmThatWasPausedIsNeverResumedNorLostWhileItsSourceMayHoldIt) {
    const Exploration walk =
        explore({.faults = 3, .libvirt_resumes_on_lost_answer = true, .rules = {}, .was_paused = true});
    EXPECT_EQ(walk.violation, "");
    EXPECT_EQ(walk.conflicts_seen, 0U) << "libvirt resumes no source that was paused before";
    EXPECT_EQ(walk.stuck, 0U) << walk.stuck_path;
    EXPECT_GT(walk.ends_paused, 0U);
    EXPECT_GT(walk.ends_on_source, 0U);
    EXPECT_GT(walk.ends_on_target, 0U);
    RecordProperty("states", static_cast<int>(walk.states));
}

TEST(OwnershipInterleavings, WithoutAFaultNoRunningStateIsEverGivenUp) {
    const Exploration walk = explore({.faults = 0, .libvirt_resumes_on_lost_answer = false, .rules = {}});
    EXPECT_EQ(walk.violation, "");
    EXPECT_EQ(walk.stuck, 0U) << walk.stuck_path;
    EXPECT_EQ(walk.restarts, 0U);
}

TEST(OwnershipInterleavings, WhereLibvirtItselfDoublesTheVmBallastEndsAndResumesNothing) {
    const Exploration walk = explore({.faults = 1, .libvirt_resumes_on_lost_answer = true, .rules = {}});
    EXPECT_EQ(walk.violation, "");
    EXPECT_GT(walk.conflicts_seen, 0U);
}

struct BrokenRule {
    const char* name;
    bool RuleSet::* rule;
};

class OwnershipMutation : public testing::TestWithParam<BrokenRule> {};

TEST_P(OwnershipMutation, IsNoticed) {
    Options options;
    options.rules.*GetParam().rule = false;
    // Two copies run only where libvirt made them: the rule about them can't be missed elsewhere.
    options.libvirt_resumes_on_lost_answer = GetParam().rule == &RuleSet::two_running_copies_are_a_conflict;
    const Exploration walk = explore(options);
    EXPECT_TRUE(!walk.violation.empty() || walk.stuck > 0) << "nothing fails without the rule " << GetParam().name;
    RecordProperty("found", walk.violation.empty() ? walk.stuck_path : walk.violation);
}

INSTANTIATE_TEST_SUITE_P(
    EachRule, OwnershipMutation,
    testing::Values(
        BrokenRule{"wait_for_running_job", &RuleSet::wait_for_running_job},
        BrokenRule{"act_only_when_settled", &RuleSet::act_only_when_settled},
        BrokenRule{"silence_is_not_death", &RuleSet::silence_is_not_death},
        BrokenRule{"never_resume_after_switch", &RuleSet::never_resume_after_switch},
        BrokenRule{"never_resume_beside_a_target_that_may_run", &RuleSet::never_resume_beside_a_target_that_may_run},
        BrokenRule{"never_resume_once_target_has_run", &RuleSet::never_resume_once_target_has_run},
        BrokenRule{"never_resume_beside_an_incoming", &RuleSet::never_resume_beside_an_incoming},
        BrokenRule{"end_incoming_only_if_it_can_not_finish", &RuleSet::end_incoming_only_if_it_can_not_finish},
        BrokenRule{"end_source_only_if_target_took_over", &RuleSet::end_source_only_if_target_took_over},
        BrokenRule{"adopt_only_what_took_over", &RuleSet::adopt_only_what_took_over},
        BrokenRule{"two_running_copies_are_a_conflict", &RuleSet::two_running_copies_are_a_conflict}),
    [](const auto& broken) { return std::string(broken.param.name); });

}  // namespace
}  // namespace ballast::migration::model
