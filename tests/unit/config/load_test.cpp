// Every way to set a key, and every way to get it wrong.

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/config/config.h"

namespace ballast::config {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* file = "/etc/ballast/ballastd.toml";

std::string error_of(const Result<Config>& result) {
    return result ? "(no error)" : result.error().message();
}

std::string error_in(std::string_view toml) {
    return error_of(parse(toml, file));
}

TEST(ConfigLoad, AnEmptyFileGivesTheDefaults) {
    const auto config = parse("", file);
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_EQ(*config, Config{});
    EXPECT_EQ(config->server.listen, "127.0.0.1");
    EXPECT_EQ(config->server.port, 8470);
    EXPECT_EQ(config->store.path, "/var/lib/ballast/ballast.db");
    EXPECT_EQ(config->hosts.sweep_interval, Milliseconds(10'000));
}

TEST(ConfigLoad, EveryTypeOfValueIsRead) {
    const auto config = parse(R"(
[server]
port = 9000
names = ["ballast.example.org", "10.0.0.1"]
[store]
event_retention = "30d"
[hosts]
sweep_interval = "2500ms"
[log]
level = "debug"
format = "json"
[limits]
body = "2M"
header = 8192
)",
                              file);
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_EQ(config->server.port, 9000);
    EXPECT_THAT(config->server.names, testing::ElementsAre("ballast.example.org", "10.0.0.1"));
    EXPECT_EQ(config->store.event_retention, std::chrono::hours(720));
    EXPECT_EQ(config->hosts.sweep_interval, Milliseconds(2'500));
    EXPECT_EQ(config->log.level, LogLevel::debug);
    EXPECT_EQ(config->log.format, LogFormat::json);
    EXPECT_EQ(config->limits.body, mebibytes(2));
    EXPECT_EQ(config->limits.header, kibibytes(8));
}

TEST(ConfigLoad, TheEnvironmentOverridesTheFileAndAFlagOverridesBoth) {
    const std::string toml = "[server]\nport = 1\nlisten = \"127.0.0.2\"\n[cluster]\nname = \"from-file\"\n";
    Sources sources;
    sources.environment = {{"BALLAST_SERVER_PORT", "2"}, {"BALLAST_SERVER_LISTEN", "127.0.0.3"}};
    sources.sets = {"server.port=3"};
    const auto config = parse(toml, file, sources);
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_EQ(config->server.port, 3);
    EXPECT_EQ(config->server.listen, "127.0.0.3");
    EXPECT_EQ(config->cluster.name, "from-file");
}

TEST(ConfigLoad, ListsAreWrittenWithCommasOutsideTheFile) {
    const auto config = parse("", file, {.file = {}, .environment = {}, .sets = {"server.names=a.example, b.example"}});
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_THAT(config->server.names, testing::ElementsAre("a.example", "b.example"));
}

TEST(ConfigLoad, VariablesOfTheCommandLineAreNotTheDaemons) {
    EXPECT_TRUE(
        parse("", file, {.file = {}, .environment = {{"BALLAST_URL", "x"}, {"BALLAST_TOKEN", "y"}}, .sets = {}}));
}

TEST(ConfigLoad, AnUnknownKeyNamesFileLineAndTheNearestOne) {
    EXPECT_EQ(error_in("[server]\nlisten = \"127.0.0.1\"\nprot = 8471\n"),
              "/etc/ballast/ballastd.toml:3: unknown key 'server.prot'; did you mean 'server.port'?");
}

TEST(ConfigLoad, AnUnknownKeyFarFromAllSaysWhereTheyAreListed) {
    EXPECT_THAT(
        error_in("[server]\nentirely_something_else_here = 1\n"),
        AllOf(HasSubstr(":2: unknown key 'server.entirely_something_else_here'"), HasSubstr("--print-sample-config")));
}

TEST(ConfigLoad, AnUnknownSectionNamesTheNearestOne) {
    EXPECT_EQ(error_in("\n[sevrer]\nport = 1\n"),
              "/etc/ballast/ballastd.toml:2: unknown section '[sevrer]'; did you mean '[server]'?");
}

TEST(ConfigLoad, AKeyOutsideOfASectionIsAnError) {
    EXPECT_THAT(error_in("port = 8470\n"), HasSubstr(":1: unknown key 'port'"));
    EXPECT_THAT(error_in("server = 8470\n"), HasSubstr(":1: 'server' is a section: write [server]"));
}

TEST(ConfigLoad, AValueOutOfRangeNamesTheRange) {
    EXPECT_EQ(error_in("[server]\nport = 99999\n"),
              "/etc/ballast/ballastd.toml:2: server.port: 99999 is out of range (0 to 65535)");
    EXPECT_EQ(error_in("[hosts]\nsweep_interval = \"2d\"\n"),
              "/etc/ballast/ballastd.toml:2: hosts.sweep_interval: \"2d\" is out of range (1s to 1h)");
    EXPECT_EQ(error_in("[limits]\nbody = \"1G\"\n"),
              "/etc/ballast/ballastd.toml:2: limits.body: \"1G\" is out of range (1K to 256M)");
    EXPECT_EQ(error_in("[jobs]\nmigrations_out_per_host = 9\n"),
              "/etc/ballast/ballastd.toml:2: jobs.migrations_out_per_host: 9 is out of range (1 to 8)");
}

TEST(ConfigLoad, AWrongTypeNamesWhatWasExpected) {
    EXPECT_THAT(error_in("[server]\nport = \"8470\"\n"),
                HasSubstr(":2: server.port: expected a whole number from 0 to 65535, got \"8470\""));
    EXPECT_THAT(error_in("[server]\nlisten = 127\n"), HasSubstr("server.listen: expected a text in quotes, got 127"));
    EXPECT_THAT(error_in("[server]\nnames = \"a\"\n"), HasSubstr("server.names: expected a list of texts"));
    EXPECT_THAT(error_in("[server]\nnames = [1]\n"), HasSubstr("got a list with other things than texts"));
    EXPECT_THAT(error_in("[server]\nport = 1979-05-27\n"), HasSubstr("got a date or time"));
    EXPECT_THAT(error_in("[server.port]\nx = 1\n"), HasSubstr("server.port: expected a whole number"));
    EXPECT_THAT(error_in("[hosts]\nsweep_interval = 10\n"), HasSubstr("expected a duration with its unit"));
    EXPECT_THAT(error_in("[limits]\nbody = true\n"), HasSubstr("expected a size such as"));
}

TEST(ConfigLoad, AWordThatIsNoneOfTheChoicesNamesThemAndTheNearest) {
    EXPECT_EQ(
        error_in("[log]\nlevel = \"warnin\"\n"),
        "/etc/ballast/ballastd.toml:2: log.level: expected one of trace, debug, info, warning, error, got \"warnin\"; "
        "did you mean 'warning'?");
}

TEST(ConfigLoad, RetentionIsInWholeHours) {
    EXPECT_THAT(error_in("[store]\njob_retention = \"90min\"\n"), HasSubstr("not a whole number of hours"));
}

TEST(ConfigLoad, WhatIsNotTomlNamesTheLine) {
    EXPECT_THAT(error_in("[server]\nport = = 1\n"), HasSubstr("/etc/ballast/ballastd.toml:2: this is not TOML: "));
    EXPECT_THAT(error_in("[server]\nport = 1\nport = 2\n"), HasSubstr(":3: this is not TOML: "));
    EXPECT_THAT(error_in("[server]\nlisten = \"\xff\"\n"), HasSubstr("this is not TOML: "));
}

TEST(ConfigLoad, AnOverrideThatIsWrongNamesItsSource) {
    EXPECT_THAT(
        error_of(parse("", file, {.file = {}, .environment = {{"BALLAST_SERVER_PORT", "many"}}, .sets = {}})),
        HasSubstr("environment BALLAST_SERVER_PORT: server.port: expected a whole number from 0 to 65535, got 'many'"));
    EXPECT_THAT(error_of(parse("", file, {.file = {}, .environment = {{"BALLAST_SERVER_PROT", "1"}}, .sets = {}})),
                HasSubstr("unknown variable 'BALLAST_SERVER_PROT'; did you mean 'BALLAST_SERVER_PORT'?"));
    EXPECT_THAT(error_of(parse("", file, {.file = {}, .environment = {}, .sets = {"server.port=x"}})),
                HasSubstr("--set server.port=x: server.port: expected a whole number"));
    EXPECT_THAT(error_of(parse("", file, {.file = {}, .environment = {}, .sets = {"server.port"}})),
                HasSubstr("write it as section.key=value"));
    EXPECT_THAT(error_of(parse("", file, {.file = {}, .environment = {}, .sets = {"servr.port=1"}})),
                HasSubstr("did you mean 'server.port'?"));
}

TEST(ConfigLoad, ACertificateNeedsItsKey) {
    EXPECT_THAT(error_in("[server]\ncertificate = \"/a.pem\"\n"),
                HasSubstr("server.certificate is set but server.key is not"));
    EXPECT_THAT(error_in("[server]\nkey = \"/a.pem\"\n"), HasSubstr("server.key is set but server.certificate is not"));
}

TEST(ConfigLoad, TheListenAddressIsAnAddress) {
    EXPECT_THAT(error_in("[server]\nlisten = \"localhost\"\n"), HasSubstr("'localhost' is no IP address"));
    EXPECT_TRUE(parse("[server]\nlisten = \"::1\"\n", file));
}

TEST(ConfigLoad, ThePathOfTheStoreMayNotBeEmpty) {
    EXPECT_THAT(error_in("[store]\npath = \"\"\n"), HasSubstr("store.path is empty"));
}

TEST(ConfigLoad, StreamsAreConnections) {
    EXPECT_THAT(error_in("[limits]\nconnections = 10\nevent_streams = 11\n"),
                HasSubstr("is more than limits.connections"));
}

TEST(ConfigLoad, ANamedFileThatIsNotThereIsAnErrorWithTheWayOut) {
    const auto config = load({.file = "/nonexistent/ballastd.toml", .environment = {}, .sets = {}});
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code(), Code::not_found);
    EXPECT_THAT(config.error().message(), HasSubstr("--print-sample-config > /nonexistent/ballastd.toml"));
}

TEST(ConfigLoad, AFileIsReadFromDisk) {
    const auto path = std::filesystem::temp_directory_path() / fmt::format("ballast-config-{}.toml", ::getpid());
    std::ofstream(path) << "[server]\nport = 1234\n";
    const auto config = load({.file = path.string(), .environment = {}, .sets = {}});
    std::filesystem::remove(path);
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_EQ(config->server.port, 1234);
}

TEST(ConfigLoad, UploadsWaitBesideTheDatabaseUnlessAFolderIsNamed) {
    Config config;
    EXPECT_EQ(uploads_folder(config), "/var/lib/ballast/uploads");
    config.store.uploads = "/srv/uploads";
    EXPECT_EQ(uploads_folder(config), "/srv/uploads");
}

TEST(ConfigLoad, APolicyForALabelIsATableOfItsOwn) {
    const auto config = parse(R"(
[migration]
max_downtime = "500ms"
post_copy = "allowed"
bandwidth = "100M"
[[migration.label]]
key = "tier"
value = "database"
max_downtime = "50ms"
post_copy = false
[[migration.label]]
key = "team"
value = "a"
priority = 7
)",
                              file);
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_EQ(config->migration.max_downtime, Milliseconds(500));
    EXPECT_EQ(config->migration.post_copy, PostCopy::allowed);
    EXPECT_EQ(config->migration.bandwidth, BytesPerSecond(100 * 1024 * 1024));
    ASSERT_EQ(config->migration.labels.size(), 2U);
    EXPECT_EQ(config->migration.labels[0].value, "database");
    EXPECT_EQ(config->migration.labels[0].policy.max_downtime, Milliseconds(50));
    EXPECT_EQ(config->migration.labels[0].policy.post_copy, false);
    EXPECT_EQ(config->migration.labels[0].policy.priority, std::nullopt);
    EXPECT_EQ(config->migration.labels[1].policy.priority, 7);
}

TEST(ConfigLoad, OwnPlacementPoliciesAreTablesOfWeights) {
    const auto config = parse(
        "[placement]\npolicy = \"night\"\n[[placement.policies]]\nname = \"night\"\npacking = 1\nwishes = 0.5\n", file);
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_EQ(config->placement.policy, "night");
    ASSERT_EQ(config->placement.policies.size(), 1U);
    EXPECT_EQ(config->placement.policies[0].weights, (std::map<std::string, double>{{"packing", 1}, {"wishes", 0.5}}));
    const auto again = parse(render(*config), "rendered");
    ASSERT_TRUE(again) << error_of(again);
    EXPECT_EQ(*again, *config);
}

TEST(ConfigLoad, NPlusOneIsOffUntilItIsAskedFor) {
    EXPECT_EQ(parse("", file)->placement.n_plus_one, NPlusOneMode::off);
    const auto config = parse("[placement]\nn_plus_one = \"must\"\nn_plus_one_group = \"rack\"\n", file);
    ASSERT_TRUE(config) << error_of(config);
    EXPECT_EQ(config->placement.n_plus_one, NPlusOneMode::must);
    EXPECT_EQ(config->placement.n_plus_one_group, "rack");
    EXPECT_THAT(error_in("[placement]\nn_plus_one = \"yes\"\n"), AllOf(HasSubstr("n_plus_one"), HasSubstr("should")));
}

TEST(ConfigLoad, APlacementPolicyThatIsNonsenseIsRefusedWithItsLine) {
    const auto refused = [](const std::string& line) {
        return error_in("[[placement.policies]]\nname = \"x\"\n" + line + "\n");
    };
    EXPECT_THAT(refused("packing = \"much\""),
                AllOf(HasSubstr("ballastd.toml:3"), HasSubstr("placement.policies.packing"), HasSubstr("a number")));
    EXPECT_THAT(refused("packing = -1"), AllOf(HasSubstr("ballastd.toml:3"), HasSubstr("from 0 up"), HasSubstr("-1")));
    EXPECT_THAT(refused("packing = nan"), AllOf(HasSubstr("from 0 up"), HasSubstr("nan")));
    EXPECT_THAT(refused("packing = inf"), HasSubstr("from 0 up"));
    EXPECT_THAT(refused("[[placement.policies]]\nname = \"x\""), HasSubstr("'x' twice"));
    EXPECT_THAT(error_in("[[placement.policies]]\npacking = 1\n"), HasSubstr("needs the `name`"));
    EXPECT_THAT(error_in("[placement]\npolicies = 3\n"), HasSubstr("write [[placement.policies]]"));
}

TEST(ConfigLoad, APolicyForALabelIsReadAsStrictlyAsASection) {
    EXPECT_THAT(error_in("[[migration.label]]\nkey = \"a\"\nvalue = \"b\"\nmax_downtim = \"1s\"\n"),
                AllOf(HasSubstr("ballastd.toml:4"), HasSubstr("did you mean 'migration.label.max_downtime'?")));
    EXPECT_THAT(error_in("[[migration.label]]\nkey = \"a\"\nvalue = \"b\"\nmax_downtime = \"0s\"\n"),
                HasSubstr("migration.label.max_downtime: \"0s\" is out of range"));
    EXPECT_THAT(error_in("[[migration.label]]\npost_copy = true\n"), HasSubstr("needs `key` and `value`"));
    EXPECT_THAT(error_in("[migration]\nlabel = \"tier\"\n"), HasSubstr("write [[migration.label]]"));
    EXPECT_THAT(error_in("[migration]\nmax_downtime = \"0s\"\n"), HasSubstr("migration.max_downtime"));
    EXPECT_THAT(error_in("[migration]\nmax_throttle = 100\n"), HasSubstr("out of range (0 to 99)"));
}

}  // namespace
}  // namespace ballast::config
