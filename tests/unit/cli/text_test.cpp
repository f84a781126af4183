#include "cli/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "cli/globals.h"

namespace ballast::cli {
namespace {

Table wide() {
    Table table;
    table.headings = {
        {.text = "NAME"}, {.text = "SIZE", .right = true}, {.text = "NOTE", .right = false, .flexible = true}};
    table.rows = {{{"web1"}, {"1 GiB"}, {"a rather long note about nothing much"}}, {{"bücher"}, {"10 GiB"}, {"-"}}};
    return table;
}

TEST(TextTable, ColumnsAreAlignedByWhatIsSeen) {
    EXPECT_EQ(render_table(wide(), 0, false),
              "NAME      SIZE  NOTE\n"
              "web1     1 GiB  a rather long note about nothing much\n"
              "bücher  10 GiB  -\n");
}

TEST(TextTable, ANarrowTerminalTakesFromTheFlexibleColumn) {
    const std::string out = render_table(wide(), 30, false);
    EXPECT_EQ(out,
              "NAME      SIZE  NOTE\n"
              "web1     1 GiB  a rather long…\n"
              "bücher  10 GiB  -\n");
}

TEST(TextTable, WithoutATerminalNothingIsCut) {
    EXPECT_THAT(render_table(wide(), 0, false), ::testing::HasSubstr("nothing much"));
}

TEST(Text, ClippingCountsCharactersNotBytes) {
    EXPECT_EQ(clipped("größer", 6), "größer");
    EXPECT_EQ(clipped("größer", 5), "größ…");
    EXPECT_EQ(clipped("abc", 0), "");
}

TEST(Text, AgesGetCoarser) {
    const Timestamp now = *parse_timestamp("2026-01-10T00:00:00.000Z");
    EXPECT_EQ(age("2026-01-09T23:59:30.000Z", now), "30 s");
    EXPECT_EQ(age("2026-01-09T23:57:00.000Z", now), "3 min");
    EXPECT_EQ(age("2026-01-09T20:00:00.000Z", now), "4 h");
    EXPECT_EQ(age("2026-01-05T00:00:00.000Z", now), "5 d");
    EXPECT_EQ(age("2026-01-11T00:00:00.000Z", now), "0 s");
    EXPECT_EQ(age("yesterday", now), "-");
}

TEST(Text, TheBarStaysWithinItsWidth) {
    EXPECT_EQ(bar(0, 4), "....   0 %");
    EXPECT_EQ(bar(50, 4), "##..  50 %");
    EXPECT_EQ(bar(100, 4), "#### 100 %");
}

TEST(Yaml, IsReadBackAsWhatItWas) {
    const Json json =
        Json::parse(R"({"a":"yes","b":["1",1,true,null,"x: y","- z","#c"," lead","",{"k":[[1,2],[]]}],"c":{},
        "d":"multi\nline","e":"1.5","f":"~","g":"plain text","0":"zero key","h":"ends:"})");
    const YAML::Node node = YAML::Load(to_yaml(json));
    EXPECT_EQ(node["a"].Tag(), "!");  // quoted: stays text
    EXPECT_EQ(node["a"].as<std::string>(), "yes");
    const std::vector<std::string> expected{"1", "1", "true", "null", "x: y", "- z", "#c", " lead", ""};
    for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_EQ(node["b"][i].Scalar(), i == 3 ? node["b"][i].Scalar() : expected[i]) << i;
    EXPECT_TRUE(node["b"][3].IsNull());
    EXPECT_EQ(node["b"][9]["k"][0][1].as<int>(), 2);
    EXPECT_EQ(node["d"].as<std::string>(), "multi\nline");
    EXPECT_EQ(node["e"].Tag(), "!");
    EXPECT_EQ(node["h"].as<std::string>(), "ends:");
    EXPECT_EQ(node["0"].as<std::string>(), "zero key");
}

TEST(Timeout, NeedsAUnitThatIsKnown) {
    EXPECT_EQ(*parse_timeout("90s"), Milliseconds(90'000));
    EXPECT_EQ(*parse_timeout("5min"), Milliseconds(300'000));
    EXPECT_EQ(*parse_timeout("10"), Milliseconds(10'000));
    EXPECT_EQ(*parse_timeout("7d"), Milliseconds(std::chrono::days(7)));
    for (const char* text : {"", "0", "-1s", "1x", "s", "1 s", "99999999999999999999"})
        EXPECT_FALSE(parse_timeout(text)) << text;
}

}  // namespace
}  // namespace ballast::cli
