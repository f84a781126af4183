// Admission by pictures: what counts of a host and of each VM, and what the answer says.
#include "daemon/overcommit/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/builders.h"

namespace ballast::overcommit {
namespace {

using scheduler::MemoryAnswer;
using scheduler::MemoryPart;
using test::a_host;
using test::a_vm;
using testing::HasSubstr;
using testing::MatchesRegex;

constexpr Bytes overhead = mebibytes(100);

/// 4 GiB, of which 512 MiB are guaranteed.
test::VmBuilder elastic(const std::string& name = "new") {
    return a_vm(name).memory(gibibytes(4)).minimum(mebibytes(512));
}

VmPicture seen(const std::string& name, Bytes mean = gibibytes(1), Bytes deviation = mebibytes(256)) {
    VmPicture vm;
    vm.vm = VmId(name);
    vm.maximum = gibibytes(4);
    vm.overhead = overhead;
    vm.working_set.trust = memory::Trust::trusted;
    vm.working_set.mean = vm.working_set.size = mean;
    vm.working_set.deviation = deviation;
    return vm;
}

HostPicture a_picture(const std::string& host, Bytes total) {
    HostPicture picture;
    picture.host = HostId(host);
    picture.sight = Sight::full;
    picture.ledger.total = total;
    return picture;
}

std::string name_of(int number) {
    return "vm" + std::to_string(number);
}

/// A host and its VMs, one more, and the pictures that are asked.
struct Question {
    Host host = a_host("h1").memory(gibibytes(64)).memory_policy(MemoryPolicy::balanced).build();
    std::vector<Vm> vms;
    Vm fresh = elastic().build();
    Pictures pictures;
    Bytes held;
    bool moves = false;

    Question& with(int count) {
        while (std::ssize(vms) < count) vms.push_back(elastic(name_of(static_cast<int>(vms.size()))).build());
        return *this;
    }
    Question& show(HostPicture picture) {
        const HostId id = picture.host;
        pictures[id] = std::make_shared<const HostPicture>(std::move(picture));
        return *this;
    }
    /// All of `vms` are seen on h1.
    Question& seen_there(Bytes mean = gibibytes(1), Bytes deviation = mebibytes(256)) {
        HostPicture picture = a_picture("h1", gibibytes(64));
        for (const Vm& vm : vms) picture.vms.push_back(seen(vm.id.str(), mean, deviation));
        return show(std::move(picture));
    }
    [[nodiscard]] MemoryPart part(const Vm& vm) const {
        return {.vm = vm.id, .spec = &vm.spec, .demand = scheduler::memory_demand(vm.spec, host, nullptr)};
    }
    [[nodiscard]] MemoryAnswer ask() const {
        std::vector<MemoryPart> there;
        for (const Vm& vm : vms) there.push_back(part(vm));
        const MemoryPart coming = part(fresh);
        return Admissions(std::make_shared<const Pictures>(pictures))
            .admits({.host = host, .there = there, .fresh = coming, .held = held, .moves = moves});
    }
};

TEST(Admissions, AdmitBeyondTheMaximumsAndStateTheFigure) {
    const MemoryAnswer answer = Question().with(30).seen_there().ask();
    EXPECT_TRUE(answer.admitted) << answer.words;
    EXPECT_THAT(answer.words, MatchesRegex("p99 demand leaves [0-9.]+ GiB; (below )?0\\.[0-9]+ %"));
    EXPECT_LE(answer.risk, 0.001);
    EXPECT_EQ(answer.missing, Bytes(0));
}

TEST(Admissions, KnowWhatIsFreeAboveTheReserveOfAHostThatWasSeen) {
    const Host host = a_host("h1").build();
    HostPicture picture = a_picture("h1", gibibytes(64));
    picture.ledger.free = gibibytes(3);
    const auto free = [&](const Pictures& pictures) {
        return Admissions(std::make_shared<const Pictures>(pictures)).free_now(host);
    };
    EXPECT_EQ(free({{host.id, std::make_shared<const HostPicture>(picture)}}), gibibytes(3));
    EXPECT_EQ(free({}), std::nullopt);
}

TEST(Admissions, RefuseAboveThePolicysRiskAndSayWhatIsMissing) {
    Question question;
    question.with(44).seen_there();
    const MemoryAnswer refused = question.ask();
    EXPECT_FALSE(refused.admitted);
    EXPECT_FALSE(refused.about_minimums);
    EXPECT_GT(refused.risk, 0.001);
    EXPECT_THAT(refused.words, HasSubstr("more than 0.10 %"));
    question.host.memory_policy = MemoryPolicy::dense;
    EXPECT_LT(question.ask().missing, refused.missing) << "a smaller reserve, a larger risk";
}

TEST(Admissions, GuaranteedMinimumsFitPhysicallyWhateverIsUsedAndShared) {
    Question question;
    for (int i = 0; i < 14; ++i)
        question.vms.push_back(elastic(name_of(i)).memory(gibibytes(8)).minimum(gibibytes(4)).build());
    question.seen_there(mebibytes(100), Bytes(0));
    auto picture = *question.pictures.at(HostId("h1"));
    picture.sure_sharing = picture.ledger.saved = gibibytes(40);
    question.show(picture);
    EXPECT_TRUE(question.ask().admitted);
    question.fresh = elastic().memory(gibibytes(8)).minimum(gibibytes(4)).build();
    const MemoryAnswer refused = question.ask();
    EXPECT_FALSE(refused.admitted);
    EXPECT_TRUE(refused.about_minimums);
    EXPECT_GT(refused.missing, Bytes(0));
    EXPECT_THAT(refused.words, HasSubstr("guaranteed minimums"));
}

TEST(Admissions, AHostInDangerAdmitsNobodyButWhoIsThere) {
    Question question;
    question.with(2).seen_there();
    auto picture = *question.pictures.at(HostId("h1"));
    picture.level = memory::Level::pressed;
    picture.level_why = "available memory is 2 GiB, below 2.5 GiB";
    picture.admits = false;
    question.show(picture);
    const MemoryAnswer refused = question.ask();
    EXPECT_FALSE(refused.admitted);
    EXPECT_THAT(refused.words, HasSubstr("pressed, so it admits nobody: available memory is 2 GiB"));
    question.fresh = question.vms.back();
    question.vms.pop_back();
    EXPECT_TRUE(question.ask().admitted) << "it is asked what there is, not let in";
}

TEST(Admissions, AHostThatHoldsTooMuchIsJudgedByWhoIsLeft) {
    Question question;
    question.with(60).seen_there();
    auto picture = *question.pictures.at(HostId("h1"));
    picture.admits = false;
    picture.risk.verdict = memory::AdmissionVerdict::risk;
    question.show(picture);
    EXPECT_FALSE(question.ask().admitted);
    question.vms.resize(20);
    EXPECT_TRUE(question.ask().admitted) << "as in a plan that has moved the others away";
}

TEST(Admissions, KnowAVmByWhatWasSeenOfItOnAnyHost) {
    Question question;
    question.with(38).seen_there();
    question.fresh = elastic("mover").build();
    const double unknown = question.ask().risk;
    HostPicture other = a_picture("h2", gibibytes(64));
    other.vms = {seen("mover", gibibytes(1) * 3, gibibytes(1))};
    const double large = question.show(other).ask().risk;
    other.vms = {seen("mover", mebibytes(300), mebibytes(32))};
    const double small = question.show(other).ask().risk;
    EXPECT_LT(small, unknown);
    EXPECT_LT(unknown, large);
}

TEST(Admissions, BelieveTheTrustedPictureOfAVmThatMoves) {
    Question question;
    question.with(44).seen_there(mebibytes(200), mebibytes(32));
    HostPicture arriving = a_picture("h2", gibibytes(64));
    arriving.at = Timestamp(std::chrono::hours(1));
    for (const Vm& vm : question.vms) {
        arriving.vms.push_back(seen(vm.id.str()));
        arriving.vms.back().working_set.trust = memory::Trust::no_statistics;
    }
    const MemoryAnswer before = question.ask();
    EXPECT_EQ(question.show(arriving).ask(), before);
}

TEST(Admissions, CountAVmThatCannotBeBelievedOrIsNeverSqueezedWithItsMaximum) {
    Question question;
    question.with(12).seen_there(mebibytes(300), mebibytes(32));
    EXPECT_TRUE(question.ask().admitted);
    auto picture = *question.pictures.at(HostId("h1"));
    for (VmPicture& vm : picture.vms) vm.working_set.trust = memory::Trust::implausible;
    EXPECT_FALSE(Question(question).with(16).show(picture).ask().admitted);
    for (Vm& vm : question.with(16).vms) vm.spec.memory_policy = MemoryPolicy::none;
    EXPECT_FALSE(question.ask().admitted) << "16 x 4 GiB on 64 GiB";
}

TEST(Admissions, TakeAnUnknownVmForATypicalMemberOfItsGroup) {
    Question question;
    HostPicture other = a_picture("h2", gibibytes(64));
    for (int i = 0; i < 20; ++i) {
        other.vms.push_back(seen(name_of(100 + i), mebibytes(400), mebibytes(64)));
        other.vms.back().group = "kernel tiny ";
    }
    for (int i = 0; i < 40; ++i) question.vms.push_back(elastic(name_of(i)).boots("tiny").build());
    question.fresh = elastic().boots("tiny").build();
    const MemoryAnswer crude = question.ask();
    EXPECT_FALSE(crude.admitted) << "41 times the middle of 512 MiB and 4 GiB";
    EXPECT_TRUE(question.show(other).ask().admitted) << question.ask().words;
    for (Vm& vm : question.vms) vm.spec.boot.kernel = "another";
    EXPECT_FALSE(question.ask().admitted) << "a group says nothing of others";
}

TEST(Admissions, TakeWhatTheQemuOfAnUnknownVmNeedsFromItsGroupToo) {
    Question question;
    for (int i = 0; i < 60; ++i) question.vms.push_back(elastic(name_of(i)).boots("tiny").build());
    const auto missing_with = [&](Bytes qemu) {
        HostPicture other = a_picture("h2", gibibytes(64));
        for (int i = 0; i < 19; ++i) {
            other.vms.push_back(seen(name_of(100 + i)));
            other.vms.back().group = "kernel tiny ";
            other.vms.back().overhead = qemu;
        }
        return question.show(other).ask().missing;
    };
    const Bytes more = missing_with(mebibytes(400)) - missing_with(mebibytes(40));
    // 61 VMs; what is usual weighs as one of twenty. A larger share of a maximum strays a little less to the far side.
    EXPECT_NEAR(more / mebibytes(1), 61 * 360 * 0.95, 0.15 * 61 * 360);
}

TEST(Admissions, RefuseAVmThatCouldFillMoreThanThereIsAsItBoots) {
    Question question;
    question.with(12).seen_there(mebibytes(300), mebibytes(32));
    auto picture = *question.pictures.at(HostId("h1"));
    picture.start_room = gibibytes(4);
    const MemoryAnswer refused = question.show(picture).ask();
    EXPECT_FALSE(refused.admitted);
    EXPECT_THAT(refused.words, HasSubstr("as it boots, and h1 has 4 GiB for VMs that come"));
    EXPECT_GT(refused.missing, Bytes(0));
    picture.start_room = gibibytes(4) + mebibytes(200);
    EXPECT_TRUE(question.show(picture).ask().admitted);
    picture.start_room = Bytes(0);
    picture.vms.push_back(seen("new"));
    EXPECT_TRUE(question.show(picture).ask().admitted) << "it has booted long since";
}

TEST(Admissions, WithoutAPictureTakeTheHostsRowWithTheReserveOfOneThatIsNotSeen) {
    Question question;
    question.fresh = elastic().minimum(gibibytes(4)).build();  // not to be squeezed: what it needs is known exactly
    const Bytes needed = scheduler::memory_demand(question.fresh.spec, question.host);
    const auto admits_with = [&](Bytes usable) {
        question.host.facts.memory = usable + gibibytes(1);
        question.host.settings.reserved_memory = gibibytes(1);
        return question.ask().admitted;
    };
    // 8 % x 1.5 of all memory, 1 GiB reserved included, is the reserve.
    const Bytes least(
        static_cast<std::int64_t>((static_cast<double>(needed.count()) + 0.12 * 1024 * 1024 * 1024) / 0.88));
    EXPECT_TRUE(admits_with(least + mebibytes(1)));
    EXPECT_FALSE(admits_with(least - mebibytes(1)));
}

TEST(Admissions, CountWhatTheHostUsesItselfAndWhatIsHeld) {
    Question question;
    question.with(36).seen_there();
    ASSERT_TRUE(question.ask().admitted);
    Question holding = question;
    holding.held = gibibytes(16);
    EXPECT_FALSE(holding.ask().admitted);
    auto picture = *question.pictures.at(HostId("h1"));
    picture.ledger.unexplained = gibibytes(16);
    EXPECT_FALSE(question.show(picture).ask().admitted);
}

TEST(Admissions, CountSureSharingAsFarAsThePolicySaysAndLessWhatLeftWithItsVms) {
    Question question;
    for (int i = 0; i < 40; ++i) question.vms.push_back(elastic(name_of(i)).boots("tiny").build());
    question.seen_there();
    auto picture = *question.pictures.at(HostId("h1"));
    for (VmPicture& vm : picture.vms) vm.group = "kernel tiny ";
    const auto risk_with = [&](Bytes sure, MemoryPolicy policy) {
        picture.sure_sharing = picture.ledger.saved = sure;
        question.host.memory_policy = policy;
        return question.show(picture).ask().risk;
    };
    EXPECT_LT(risk_with(gibibytes(8), MemoryPolicy::balanced), risk_with(Bytes(0), MemoryPolicy::balanced));
    EXPECT_EQ(risk_with(gibibytes(8), MemoryPolicy::gentle), risk_with(Bytes(0), MemoryPolicy::gentle));
    // Who left took the group's sharing along: others who came instead share nothing yet.
    for (int i = 0; i < 40; ++i) {
        question.vms[static_cast<std::size_t>(i)] = elastic(name_of(200 + i)).boots("tiny").build();
        picture.vms.push_back(seen(name_of(200 + i)));
        picture.vms.back().group = "image other";
    }
    EXPECT_LT(risk_with(gibibytes(8), MemoryPolicy::balanced), 1.0);
    for (std::size_t i = 40; i < picture.vms.size(); ++i) picture.vms[i].group.clear();
    EXPECT_EQ(risk_with(gibibytes(8), MemoryPolicy::balanced), risk_with(Bytes(0), MemoryPolicy::balanced));
}

TEST(Admissions, SayWhatSharingAMoveLoses) {
    HostPicture picture = a_picture("h1", gibibytes(64));
    for (int i = 0; i < 3; ++i) {
        picture.vms.push_back(seen(name_of(i)));
        picture.vms.back().group = "kernel tiny ";
    }
    picture.vms.push_back(seen("alone"));
    picture.vms.back().group = "kernel other ";
    picture.sharing.groups["kernel tiny "] = {
        .common = static_cast<double>(mebibytes(200).count()), .variance = 0, .readings = 3};
    picture.ledger.saved = mebibytes(400);
    Pictures pictures;
    pictures[picture.host] = std::make_shared<const HostPicture>(picture);
    const Admissions admissions(std::make_shared<const Pictures>(pictures));
    EXPECT_EQ(admissions.lost_sharing(VmId("vm1")), mebibytes(200));
    EXPECT_EQ(admissions.lost_sharing(VmId("alone")), Bytes(0)) << "with nobody";
    EXPECT_EQ(admissions.lost_sharing(VmId("unknown")), Bytes(0));
}

TEST(AdmissionSource, MakesThemAnewOnlyWhenAHostWasSwept) {
    const auto board = std::make_shared<PictureBoard>();
    const AdmissionSource source(board);
    const auto first = source.now();
    EXPECT_EQ(source.now(), first);
    board->publish(a_picture("h1", gibibytes(8)));
    EXPECT_NE(source.now(), first);
}

}  // namespace
}  // namespace ballast::overcommit
