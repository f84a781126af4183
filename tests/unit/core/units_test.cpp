// Quantities as people write and read them.
#include "core/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast {
namespace {

TEST(ParseBytes, TakesBinaryUnits) {
    EXPECT_EQ(parse_bytes("256M").value(), mebibytes(256));
    EXPECT_EQ(parse_bytes("1.5GiB").value(), mebibytes(1536));
    EXPECT_EQ(parse_bytes("4096").value(), Bytes(4096));
    EXPECT_EQ(parse_bytes("2 KB").value(), kibibytes(2));
    EXPECT_EQ(parse_bytes("0").value(), Bytes(0));
}

TEST(ParseBytes, RefusesWhatIsNoSize) {
    for (const char* text : {"", "M", "-1", "1X", "1MM", "nan", "inf", "1e300", "9999999999T", "0x10"})
        EXPECT_FALSE(parse_bytes(text)) << text;
    EXPECT_THAT(parse_bytes("5Q").error().message(), testing::HasSubstr("unknown unit 'Q'"));
}

TEST(ToString, WritesSizesAndTimesForPeople) {
    EXPECT_EQ(to_string(mebibytes(256)), "256 MiB");
    EXPECT_EQ(to_string(mebibytes(1536)), "1.5 GiB");
    EXPECT_EQ(to_string(Bytes(0)), "0 B");
    EXPECT_EQ(to_string(BytesPerSecond(mebibytes(20).count())), "20 MiB/s");
    EXPECT_EQ(to_string(Milliseconds(850)), "850 ms");
    EXPECT_EQ(to_string(Milliseconds(12'300)), "12.3 s");
    EXPECT_EQ(to_string(Milliseconds(245'000)), "4 min 5 s");
}

TEST(Timestamp, GoesThroughTextUnchanged) {
    const Timestamp time = parse_timestamp("2026-11-22T16:24:11.042Z").value();
    EXPECT_EQ(to_string(time), "2026-11-22T16:24:11.042Z");
    EXPECT_EQ(parse_timestamp("2026-11-22T16:24:11Z").value(), time - Milliseconds(42));
}

TEST(ParseTimestamp, RefusesWhatIsNoTime) {
    for (const char* text : {"", "yesterday", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z",
                             "2026-01-01T00:00:00", "2026-01-01T00:00:00Zx", "2026-01-01T00:61:00Z"})
        EXPECT_FALSE(parse_timestamp(text)) << text;
}

TEST(SaturatingSub, NeverGoesBelowZero) {
    EXPECT_EQ(saturating_sub(Bytes(3), Bytes(5)), Bytes(0));
    EXPECT_EQ(saturating_sub(Bytes(5), Bytes(3)), Bytes(2));
}

}  // namespace
}  // namespace ballast
