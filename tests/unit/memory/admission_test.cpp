// Admission: minimums fit physically, the risk stays below the policy's, and the answer says the figures.
#include "memory/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::memory {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

Demand a_demand(Bytes mean, Bytes deviation, Bytes minimum = mebibytes(512)) {
    return {.maximum = gibibytes(4), .minimum = minimum, .working_set = mean, .deviation = deviation, .group = {}};
}
std::vector<Demand> many(int count, const Demand& demand) {
    return std::vector<Demand>(static_cast<std::size_t>(count), demand);
}

TEST(Admission, AdmitsBeyondTheMaximumsAndStatesTheRisk) {
    const Admission made =
        admit(many(29, a_demand(gibibytes(1), mebibytes(256))), a_demand(gibibytes(1), mebibytes(256)),
              {.capacity = gibibytes(44), .sharing = {}, .held = {}});
    EXPECT_EQ(made.verdict, AdmissionVerdict::admitted);  // 120 GiB are promised
    EXPECT_LE(made.risk, 0.001);
    EXPECT_GT(made.risk, made.risk_before);
    EXPECT_THAT(made.words, MatchesRegex("p99 demand leaves [0-9.]+ GiB; (below )?0\\.[0-9]+ %"));
    EXPECT_EQ(made.left_at_p99, gibibytes(44) - made.p99);
    EXPECT_EQ(made.missing, Bytes(0));
}

TEST(Admission, RefusesWhereTheRiskWouldBeTooHighAndSaysWhatIsMissing) {
    const auto there = many(29, a_demand(gibibytes(1), mebibytes(256)));
    AdmissionTerms terms{.capacity = gibibytes(34), .sharing = {}, .held = {}};
    const Admission made = admit(there, a_demand(gibibytes(1), mebibytes(256)), terms);
    EXPECT_EQ(made.verdict, AdmissionVerdict::risk);
    EXPECT_THAT(made.words, HasSubstr("more than 0.10 %"));
    terms.capacity += made.missing;
    EXPECT_EQ(admit(there, a_demand(gibibytes(1), mebibytes(256)), terms).verdict, AdmissionVerdict::admitted);
    terms.capacity -= made.missing / 10;
    EXPECT_EQ(admit(there, a_demand(gibibytes(1), mebibytes(256)), terms).verdict, AdmissionVerdict::risk);
}

TEST(Admission, MinimumsFitPhysicallyWhateverIsShared) {
    const auto there = many(7, a_demand(mebibytes(100), Bytes(0), gibibytes(1)));
    const AdmissionTerms terms{.capacity = gibibytes(7), .sharing = gibibytes(100), .held = {}};
    EXPECT_EQ(assess(there, terms).verdict, AdmissionVerdict::admitted);
    const Admission made = admit(there, a_demand(mebibytes(100), Bytes(0), mebibytes(1)), terms);
    EXPECT_EQ(made.verdict, AdmissionVerdict::minimums);
    EXPECT_EQ(made.missing, mebibytes(1));
    EXPECT_THAT(made.words, HasSubstr("do not fit 7 GiB"));
}

TEST(Admission, SharingHelpsAndWhatIsHeldForMovesDoesNot) {
    const auto there = many(30, a_demand(gibibytes(1), mebibytes(256)));
    const AdmissionTerms terms{.capacity = gibibytes(36), .sharing = {}, .held = {}};
    AdmissionTerms shared = terms;
    shared.sharing = gibibytes(2);
    AdmissionTerms moving = terms;
    moving.held = gibibytes(2);
    EXPECT_LT(assess(there, shared).risk, assess(there, terms).risk / 2);
    EXPECT_GT(assess(there, moving).risk, assess(there, terms).risk * 2);
}

TEST(Admission, AHostWhoseMemoryShrankHoldsTooMuch) {
    const auto there = many(10, a_demand(gibibytes(1), mebibytes(256)));
    EXPECT_EQ(assess(there, {.capacity = gibibytes(16), .sharing = {}, .held = {}}).verdict,
              AdmissionVerdict::admitted);
    const Admission made = assess(there, {.capacity = gibibytes(9), .sharing = {}, .held = {}});
    EXPECT_EQ(made.verdict, AdmissionVerdict::risk);
    EXPECT_THAT(made.words, HasSubstr("p99 demand lacks"));
    EXPECT_EQ(assess(there, {.capacity = gibibytes(4), .sharing = {}, .held = {}}).verdict, AdmissionVerdict::minimums);
    EXPECT_EQ(assess(there, {.capacity = Bytes(0), .sharing = {}, .held = gibibytes(1)}).missing, gibibytes(5));
}

TEST(Admission, AVmThatIsCountedAtFullSizeIsAddedAtFullSize) {
    const Demand full = a_demand(gibibytes(4), Bytes(0));
    const AdmissionTerms terms{.capacity = gibibytes(8), .sharing = {}, .held = {}};
    EXPECT_EQ(admit(many(1, full), full, terms).verdict, AdmissionVerdict::admitted);
    EXPECT_EQ(admit(many(2, full), full, terms).verdict, AdmissionVerdict::risk);
}

TEST(Admission, AMinimumAboveTheMaximumCountsAsTheMaximum) {
    EXPECT_EQ(assess(many(2, a_demand(gibibytes(1), Bytes(0), gibibytes(99))),
                     {.capacity = gibibytes(8), .sharing = {}, .held = {}})
                  .minimums,
              gibibytes(8));
}

}  // namespace
}  // namespace ballast::memory
