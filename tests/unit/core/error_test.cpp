// Errors: codes, causes, early return.
#include "core/error.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/try.h"

namespace ballast {
namespace {

TEST(Code, HasAnHttpStatusAndAName) {
    std::set<std::string_view> names;
    for (const Code code : all_codes) {
        EXPECT_GE(http_status(code), 400);
        EXPECT_LE(http_status(code), 599);
        names.insert(name_of(code));
    }
    EXPECT_EQ(names.size(), all_codes.size());
    EXPECT_EQ(http_status(Code::not_found), 404);
    EXPECT_EQ(http_status(Code::unauthenticated), 401);
    EXPECT_EQ(http_status(Code::internal), 500);
}

TEST(Code, IsRetryableOnlyWhereTheSameCallMaySucceedLater) {
    EXPECT_TRUE(is_retryable(Code::unavailable));
    EXPECT_FALSE(is_retryable(Code::invalid_argument));
    EXPECT_FALSE(is_retryable(Code::not_found));
}

Result<int> half(int n) {
    if (n % 2 != 0) return fail(Code::invalid_argument, "{} is odd", n);
    return n / 2;
}

Result<int> quarter(int n) {
    BALLAST_TRY(const int once, half(n));
    BALLAST_TRY(const int twice, half(once));
    return twice;
}

Result<void> check_even(int n) {
    BALLAST_CHECK(half(n));
    return {};
}

TEST(Try, ReturnsTheFirstError) {
    EXPECT_EQ(quarter(8).value(), 2);
    EXPECT_EQ(quarter(6).error().message(), "3 is odd");
    EXPECT_TRUE(check_even(2));
    EXPECT_FALSE(check_even(3));
}

TEST(Fail, KnowsItsCaller) {
    EXPECT_THAT(half(1).error().where().file_name(), testing::EndsWith("error_test.cpp"));
}

TEST(Error, KeepsTheChainOfItsCausesAndTheirCode) {
    const Error error = while_doing(while_doing(half(3).error(), "reading {}", "a"), "starting {}", "b");
    EXPECT_EQ(error.chain(), "starting b: reading a: 3 is odd");
    EXPECT_EQ(error.code(), Code::invalid_argument);
    ASSERT_NE(error.cause(), nullptr);
    EXPECT_EQ(error.cause()->message(), "reading a");
}

}  // namespace
}  // namespace ballast
