// Policies of the cluster's own, from the file to the scheduler.
#include "daemon/policies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::daemon {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal_of(const config::PlacementConfig& config) {
    const auto policies = policies_of(config);
    return policies ? "" : policies.error().message();
}

TEST(Policies, OfTheFileAreThoseOfTheScheduler) {
    const auto policies = policies_of({.policy = "night", .policies = {{"night", {{"packing", 1}, {"wishes", 4}}}}});
    ASSERT_TRUE(policies) << policies.error().message();
    EXPECT_EQ((*policies->find(""))->weights.at("wishes"), 4);
    EXPECT_EQ((*policies->find("pack"))->name, "pack");
    EXPECT_EQ((*policies_of({})->find(""))->name, "spread");
}

TEST(Policies, ThatNameNoScorerOrNoPolicyAreRefusedByName) {
    EXPECT_THAT(refusal_of({.policy = "spread", .policies = {{"night", {{"packin", 1}}}}}),
                AllOf(HasSubstr("policy night"), HasSubstr("'packin'"), HasSubstr("did you mean 'packing'?")));
    EXPECT_THAT(refusal_of({.policy = "spread", .policies = {{"night", {}}}}), HasSubstr("no weight is above 0"));
    EXPECT_THAT(refusal_of({.policy = "spread", .policies = {{"night", {{"packing", -1}}}}}),
                HasSubstr("the weight of packing is -1"));
    EXPECT_THAT(refusal_of({.policy = "night", .policies = {}}),
                AllOf(HasSubstr("placement.policy"), HasSubstr("'night'"), HasSubstr("there are spread, pack")));
}

TEST(Policies, NPlusOneIsWhatTheFileWantsOfIt) {
    EXPECT_FALSE(n_plus_one_of({}));
    const auto wish = n_plus_one_of({.n_plus_one = config::NPlusOneMode::should, .policies = {}});
    ASSERT_TRUE(wish);
    EXPECT_EQ(wish->strength, Strength::should);
    const auto must =
        n_plus_one_of({.n_plus_one = config::NPlusOneMode::must, .n_plus_one_group = "rack", .policies = {}});
    EXPECT_EQ(*must, (scheduler::NPlusOne{.strength = Strength::must, .group_label = "rack"}));
}

}  // namespace
}  // namespace ballast::daemon
