#include "daemon/config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::config {
namespace {

TEST(ConfigValues, DurationsAreReadAndWrittenInTheirLargestExactUnit) {
    for (const std::string text : {"1ms", "999ms", "10s", "90s", "5min", "24min", "1h", "90d"}) {
        const auto parsed = parse_duration(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(duration_text(*parsed), text);
    }
    EXPECT_EQ(duration_text(*parse_duration("60s")), "1min");
    EXPECT_EQ(duration_text(Milliseconds(0)), "0s");
}

TEST(ConfigValues, WhatIsNoDurationIsRefused) {
    for (const std::string text :
         {"", "10", "s", "-1s", "1.5s", "10 s", "10m", "99999999999999999999s", "9999999999999d"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(ConfigValues, SizesAreWrittenInTheirLargestExactUnit) {
    EXPECT_EQ(size_text(kibibytes(16)), "16K");
    EXPECT_EQ(size_text(gibibytes(64)), "64G");
    EXPECT_EQ(size_text(gibibytes(2048)), "2T");
    EXPECT_EQ(size_text(Bytes(1000)), "1000");
    EXPECT_EQ(size_text(Bytes(0)), "0");
}

TEST(ConfigValues, TextsAreQuotedAsTomlWants) {
    EXPECT_EQ(toml_text("a\"b\\c\n"), R"("a\"b\\c\u000a")");
}

TEST(ConfigValues, TrueAndFalseAreNothingElse) {
    EXPECT_TRUE(*read_bool(true));
    EXPECT_FALSE(*read_bool(Text{"false"}));
    EXPECT_FALSE(read_bool(Text{"yes"}));
    EXPECT_FALSE(read_bool(std::string("true")));
}

}  // namespace
}  // namespace ballast::config
