// Golden scenarios: each folder here is a story told to a whole daemon core on simulated hosts and virtual time.
// cluster.json is the cluster, script.txt what happens, log.expect what came of it, line by line. `scenario_test
// --update [--gtest_filter=…]` writes log.expect anew, for its diff to be read.
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "tests/golden/scenario/script.h"

namespace ballast::testing {
namespace {

namespace fs = std::filesystem;

bool updates = false;

fs::path home() {
    return fs::path(BALLAST_SOURCE_DIR) / "tests/golden/scenario";
}

std::vector<std::string> scenarios() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(home()))
        if (fs::exists(entry.path() / "script.txt")) names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
}

std::string read(const fs::path& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

/// The log of one telling.
std::string tell(const std::string& name) {
    const fs::path folder = home() / name;
    auto simulation = daemon::Simulation::open({.file = (folder / "cluster.json").string()}, scenario_start);
    if (!simulation) throw std::runtime_error(simulation.error().chain());
    Stage stage(*std::move(simulation));
    Script script(stage);
    for (const auto& line : lines_of(read(folder / "script.txt"))) script.act(line);
    return stage.text();
}

class Scenario : public ::testing::TestWithParam<std::string> {};

TEST_P(Scenario, GoesAsItsLogExpects) {
    const fs::path expected = home() / GetParam() / "log.expect";
    const std::string told = tell(GetParam());
    if (updates) {
        std::ofstream(expected) << told;
        return;
    }
    EXPECT_THAT(lines_of(told), ::testing::ElementsAreArray(lines_of(read(expected))))
        << "the log of " << GetParam() << " is another now; read the difference, then: scenario_test --update";
}

INSTANTIATE_TEST_SUITE_P(Golden, Scenario, ::testing::ValuesIn(scenarios()), [](const auto& info) {
    std::string name = info.param;
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST(ScenarioLogs, HoldNoDateNoIdAndNoFolderOfThisMachine) {
    static const std::regex foreign(
        "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9a-f]{8}-[0-9a-f]{4}-|\\b[0-9a-f]{16}\\b|/tmp/|/dev/shm|<id>|0x[0-9a-f]{6}");
    for (const auto& name : scenarios())
        for (const auto& line : lines_of(read(home() / name / "log.expect")))
            EXPECT_FALSE(std::regex_search(line, foreign)) << name << ": " << line;
}

TEST(ScenarioLogs, AreAtLeastFortyStoriesWithAClusterAScriptAndALog) {
    EXPECT_GE(scenarios().size(), 40U);
    for (const auto& name : scenarios()) {
        EXPECT_TRUE(fs::exists(home() / name / "cluster.json")) << name;
        EXPECT_TRUE(read(home() / name / "script.txt").starts_with("# ")) << name << " does not say what it tells";
        EXPECT_GE(lines_of(read(home() / name / "log.expect")).size(), 5U) << name;
    }
}

}  // namespace
}  // namespace ballast::testing

int main(int count, char** words) {
    ::testing::InitGoogleMock(&count, words);
    for (int i = 1; i < count; ++i) ballast::testing::updates |= std::string_view(words[i]) == "--update";
    spdlog::set_level(spdlog::level::off);
    return RUN_ALL_TESTS();
}
