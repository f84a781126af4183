// What a VM asks of its place: what is refused as nonsense, and what goes through JSON.
#include "core/vm_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/json.h"
#include "tests/support/builders.h"

namespace ballast {
namespace {

using namespace ballast::test;
using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const VmSpec& spec) {
    const auto checked = check(spec);
    return checked ? "no error" : checked.error().message();
}

VmSpec asking(VmPlacement placement) {
    VmSpec spec = a_vm().spec();
    spec.placement = std::move(placement);
    return spec;
}

VmSpec with_terms(std::vector<AffinityTerm> terms) {
    VmPlacement placement;
    placement.affinity = std::move(terms);
    return asking(placement);
}

TEST(VmPlacement, ARowWrittenBeforeThereWereWishesHasNone) {
    const auto read = parse_as<VmSpec>(R"({"vcpus": 2, "anti_affinity": "db"})", "spec");
    ASSERT_TRUE(read) << read.error().chain();
    EXPECT_EQ(read->placement, VmPlacement{});
    const auto host = parse_as<HostSettings>(R"({"labels": {"zone": "a"}})", "settings");
    ASSERT_TRUE(host) << host.error().chain();
    EXPECT_TRUE(host->taints.empty());
    const auto claim = parse_as<Claim>(R"({"id": "j1", "job": "j1", "host": "h1"})", "claim");
    ASSERT_TRUE(claim) << claim.error().chain();
    EXPECT_FALSE(claim->expires);
}

TEST(VmPlacement, GoesThroughJsonUnchanged) {
    VmPlacement all;
    all.groups = {"shop"};
    all.affinity = {{"db", AffinityKind::limit, Strength::should, AffinityScope::zone, 3}};
    all.hosts = {"h1"};
    all.tolerations = {{"gpu", "a100", TaintEffect::avoid}, {"old", "", {}}};
    all.devices = {{"sr-iov:blue", 2}};
    all.cpu_features = {"avx2"};
    all.hugepage_size = mebibytes(2);
    all.numa = {.cells = 2, .pinned = true};
    all.policy = "pack";
    VmSpec spec = a_vm().vcpus(4).spec();
    spec.placement = all;
    ASSERT_EQ(error_of(spec), "no error");
    const auto read = parse_as<VmSpec>(to_json_text(spec), "spec");
    ASSERT_TRUE(read) << read.error().chain();
    EXPECT_EQ(*read, spec);
}

TEST(HostSettings, GoThroughJsonUnchangedWithTaintsDevicesAndPower) {
    HostSettings settings;
    settings.taints = {{"gpu", "a100", TaintEffect::evacuate}};
    settings.devices = {{"gpu", 4}};
    settings.idle_power = Watts(80);
    settings.max_power = Watts(350);
    const std::string text = to_json_text(a_host().settings(settings).build());
    EXPECT_THAT(text, HasSubstr(R"("idle_power_watts":80)"));
    EXPECT_EQ(parse_as<Host>(text, "host")->settings, settings);
}

TEST(VmPlacement, NamesTheFieldAndTheWayOut) {
    EXPECT_THAT(error_of(with_terms({{"", AffinityKind::apart}})), HasSubstr("placement.affinity[0].group"));
    EXPECT_THAT(error_of(with_terms({{"db", AffinityKind::limit, Strength::must, AffinityScope::host, 0}})),
                HasSubstr("placement.affinity[0].limit: 0 is not between 1"));
    VmPlacement placement;
    placement.devices = {{"gpu", 0}};
    EXPECT_THAT(error_of(asking(placement)), HasSubstr("placement.devices.gpu: 0"));
    placement = {};
    placement.hugepage_size = Bytes(3000);
    EXPECT_THAT(error_of(asking(placement)), HasSubstr("placement.hugepage_size_bytes: 3000"));
    placement = {};
    placement.numa.pinned = true;
    EXPECT_THAT(error_of(asking(placement)), HasSubstr("placement.numa.pinned"));
    placement.numa.cells = 2;
    EXPECT_THAT(error_of(asking(placement)), HasSubstr("1 vCPUs do not divide evenly into 2 cells"));
    placement = {};
    placement.hugepage_size = gibibytes(1);
    EXPECT_THAT(error_of(asking(placement)), HasSubstr("512 MiB is no multiple of pages of 1 GiB"));
    placement = {};
    placement.hosts = {"h1\n"};
    EXPECT_THAT(error_of(asking(placement)), HasSubstr("placement.hosts[0]: control characters"));
}

TEST(VmPlacement, RefusesTermsThatContradictEachOther) {
    const AffinityTerm together{"db", AffinityKind::together, Strength::must, AffinityScope::host};
    const AffinityTerm apart{"db", AffinityKind::apart, Strength::must, AffinityScope::zone};
    EXPECT_THAT(error_of(with_terms({apart, together})), AllOf(HasSubstr("[1] and [0]"), HasSubstr("group db")));
    AffinityTerm wish = apart;
    wish.strength = Strength::should;
    EXPECT_EQ(error_of(with_terms({together, wish})), "no error");
    AffinityTerm one_zone = together;
    one_zone.scope = AffinityScope::zone;
    AffinityTerm other_hosts = apart;
    other_hosts.scope = AffinityScope::host;
    EXPECT_EQ(error_of(with_terms({one_zone, other_hosts})), "no error") << "one zone has many hosts";
    VmSpec spec = with_terms({together});
    spec.anti_affinity = "db";
    EXPECT_THAT(error_of(spec), HasSubstr("anti_affinity"));
}

TEST(Tolerates, ByKeyValueAndEffectWhereTheyAreGiven) {
    VmPlacement placement;
    placement.tolerations = {{"gpu", "", {}}, {"old", "yes", TaintEffect::no_place}};
    EXPECT_TRUE(tolerates(placement, {"gpu", "a100", TaintEffect::evacuate}));
    EXPECT_TRUE(tolerates(placement, {"old", "yes", TaintEffect::no_place}));
    EXPECT_FALSE(tolerates(placement, {"old", "yes", TaintEffect::evacuate}));
    EXPECT_FALSE(tolerates(placement, {"old", "no", TaintEffect::no_place}));
    EXPECT_FALSE(tolerates(placement, {"new", "yes", TaintEffect::no_place}));
}

}  // namespace
}  // namespace ballast
