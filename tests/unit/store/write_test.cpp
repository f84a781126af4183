#include <gmock/gmock.h>

#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

using ballast::test::a_host;
using ballast::test::a_vm;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<void> refuse(std::string message) {
    return fail(Code::conflict, "{}", message);
}

class Writing : public StoreTest {
  protected:
    void SetUp() override { open(); }
};

TEST_F(Writing, IsInTheSnapshotWhenItIsAcknowledged) {
    ASSERT_TRUE(put(a_vm("web1").build()));
    ASSERT_NE(now().vms.find(VmId("web1")), nullptr);
    EXPECT_EQ(now().vms.find(VmId("web1"))->name, "web1");
}

TEST_F(Writing, IsThereAfterReopening) {
    ASSERT_TRUE(put(a_vm("web1").build()));
    ASSERT_TRUE(put(a_host("h1").build()));
    const Vm vm = *now().vms.find(VmId("web1"));
    const Host host = *now().hosts.find(HostId("h1"));
    reopen();
    EXPECT_EQ(*now().vms.find(VmId("web1")), vm);
    EXPECT_EQ(*now().hosts.find(HostId("h1")), host);
    EXPECT_EQ(now().seq, 2U);
}

TEST_F(Writing, AnErrorTakesBackThatChangeAlone) {
    ASSERT_TRUE(put(a_vm("web1").build()));
    const auto failed = write([](Transaction& transaction) {
        Vm vm = *transaction.snapshot().vms.find(VmId("web1"));
        vm.name = "other";
        transaction.put(vm, {"vm.renamed", ""});
        transaction.put(a_vm("web2").build(), {"vm.created", ""});
        transaction.erase(VmId("web1"), {"vm.deleted", ""});
        EXPECT_EQ(transaction.snapshot().vms.size(), 1U);
        return refuse("not today");
    });
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), Code::conflict);
    ASSERT_TRUE(put(a_vm("web3").build()));
    EXPECT_EQ(now().vms.find(VmId("web1"))->name, "web1");
    EXPECT_EQ(now().vms.find(VmId("web2")), nullptr);
    EXPECT_EQ(events().size(), 2U);
    EXPECT_EQ(events().back().seq, 2U);
    reopen();
    EXPECT_EQ(now().vms.find(VmId("web1"))->name, "web1");
    EXPECT_EQ(now().vms.size(), 2U);
}

TEST_F(Writing, AThrowingChangeIsAnInternalErrorOfThatItemAlone) {
    const auto thrown = write([](Transaction& transaction) -> Result<void> {
        transaction.put(a_vm("web1").build(), {"vm.created", ""});
        throw std::runtime_error("a bug");
    });
    ASSERT_FALSE(thrown);
    EXPECT_EQ(thrown.error().code(), Code::internal);
    EXPECT_THAT(thrown.error().chain(), HasSubstr("a bug"));
    EXPECT_TRUE(now().vms.empty());
    EXPECT_TRUE(put(a_vm("web2").build()));
    EXPECT_TRUE(store_->health().writable);
}

TEST_F(Writing, AChangeThatSwallowsAFailureOfTheDatabaseStillFails) {
    const auto failed = write([](Transaction& transaction) -> Result<void> {
        Job job;
        job.id = JobId("j1");
        job.params.text = "{not json";
        try {
            transaction.put(job, {"job.queued", ""});
        } catch (...) {
        }
        return {};
    });
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code(), Code::internal);
    EXPECT_TRUE(now().jobs.empty());
    EXPECT_TRUE(store_->health().writable);
}

TEST_F(Writing, RaisesTheRevisionOnlyWhenTheSpecDiffers) {
    ASSERT_TRUE(put(a_vm("web1").build()));
    Vm vm = *now().vms.find(VmId("web1"));
    EXPECT_EQ(vm.revision, 1U);
    EXPECT_EQ(vm.run_revision, 1U);
    vm.state_reason = "seen";
    ASSERT_TRUE(put(vm));
    EXPECT_EQ(now().vms.find(VmId("web1"))->revision, 1U);
    EXPECT_EQ(now().vms.find(VmId("web1"))->run_revision, 2U);
    vm.spec.vcpus = 7;
    ASSERT_TRUE(put(vm));
    EXPECT_EQ(now().vms.find(VmId("web1"))->revision, 2U);
    EXPECT_EQ(now().vms.find(VmId("web1"))->run_revision, 3U);
}

TEST_F(Writing, RaisesTheRevisionOfAHostForMaintenanceButNotForFacts) {
    ASSERT_TRUE(put(a_host("h1").build()));
    Host host = *now().hosts.find(HostId("h1"));
    host.facts.cpus += 1;
    ASSERT_TRUE(put(host));
    EXPECT_EQ(now().hosts.find(HostId("h1"))->revision, 1U);
    host.maintenance = true;
    ASSERT_TRUE(put(host));
    EXPECT_EQ(now().hosts.find(HostId("h1"))->revision, 2U);
    EXPECT_EQ(now().hosts.find(HostId("h1"))->run_revision, 3U);
}

TEST_F(Writing, RaisesTheRevisionOfOtherKindsWithEveryPut) {
    Job job;
    job.id = JobId("j1");
    ASSERT_TRUE(put(job));
    job.state = JobState::running;
    ASSERT_TRUE(put(job));
    EXPECT_EQ(now().jobs.find(JobId("j1"))->revision, 2U);
}

TEST_F(Writing, APutThatChangesNothingWritesNothing) {
    ASSERT_TRUE(put(a_vm("web1").build()));
    const auto again = put(a_vm("web1").build());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->seq, 1U);
    EXPECT_EQ(events().size(), 1U);
    EXPECT_EQ(now().vms.find(VmId("web1"))->run_revision, 1U);
}

TEST_F(Writing, EraseOfWhatIsNotThereMakesNoEvent) {
    const auto erased = write([](Transaction& transaction) {
        transaction.erase(VmId("nobody"), {"vm.deleted", ""});
        return Result<void>();
    });
    ASSERT_TRUE(erased);
    EXPECT_THAT(events(), IsEmpty());
}

TEST_F(Writing, FindsAVmByItsNameInsideTheTransactionUntilItIsErased) {
    ASSERT_TRUE(put(a_vm("web1").id("v1").build()));
    const auto written = write([](Transaction& transaction) -> Result<void> {
        EXPECT_EQ(transaction.find_vm_named("web1"), VmId("v1"));
        EXPECT_EQ(transaction.find_vm_named("web"), std::nullopt);
        transaction.put(a_vm("web2").id("v2").build(), {"vm.created", ""});
        EXPECT_EQ(transaction.find_vm_named("web2"), VmId("v2"));
        transaction.erase(VmId("v1"), {"vm.deleted", ""});
        EXPECT_EQ(transaction.find_vm_named("web1"), std::nullopt);
        return {};
    });
    EXPECT_TRUE(written);
}

TEST_F(Writing, SeesItsOwnChangesInsideTheTransaction) {
    const auto written = write([](Transaction& transaction) -> Result<void> {
        transaction.put(a_vm("web1").build(), {"vm.created", ""});
        if (transaction.snapshot().vms.find(VmId("web1")) == nullptr) return refuse("not seen");
        return {};
    });
    EXPECT_TRUE(written) << written.error().chain();
}

TEST_F(Writing, EventsSayWhoAndWhyAndWhatIsThereAfterwards) {
    clock_->advance(Milliseconds(1234));
    const auto written = write(
        [](Transaction& transaction) {
            transaction.put(a_vm("web1").build(), {"vm.created", "created by hand"});
            transaction.erase(VmId("web1"), {"vm.deleted", ""});
            return Result<void>();
        },
        WriteContext{.actor = "ann", .origin = Origin::outside, .job = JobId("j1")});
    ASSERT_TRUE(written);
    const auto log = events();
    ASSERT_EQ(log.size(), 2U);
    EXPECT_EQ(log[0].kind, "vm.created");
    EXPECT_EQ(log[0].message, "created by hand");
    EXPECT_EQ(log[0].subject_kind, "vm");
    EXPECT_EQ(log[0].subject_id, "web1");
    EXPECT_EQ(log[0].subject_name, "web1");
    EXPECT_EQ(log[0].actor, "ann");
    EXPECT_EQ(log[0].origin, Origin::outside);
    EXPECT_EQ(log[0].job, JobId("j1"));
    EXPECT_EQ(log[0].time, clock_->now());
    const auto after = parse_as<Vm>(log[0].after.text, "");
    ASSERT_TRUE(after);
    EXPECT_EQ(after->id, VmId("web1"));
    EXPECT_EQ(log[1].after.text, "null");
}

TEST_F(Writing, TokenEventsCarryNoDigest) {
    Token token;
    token.id = TokenId("t1");
    token.name = "ann";
    token.sha256 = "0123456789abcdef";
    ASSERT_TRUE(put(token));
    EXPECT_THAT(events().front().after.text, ::testing::Not(HasSubstr("0123456789abcdef")));
    EXPECT_THAT(events().front().after.text, HasSubstr("ann"));
    reopen();
    EXPECT_EQ(now().tokens.find(TokenId("t1"))->sha256, "0123456789abcdef");
}

TEST_F(Writing, AnEmittedEventTouchesNoRow) {
    ASSERT_TRUE(put(a_vm("web1").build()));
    const auto written = write([](Transaction& transaction) {
        Event event;
        event.kind = "vm.alerted";
        event.subject_kind = "vm";
        event.subject_id = "web1";
        transaction.emit(event);
        return Result<void>();
    });
    ASSERT_TRUE(written);
    EXPECT_EQ(written->seq, 2U);
    EXPECT_EQ(events().back().actor, "ballast");
    EXPECT_EQ((*at(2))->vms.size(), 1U);
}

TEST_F(Writing, RemembersAnAnswerFor24Hours) {
    const auto find = [&] {
        const auto found = std::make_shared<std::optional<RememberedAnswer>>();
        EXPECT_TRUE(write([found](Transaction& transaction) {
            *found = transaction.find_answer("ann", "k1");
            return Result<void>();
        }));
        return *found;
    };
    EXPECT_FALSE(find());
    ASSERT_TRUE(write([](Transaction& transaction) {
        transaction.remember_answer("ann", "k1", {"abc", 202, "/api/v1/jobs/1", "{}"});
        return Result<void>();
    }));
    reopen();
    ASSERT_TRUE(find());
    EXPECT_EQ(find()->location, "/api/v1/jobs/1");
    EXPECT_EQ(find()->status, 202);
    clock_->advance(std::chrono::hours(25));
    EXPECT_FALSE(find());
}

TEST_F(Writing, ManyWritersAtOnceGetGaplessEventsInOneOrder) {
    constexpr int writers = 200;
    int done = 0;
    for (int i = 0; i < writers; ++i)
        boost::asio::co_spawn(io_,
                              store_->write({},
                                            [i](Transaction& transaction) -> Result<void> {
                                                if (i % 5 == 0) return refuse("every fifth");
                                                transaction.put(a_vm(fmt::format("vm{}", i)).build(),
                                                                {"vm.created", ""});
                                                return {};
                                            }),
                              [&done](std::exception_ptr, Result<Committed>) { ++done; });
    ASSERT_TRUE(ballast::testing::run_until(io_, [&] { return done == writers; }));
    EXPECT_EQ(now().vms.size(), 160U);
    const auto log = events();
    ASSERT_EQ(log.size(), 160U);
    for (std::size_t i = 0; i < log.size(); ++i) EXPECT_EQ(log[i].seq, i + 1);
}

TEST_F(Writing, SubscribersGetEveryBatchInOrderBeforeTheWriterIsAnswered) {
    std::vector<std::uint64_t> seen;
    const auto subscription = store_->subscribe(io_.get_executor(), [&](const std::vector<Event>& batch) {
        for (const Event& event : batch) seen.push_back(event.seq);
        EXPECT_GE(store_->snapshot()->seq, batch.back().seq);
    });
    ASSERT_TRUE(put(a_vm("web1").build()));
    EXPECT_THAT(seen, ElementsAre(1));
    ASSERT_TRUE(put(a_vm("web2").build()));
    ASSERT_TRUE(put(a_vm("web3").build()));
    EXPECT_THAT(seen, ElementsAre(1, 2, 3));
}

TEST_F(Writing, AnEndedSubscriptionHearsNothing) {
    int calls = 0;
    auto subscription = store_->subscribe(io_.get_executor(), [&](const std::vector<Event>&) { ++calls; });
    subscription.reset();
    ASSERT_TRUE(put(a_vm("web1").build()));
    EXPECT_EQ(calls, 0);
}

TEST_F(Writing, AfterCloseIsRefused) {
    store_->close();
    const auto late = put(a_vm("web1").build());
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), Code::unavailable);
    EXPECT_FALSE(store_->health().writable);
    EXPECT_FALSE(ballast::testing::run(io_, store_->events({})));
}

TEST_F(Writing, WhatIsQueuedAtCloseIsStillWritten) {
    int done = 0;
    for (int i = 0; i < 50; ++i)
        boost::asio::co_spawn(io_,
                              store_->write({},
                                            [i](Transaction& transaction) -> Result<void> {
                                                transaction.put(a_vm(fmt::format("vm{}", i)).build(),
                                                                {"vm.created", ""});
                                                return {};
                                            }),
                              [&done](std::exception_ptr, Result<Committed> result) { done += result ? 1 : 0; });
    io_.poll();
    store_->close();
    ASSERT_TRUE(ballast::testing::run_until(io_, [&] { return done == 50; }));
    reopen();
    EXPECT_EQ(now().vms.size(), 50U);
}

}  // namespace
}  // namespace ballast::store
