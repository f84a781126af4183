// Which modes and knobs go together: every cell of the table is written down here by hand.
#include "migration/compatibility.h"

#include <map>
#include <set>

#include <boost/describe/enum_to_string.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::migration {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using enum ModeChoice;

constexpr HypervisorVersions debian{};

MigrationTerms terms(bool post_copy = true) {
    MigrationTerms made;
    made.post_copy = post_copy;
    return made;
}

Result<void> ask(ModeChoice mode, const MigrationKnobs& knobs, const MigrationTerms& in = terms()) {
    return check_combination(mode, knobs, in, debian);
}

/// The refused cells, "knob" or "knob+with", per mode; all others are supported.
const std::set<std::string> all_cells{"auto_converge",
                                      "auto_converge+xbzrle",
                                      "auto_converge+parallel",
                                      "auto_converge+tls",
                                      "auto_converge+copy_disks=full",
                                      "auto_converge+copy_disks=incremental",
                                      "xbzrle",
                                      "xbzrle+parallel",
                                      "xbzrle+tls",
                                      "xbzrle+copy_disks=full",
                                      "xbzrle+copy_disks=incremental",
                                      "parallel",
                                      "parallel+tls",
                                      "parallel+copy_disks=full",
                                      "parallel+copy_disks=incremental",
                                      "tls",
                                      "tls+copy_disks=full",
                                      "tls+copy_disks=incremental",
                                      "copy_disks=full",
                                      "copy_disks=incremental"};

std::set<std::string> cells_with(std::initializer_list<std::string_view> parts) {
    std::set<std::string> found;
    for (const std::string& cell : all_cells)
        for (const std::string_view part : parts)
            if (cell.find(part) != std::string::npos) found.insert(cell);
    return found;
}

const std::map<ModeChoice, std::set<std::string>> refused_cells{
    {auto_, {"xbzrle+parallel"}},
    {pre_copy, {"xbzrle+parallel"}},
    {stop_and_copy, cells_with({"auto_converge", "xbzrle"})},
    {post_copy, cells_with({"auto_converge", "xbzrle", "parallel", "tls+copy_disks"})},
    {hybrid, cells_with({"parallel", "tls+copy_disks"})},
    {offline, all_cells},
};

TEST(Compatibility, EveryCellOfTheTableIsAsWrittenDown) {
    const auto table = compatibility_table();
    EXPECT_EQ(table.size(), refused_cells.size() * all_cells.size());
    for (const CompatibilityRow& row : table) {
        const std::string cell = row.with.empty() ? row.knob : row.knob + "+" + row.with;
        EXPECT_TRUE(all_cells.contains(cell)) << cell;
        EXPECT_EQ(row.supported, !refused_cells.at(row.mode).contains(cell))
            << boost::describe::enum_to_string(row.mode, "") << " " << cell << ": " << row.reason;
        if (!row.supported) {
            EXPECT_THAT(row.reason, Not(IsEmpty())) << cell;
            EXPECT_THAT(row.way_out, Not(IsEmpty())) << cell;
        } else if (row.knob == "tls" || row.with == "tls") {
            EXPECT_THAT(row.needs, HasSubstr("certificates for QEMU on both hosts")) << cell;
        }
    }
}

TEST(Compatibility, EveryModeGoesWithoutKnobs) {
    for (const auto& [mode, cells] : refused_cells) EXPECT_TRUE(ask(mode, {})) << cells.size();
}

TEST(Compatibility, RefusesSeveralConnectionsWithPostCopyThoughQemuTakesThem) {
    const auto refused = ask(hybrid, {.xbzrle_cache = {}, .parallel = 4});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::invalid_argument);
    EXPECT_THAT(refused.error().message(), HasSubstr("does not support it; use one stream, or pre_copy"));
}

TEST(Compatibility, RefusesPostCopyThatThePolicyForbids) {
    EXPECT_THAT(ask(post_copy, {}, terms(false)).error().message(), HasSubstr("policy forbids"));
    EXPECT_TRUE(ask(auto_, {}, terms(false)));
}

TEST(Compatibility, LeavesAutoTheModesThatTheKnobsLeaveOpen) {
    EXPECT_TRUE(ask(auto_, {.xbzrle_cache = {}, .parallel = 4}));
    EXPECT_TRUE(ask(auto_, {.auto_converge = true, .xbzrle_cache = {}}, terms(false)));
    EXPECT_FALSE(ask(auto_, {.xbzrle = true, .xbzrle_cache = {}, .parallel = 4}));
}

TEST(Compatibility, HoldsEachKnobToItsRange) {
    for (const int connections : {-1, 1, 17})
        EXPECT_FALSE(ask(pre_copy, {.xbzrle_cache = {}, .parallel = connections})) << connections;
    for (const int connections : {0, 2, 16})
        EXPECT_TRUE(ask(pre_copy, {.xbzrle_cache = {}, .parallel = connections})) << connections;
    for (const int percent : {-1, 100}) {
        EXPECT_FALSE(ask(pre_copy, {.auto_converge = true, .throttle_initial = percent, .xbzrle_cache = {}}));
        EXPECT_FALSE(ask(pre_copy, {.auto_converge = true, .throttle_increment = percent, .xbzrle_cache = {}}));
    }
    EXPECT_TRUE(
        ask(pre_copy, {.auto_converge = true, .throttle_initial = 40, .throttle_increment = 99, .xbzrle_cache = {}}));
    for (const Bytes cache : {Bytes(0), Bytes(-4096), Bytes(2048), mebibytes(96)})
        EXPECT_FALSE(ask(pre_copy, {.xbzrle = true, .xbzrle_cache = cache})) << cache.count();
    for (const Bytes cache : {Bytes(4096), mebibytes(64)})
        EXPECT_TRUE(ask(pre_copy, {.xbzrle = true, .xbzrle_cache = cache})) << cache.count();
}

TEST(Compatibility, RefusesValuesOfAKnobThatIsOff) {
    EXPECT_THAT(ask(pre_copy, {.throttle_initial = 30, .xbzrle_cache = {}}).error().message(),
                HasSubstr("need auto_converge"));
    EXPECT_THAT(ask(pre_copy, {.xbzrle_cache = mebibytes(64)}).error().message(), HasSubstr("needs xbzrle"));
}

TEST(Compatibility, RefusesToThrottleBeyondThePolicy) {
    MigrationTerms gentle = terms();
    gentle.max_throttle = 0;
    EXPECT_THAT(ask(pre_copy, {.auto_converge = true, .xbzrle_cache = {}}, gentle).error().message(),
                HasSubstr("max_throttle is 0"));
    gentle.max_throttle = 15;
    EXPECT_THAT(ask(pre_copy, {.auto_converge = true, .xbzrle_cache = {}}, gentle).error().message(),
                HasSubstr("first step of 20 %"));
    EXPECT_TRUE(ask(pre_copy, {.auto_converge = true, .throttle_initial = 10, .xbzrle_cache = {}}, gentle));
}

TEST(Compatibility, NamesTheHypervisorThatIsTooOld) {
    const auto with = [](ModeChoice mode, const MigrationKnobs& knobs, const HypervisorVersions& versions) {
        return check_combination(mode, knobs, terms(), versions);
    };
    const auto refused = with(hybrid, {}, {.libvirt = 8'004'000});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::failed_precondition);
    EXPECT_THAT(refused.error().message(), HasSubstr("libvirt 8.5 on both hosts, one has 8.4"));
    EXPECT_TRUE(with(hybrid, {}, {.libvirt = 8'005'000}));
    EXPECT_TRUE(with(auto_, {}, {.libvirt = 8'004'000}));  // pre-copy is left
    EXPECT_FALSE(with(pre_copy, {.xbzrle_cache = {}, .parallel = 2}, {.qemu = 3'001'000}));
    EXPECT_FALSE(with(pre_copy, {.xbzrle_cache = {}, .parallel = 2, .tls = true}, {.qemu = 5'001'000}));
    EXPECT_FALSE(with(pre_copy, {.xbzrle_cache = {}, .tls = true, .copy_disks = DiskCopy::full}, {.qemu = 5'002'000}));
    EXPECT_TRUE(with(pre_copy, {.xbzrle_cache = {}, .tls = true, .copy_disks = DiskCopy::full}, {.qemu = 6'000'000}));
    EXPECT_TRUE(with(hybrid, {}, {.libvirt = 0, .qemu = 0}));  // a driver that names none is judged by the move itself
}

TEST(Compatibility, TakesTheOlderOfTwoHosts) {
    EXPECT_EQ(older_of({.libvirt = 9'000'000, .qemu = 7'002'000}, {.libvirt = 8'000'000, .qemu = 8'000'000}),
              (HypervisorVersions{.libvirt = 8'000'000, .qemu = 7'002'000}));
    EXPECT_EQ(older_of({.libvirt = 0, .qemu = 1}, {.libvirt = 5, .qemu = 0}),
              (HypervisorVersions{.libvirt = 5, .qemu = 1}));
}

}  // namespace
}  // namespace ballast::migration
