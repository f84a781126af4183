#include "daemon/overcommit/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.h"

namespace ballast::overcommit {
namespace {

using ::testing::HasSubstr;

TEST(LabelPolicy, IsWrittenAsLabelValuePolicy) {
    const auto label = parse_label_policy("rack=r2:dense");
    ASSERT_TRUE(label);
    EXPECT_EQ(*label, (LabelPolicy{.key = "rack", .value = "r2", .policy = MemoryPolicy::dense}));
    for (const char* text : {"", "rack", "rack=r2", "=r2:dense", "rack:dense=r2"})
        EXPECT_FALSE(parse_label_policy(text)) << text;
    const auto unknown = parse_label_policy("rack=r2:denser");
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error().message(), HasSubstr("'denser'; there are none, gentle, balanced and dense"));
}

TEST(HostPolicy, IsItsOwnThenItsLabelsThenTheConfigurations) {
    const MemorySettings settings{.policy = MemoryPolicy::gentle,
                                  .labels = {{.key = "rack", .value = "r2", .policy = MemoryPolicy::dense}}};
    Host host = test::a_host("h1").build();
    EXPECT_EQ(policy_for(host, settings), MemoryPolicy::gentle);
    host.settings.labels["rack"] = "r2";
    EXPECT_EQ(policy_for(host, settings), MemoryPolicy::dense);
    host.settings.memory_policy = MemoryPolicy::none;
    EXPECT_EQ(policy_for(host, settings), MemoryPolicy::none);
    host.settings.memory_policy = MemoryPolicy::balanced;
    host.managed = false;
    EXPECT_EQ(policy_for(host, settings), MemoryPolicy::none) << "a host that is only observed is never touched";
}

}  // namespace
}  // namespace ballast::overcommit
