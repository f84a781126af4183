// Before a start: a guest that boots finds all the memory that it may fill, and nobody comes into danger by it.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gmock/gmock.h>

#include "tests/unit/overcommit/memory_fixture.h"

namespace ballast::testing {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr Bytes maximum = gibibytes(1);
constexpr Bytes needed = maximum + mebibytes(112);

/// Four guests of 1 GiB on 4 GiB that need little and have filled most of what they have with page cache.
class StartRoom : public MemoryFixture {
  public:
    StartRoom() {
        for (const char* name : {"a", "b", "c", "d"}) make_guest(name, wanting(mebibytes(300), mebibytes(500)));
        look_for(Seconds(60));
    }
    static drivers::simulated::MemoryLoad wanting(Bytes programs, Bytes cache) {
        drivers::simulated::MemoryLoad load;
        load.wants = programs;
        load.cache = cache;
        return load;
    }
    std::string ask(const std::string& vm, Bytes bytes = needed) {
        auto asked = run(*cluster.io, keeper->room_for(VmId(vm), bytes));
        EXPECT_TRUE(asked) << asked.error().chain();
        return asked ? *asked : "failed";
    }
    /// Asks every two seconds, as a job does.
    std::string ask_for(Seconds time, const std::string& name, Bytes bytes = needed) {
        std::string why = ask(name, bytes);
        for (Seconds passed{0}; !why.empty() && passed < time; passed += Seconds(2)) {
            cluster.world->advance(Seconds(2));
            why = ask(name, bytes);
        }
        return why;
    }
    [[nodiscard]] Bytes balloons() const {
        Bytes all;
        for (const auto& vm : picture()->vms) all += vm.balloon;
        return all;
    }
};

TEST_F(StartRoom, OthersAreMadeSmallerForAVmThatIsToBeStarted) {
    const Bytes before = balloons();
    EXPECT_THAT(ask("new"), HasSubstr("it may fill 1.1 GiB before its balloon can be moved"));
    EXPECT_EQ(ask_for(Seconds(30), "new"), "");
    EXPECT_LT(balloons(), before);
    for (const auto& vm : picture()->vms) EXPECT_GE(vm.balloon, vm.working_set.size) << vm.name;
    EXPECT_EQ(picture()->level, memory::Level::comfortable);
}

TEST_F(StartRoom, WhoWasLetStartHasItsRoomKeptUntilItIsSeen) {
    ASSERT_EQ(ask_for(Seconds(30), "first"), "");
    EXPECT_THAT(ask_for(Seconds(30), "second"), Not(IsEmpty())) << "there is no room for two";
    look_for(Seconds(90));
    EXPECT_EQ(ask_for(Seconds(30), "second"), "") << "the first never came";
}

TEST_F(StartRoom, WhoAskedFirstIsServedFirst) {
    EXPECT_THAT(ask("first"), Not(IsEmpty()));
    cluster.world->advance(Seconds(2));
    EXPECT_THAT(ask("second"), Not(IsEmpty()));
    std::string first = "waits";
    for (int i = 0; i < 20 && !first.empty(); ++i) {
        cluster.world->advance(Seconds(2));
        EXPECT_THAT(ask("second"), Not(IsEmpty()));
        first = ask("first");
    }
    EXPECT_EQ(first, "");
}

TEST_F(StartRoom, WhoDoesNotAskAnyMoreHasGivenUpAndOthersGrowAgain) {
    ASSERT_THAT(ask("gone"), Not(IsEmpty()));
    look_for(Seconds(10));
    const Bytes squeezed = balloons();
    look_for(Seconds(120));
    EXPECT_GT(balloons(), squeezed);
}

TEST_F(StartRoom, WhatBootsMayStillFillIsThereOnceItIsKnown) {
    look_for(Seconds(1'800));
    const Bytes room = *picture()->start_room;
    make_guest("booting", wanting(mebibytes(100), Bytes(0)));
    look_for(Seconds(10));
    EXPECT_GT(*picture()->start_room, room - mebibytes(700)) << "a job would wait, so placement does not refuse";
    const Bytes most = *picture()->start_room - mebibytes(200);
    EXPECT_THAT(ask("next", most), HasSubstr("0 B are there")) << "it has touched 160 MiB of its 1 GiB";
    EXPECT_EQ(ask_for(Seconds(60), "next", most), "");
}

TEST_F(StartRoom, WhoIsAskedForByAHostThatAnswersSlowlyStillWaits) {
    std::optional<std::string> answer;
    cluster.world->faults().hang("h1");
    asio::co_spawn(*cluster.io, keeper->look(), asio::detached);
    cluster.io->poll();
    asio::co_spawn(
        *cluster.io, keeper->room_for(VmId("new"), gibibytes(100)),
        [&](const std::exception_ptr&, const Result<std::string>& said) { answer = said.value_or("failed"); });
    cluster.io->poll();
    for (int i = 0; i < 10; ++i) {  // more than the 15 s after which one that does not ask again has given up
        cluster.world->advance(Seconds(2));
        cluster.io->poll();
    }
    cluster.world->faults().release("h1");
    ASSERT_TRUE(cluster.until([&] { return answer.has_value(); }));
    EXPECT_THAT(*answer, HasSubstr("it may fill 100 GiB before its balloon can be moved"));
}

TEST_F(StartRoom, OnAHostWhoseMemoryNobodyKeepsEverythingMayBeStarted) {
    set_policy(MemoryPolicy::none);
    look_for(Seconds(10));
    EXPECT_EQ(ask("new", gibibytes(100)), "");
    EXPECT_EQ(picture()->start_room, std::nullopt);
}

TEST_F(StartRoom, WhereMemoryWasNeverReadNobodyCanSayAndEverythingMayBeStarted) {
    begin();
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::read_memory,
                                      Error(Code::unimplemented, "no statistics"));
    EXPECT_EQ(ask("new", gibibytes(100)), "");
}

TEST_F(StartRoom, WhereMemoryCanNoLongerBeReadItIsSaid) {
    begin();  // also where it was not read yet
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::read_memory,
                                      Error(Code::unavailable, "libvirtd restarts"));
    const auto asked = run(*cluster.io, keeper->room_for(VmId("new"), needed));
    ASSERT_FALSE(asked);
    EXPECT_THAT(asked.error().chain(), HasSubstr("libvirtd restarts"));
}

TEST_F(StartRoom, AVmThatRunsAlreadyNeedsNone) {
    EXPECT_EQ(ask(cluster.vm("a")->id.str(), gibibytes(100)), "");
}

}  // namespace
}  // namespace ballast::testing
