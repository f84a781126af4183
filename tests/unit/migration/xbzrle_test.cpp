// XBZRLE as a way to end a pre-copy that does not end by itself: when it is tried, what is expected of it, what its
// outcome teaches. Measured with QEMU 7.2 under TCG at 100 and 400 Mbit/s (docs/MIGRATION.md 6).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migration/choose.h"
#include "migration/steer.h"
#include "tests/support/builders.h"
#include "tests/unit/migration/forecast_support.h"

namespace ballast::migration {
namespace {

using namespace test;
using ::testing::Contains;
using ::testing::HasSubstr;

/// Random writes of 78 MiB/s, which take a tenth of the guest's CPU time: no throttle that it bears is of use.
ForecastInput light_footed(double set_mib, double content_mib, double link_mib) {
    ForecastInput input = an_input(link_mib, a_curve(78, set_mib, WriteOrder::random));
    input.memory = mebibytes(256);
    input.content = model::bytes_of(content_mib * 1024 * 1024);
    input.link.bandwidth = {.low = mebibytes_per_second(link_mib),
                            .likely = mebibytes_per_second(link_mib),
                            .high = mebibytes_per_second(link_mib)};
    input.terms.bandwidth.reset();
    input.terms.post_copy = false;
    input.vcpu_use = 0.1;
    input.cache_room = gibibytes(4);
    return input;
}
ForecastInput small_set() {
    return light_footed(16, 84, 11.5);
}

Choice chosen(const ForecastInput& input) {
    const auto choice = choice_of(decide(input, ModeChoice::auto_));
    EXPECT_TRUE(choice) << choice.error().message();
    return choice.value_or(Choice{});
}

TEST(Xbzrle, IsExpectedToTakeWhatItWasMeasuredToTake) {
    struct Measured {
        double set, content, link, seconds, mebibytes;
    };
    for (const Measured& one :
         {Measured{16, 84, 11.5, 9, 101.6}, {176, 250, 46, 9.8, 417.8}, {176, 250, 11.5, 39.9, 422.9}}) {
        ForecastInput input = light_footed(one.set, one.content, one.link);
        input.delta = 0.016;
        const ModeForecast forecast = forecast_mode(input, MigrationMode::pre_copy);
        EXPECT_TRUE(forecast.feasible) << forecast.reason;
        EXPECT_NEAR(model::seconds_of(forecast.total.likely), one.seconds, 0.2 * one.seconds) << one.set;
        EXPECT_NEAR(in_mebibytes(forecast.bytes.likely), one.mebibytes, 0.1 * one.mebibytes) << one.set;
    }
}

TEST(Xbzrle, IsTriedWhereNothingElseIsLeftAndThePlanSaysSo) {
    const Choice choice = chosen(small_set());
    EXPECT_EQ(choice.mode, MigrationMode::pre_copy);
    EXPECT_TRUE(choice.knobs.xbzrle);
    EXPECT_FALSE(choice.knobs.auto_converge);
    ASSERT_TRUE(choice.knobs.xbzrle_cache);
    EXPECT_EQ(*choice.knobs.xbzrle_cache, mebibytes(256)) << "a slot for each page of the guest";
    EXPECT_THAT(choice.reason, HasSubstr("for the first time"));
    EXPECT_THAT(choice.plan, Contains(HasSubstr("XBZRLE, 256")));
}

TEST(Xbzrle, IsNotTriedWherePostCopyIsAllowed) {
    ForecastInput input = small_set();
    input.terms.post_copy = true;
    EXPECT_FALSE(chosen(input).knobs.xbzrle);
}

TEST(Xbzrle, ThatWasSeenToSufficeSparesTheRiskOfAPullThatIsHardlyQuicker) {
    ForecastInput input = light_footed(8, 84, 40);
    input.terms.post_copy = true;
    input.terms.max_downtime = Milliseconds(100);
    input.delta = 0.016;
    const Choice choice = chosen(input);
    EXPECT_EQ(choice.mode, MigrationMode::pre_copy);
    EXPECT_TRUE(choice.knobs.xbzrle);
    EXPECT_THAT(choice.reason, HasSubstr("2 % of a page"));
}

TEST(Xbzrle, ThatWasSeenToBeUselessIsNotTriedAgainAndTheRefusalSaysSo) {
    ForecastInput input = small_set();
    input.delta = 0.95;
    const auto choice = choice_of(decide(input, ModeChoice::auto_));
    ASSERT_FALSE(choice);
    EXPECT_THAT(choice.error().message(), HasSubstr("95 % of a page"));
}

TEST(Xbzrle, GivesWayToAThrottleThatIsSureToSuffice) {
    ForecastInput input = small_set();
    input.vcpu_use = 1;
    input.link.bandwidth.likely = input.link.bandwidth.low = input.link.bandwidth.high = mebibytes_per_second(30);
    const Choice choice = chosen(input);
    EXPECT_TRUE(choice.knobs.auto_converge);
    EXPECT_FALSE(choice.knobs.xbzrle);
}

TEST(Xbzrle, NeedsRoomForItsCacheOnTheSource) {
    ForecastInput input = small_set();
    input.cache_room = mebibytes(15);
    EXPECT_FALSE(choice_of(decide(input, ModeChoice::auto_)));
    input.cache_room = mebibytes(200);
    EXPECT_EQ(chosen(input).knobs.xbzrle_cache, mebibytes(128)) << "smaller than the guest: some pages meet in a slot";
}

TEST(Xbzrle, IsNotAddedToParallelConnections) {
    ForecastInput input = small_set();
    input.knobs.parallel = 2;
    EXPECT_FALSE(forecast_mode(input, MigrationMode::pre_copy).knobs.xbzrle);
}

TEST(Xbzrle, TeachesTheNextForecastWhatItWasWorth) {
    using namespace ballast::test;
    Migration row;
    row.id = JobId("j1");
    row.vm = VmId("web1");
    row.from = HostId("h1");
    row.to = HostId("h2");
    row.phase = MigrationPhase::cancelled;  // also one that was ended because it was of no use
    row.compression = MigrationCompression{.pages = 900, .sent = Bytes(900 * 1024), .misses = 70, .overflows = 100};
    auto cluster = a_cluster().with(a_host("h1")).with(a_host("h2")).with(a_vm().on("h1").running()).build();
    const auto learned = [&] {
        const PairHistories histories(cluster);
        return input_for(cluster, histories, *cluster.vms.find(VmId("web1")), HostId("h2"), {}, noon).delta;
    };
    EXPECT_FALSE(learned());
    cluster.migrations.put(row);
    ASSERT_TRUE(learned());
    EXPECT_NEAR(*learned(), (900 * 1024.0 + 100 * 4096) / (1000 * 4096), 0.001);
    row.compression->pages = row.compression->overflows = 10;
    cluster.migrations.put(row);
    EXPECT_FALSE(learned()) << "twenty pages say nothing";
}

}  // namespace
}  // namespace ballast::migration
