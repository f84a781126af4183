// Ids and names.
#include "core/ids.h"

#include <type_traits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast {
namespace {

static_assert(!std::is_convertible_v<HostId, VmId>);
static_assert(!std::is_convertible_v<std::string, VmId>);

TEST(ParseUuid, MakesTheCanonicalForm) {
    EXPECT_EQ(parse_uuid("A0EEBC999C0B4EF8BB6D6BB9BD380A11").value(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    EXPECT_EQ(parse_uuid("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").value(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
}

TEST(ParseUuid, RefusesWhatIsNone) {
    EXPECT_THAT(parse_uuid("web1").error().message(), testing::HasSubstr("hexadecimal"));
    EXPECT_THAT(parse_uuid("a0eebc99").error().message(), testing::HasSubstr("8 hexadecimal digits instead of 32"));
    EXPECT_FALSE(parse_uuid(""));
}

TEST(CheckName, AllowsPlainNamesOnly) {
    for (const char* name : {"web1", "a", "db-01.lab_x", "9lives"}) EXPECT_TRUE(check_name("VM", name)) << name;
    for (const char* name : {"", "-web", ".web", "web/1", "web@h1", "wéb", "a b", "<x>"})
        EXPECT_FALSE(check_name("VM", name)) << name;
    EXPECT_TRUE(check_name("VM", std::string(63, 'a')));
    EXPECT_THAT(check_name("VM", std::string(64, 'a')).error().message(), testing::HasSubstr("63 is the limit"));
}

}  // namespace
}  // namespace ballast
