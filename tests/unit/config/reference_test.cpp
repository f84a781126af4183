// What people read about the configuration is made from the table that reads it, and covers all of it.

#include <fstream>
#include <set>
#include <sstream>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/config/config.h"
#include "daemon/config/keys.h"

namespace ballast::config {
namespace {

using testing::HasSubstr;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public>;

std::set<std::string> described_paths() {
    std::set<std::string> paths;
    boost::mp11::mp_for_each<Members<Config>>([&](auto section) {
        using Section = std::remove_cvref_t<decltype(std::declval<Config>().*section.pointer)>;
        boost::mp11::mp_for_each<Members<Section>>(
            [&](auto member) { paths.insert(fmt::format("{}.{}", section.name, member.name)); });
    });
    return paths;
}

/// The sample with every "#key" line brought to life.
std::string uncommented(const std::string& sample) {
    std::istringstream lines(sample);
    std::string out;
    for (std::string line; std::getline(lines, line);) {
        const bool key = line.size() > 1 && line[0] == '#' && line[1] != ' ';
        out += (key ? line.substr(1) : line) + "\n";
    }
    return out;
}

TEST(ConfigReference, EveryMemberOfConfigHasItsLineInTheTable) {
    std::set<std::string> in_table;
    for (const auto& key : keys()) EXPECT_TRUE(in_table.insert(key.path()).second) << key.path() << " stands twice";
    EXPECT_EQ(in_table, described_paths());
}

TEST(ConfigReference, EveryKeyIsDocumentedByASentence) {
    for (const auto& key : keys()) {
        EXPECT_THAT(key.doc, testing::EndsWith(".")) << key.path();
        EXPECT_NE(key.takes, "") << key.path();
    }
}

TEST(ConfigReference, TheSampleIsAValidFileThatChangesNothing) {
    const auto config = parse(sample(), "sample");
    ASSERT_TRUE(config) << config.error().message();
    EXPECT_EQ(*config, Config{});
}

TEST(ConfigReference, TheSampleUncommentedIsTheDefaults) {
    const std::string text = uncommented(sample());
    EXPECT_THAT(text, HasSubstr("\nport = 8470\n"));
    const auto config = parse(text, "sample");
    ASSERT_TRUE(config) << config.error().message();
    EXPECT_EQ(*config, Config{});
}

TEST(ConfigReference, WhatIsRenderedIsReadBackTheSame) {
    Config config;
    config.server.port = 1;
    config.server.names = {"a", "b \"c\""};
    config.log.level = LogLevel::error;
    config.limits.upload = gibibytes(5);
    config.store.job_retention = std::chrono::hours(5);
    config.migration.bandwidth = BytesPerSecond(100 * 1024 * 1024);
    config.migration.labels.resize(2);
    config.migration.labels[0].key = "tier";
    config.migration.labels[0].value = "db";
    config.migration.labels[0].policy.max_downtime = Milliseconds(50);
    config.migration.labels[0].policy.post_copy = false;
    config.migration.labels[0].policy.bandwidth = BytesPerSecond(1'000'000);
    config.migration.labels[1].key = "team";
    config.migration.labels[1].value = "a";
    config.migration.labels[1].policy.max_total = Milliseconds(60'000);
    config.migration.labels[1].policy.max_throttle = 0;
    const auto again = parse(render(config), "rendered");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, config);
}

TEST(ConfigReference, TheManualNamesEveryKeyAndItsVariable) {
    const std::string page = manual_page();
    for (const auto& key : keys()) {
        EXPECT_THAT(page, HasSubstr(".B " + key.name + "\n"));
        EXPECT_THAT(page, HasSubstr(key.variable()));
    }
}

TEST(ConfigReference, ThePackagedFileIsTheSample) {
    std::ifstream file(BALLAST_SOURCE_DIR "/packaging/ballastd.toml");
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_EQ(text.str(), sample()) << "run: ballastd --print-sample-config > packaging/ballastd.toml";
}

}  // namespace
}  // namespace ballast::config
