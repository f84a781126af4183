// The executor with work that blocks as long as the test says: libvirt's test driver gives connections at once.

#include "drivers/libvirt/executor.h"

#include <algorithm>
#include <future>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include "drivers/libvirt/roles.h"
#include "tests/support/run.h"
#include "tests/unit/drivers_libvirt/matchers.h"

namespace ballast::drivers::libvirt {
namespace {

using ballast::testing::Refuses;
using ballast::testing::Succeeds;
using std::chrono::milliseconds;
using Answer = std::optional<Result<int>>;

/// A door that many calls wait at.
class Door {
  public:
    Door() : open_(promise_.get_future()) {}
    ~Door() { let_through(); }
    void let_through() {
        if (!std::exchange(is_open_, true)) promise_.set_value();
    }
    [[nodiscard]] Executor::Work<int> work() {
        return [open = open_, count = count_](virConnectPtr) -> Result<int> {
            ++count->entered;
            const int now = ++count->waiting;
            for (int most = count->most; now > most && !count->most.compare_exchange_weak(most, now);) {
            }
            open.wait();
            --count->waiting;
            return 7;
        };
    }
    [[nodiscard]] int inside() const { return count_->entered; }
    [[nodiscard]] int most_at_once() const { return count_->most; }

  private:
    std::promise<void> promise_;
    std::shared_future<void> open_;
    struct Count {
        std::atomic<int> entered{0};
        std::atomic<int> waiting{0};
        std::atomic<int> most{0};
    };
    std::shared_ptr<Count> count_ = std::make_shared<Count>();
    bool is_open_ = false;
};

Executor::Work<int> at_once() {
    return [](virConnectPtr) -> Result<int> { return 1; };
}

class ExecutorTest : public ::testing::Test {
  protected:
    void open(Tuning tuning = {}, Milliseconds call_timeout = Milliseconds(15'000),
              const char* uri = "test:///default") {
        HostTarget target{
            .id = HostId("h1"), .uri = uri, .connect_timeout = Milliseconds(2'000), .call_timeout = call_timeout};
        const auto links = links_;
        executor_ = Executor::start(
            target, *parse_uri(uri), [links](const DriverEvent& event) { links->add(event); }, nullptr, tuning);
    }
    void open_up(Tuning tuning = {}, Milliseconds call_timeout = Milliseconds(15'000)) {
        open(tuning, call_timeout);
        ASSERT_TRUE(until([&] { return executor_->link() == LinkState::up; }));
    }
    void TearDown() override {
        if (executor_) executor_->close();
        io_.poll();
    }

    [[nodiscard]] bool until(const std::function<bool()>& condition) {
        return ballast::testing::run_until(io_, condition);
    }
    [[nodiscard]] Result<int> call(Executor::Work<int> work, CallSpec spec = {.what = "do it"}) {
        return ballast::testing::run(io_, Executor::call<int>(executor_, std::move(spec), std::move(work)));
    }
    std::shared_ptr<Answer> begin(Executor::Work<int> work, CallSpec spec = {.what = "wait"}) {
        return spawn(Executor::call<int>(executor_, std::move(spec), std::move(work)));
    }
    std::shared_ptr<Answer> begin_job(Executor::Work<int> work, CallSpec spec = {.what = "move it"}) {
        return spawn(Executor::job<int>(executor_, std::move(spec), std::move(work)));
    }
    std::shared_ptr<Answer> spawn(Task<int> task) {
        auto answer = std::make_shared<Answer>();
        boost::asio::co_spawn(io_, std::move(task),
                              [answer](std::exception_ptr, Result<int> result) { *answer = std::move(result); });
        io_.poll();
        io_.restart();
        return answer;
    }

    struct Links {
        void add(const DriverEvent& event) {
            const std::scoped_lock lock(mutex);
            all.push_back(event);
        }
        [[nodiscard]] bool has(LinkState state) {
            const std::scoped_lock lock(mutex);
            return std::any_of(all.begin(), all.end(),
                               [&](const auto& e) { return e.kind == DriverEvent::Kind::link && e.link == state; });
        }
        std::mutex mutex;
        std::vector<DriverEvent> all;
    };

    boost::asio::io_context io_;
    std::shared_ptr<Links> links_ = std::make_shared<Links>();
    std::shared_ptr<Executor> executor_;
};

TEST_F(ExecutorTest, RunsACallAndGivesItsValue) {
    open_up();
    EXPECT_EQ(call([](virConnectPtr c) -> Result<int> { return virConnectNumOfDomains(c); }), 1)
        << "the test driver's own";
    EXPECT_TRUE(until([&] { return links_->has(LinkState::up); }));
}

TEST_F(ExecutorTest, RefusesAtOnceWhileNotConnected) {
    open({}, Milliseconds(15'000), "qemu+unix:///system?socket=/nonexistent/sock");
    EXPECT_TRUE(until([&] { return executor_->link() == LinkState::unreachable; }));
    EXPECT_THAT(call(at_once()), Refuses(Code::unavailable, "not connected"));
    const auto job = begin_job(at_once());
    EXPECT_TRUE(until([&] { return job->has_value(); }));
    EXPECT_THAT(**job, Refuses(Code::unavailable, "not connected"));
    EXPECT_TRUE(links_->has(LinkState::unreachable));
}

TEST_F(ExecutorTest, KeepsAtMostFourCallsInFlight) {
    open_up();
    Door door;
    std::vector<std::shared_ptr<Answer>> answers;
    for (int i = 0; i < 6; ++i) answers.push_back(begin(door.work()));
    EXPECT_TRUE(until([&] { return door.inside() == 4; }));
    door.let_through();
    EXPECT_TRUE(
        until([&] { return std::all_of(answers.begin(), answers.end(), [](auto& a) { return a->has_value(); }); }));
    EXPECT_EQ(door.inside(), 6);
    EXPECT_EQ(door.most_at_once(), 4);
    for (auto& answer : answers) EXPECT_EQ(**answer, 7);
}

TEST_F(ExecutorTest, RunsOneCallPerDomainAtATimeAndOthersBesideIt) {
    open_up();
    Door door;
    const CallSpec about_a{.what = "wait", .domain = VmId("a")};
    const auto first = begin(door.work(), about_a);
    EXPECT_TRUE(until([&] { return door.inside() == 1; }));
    const auto second = begin(at_once(), about_a);
    EXPECT_EQ(call(at_once(), {.what = "do it", .domain = VmId("b")}), 1) << "another domain passes by";
    EXPECT_FALSE(second->has_value());
    door.let_through();
    EXPECT_TRUE(until([&] { return second->has_value(); }));
    EXPECT_EQ(**second, 1);
}

TEST_F(ExecutorTest, ADeadlineEndsTheWaitingNotTheCall) {
    open_up();
    Door door;
    EXPECT_THAT(call(door.work(), {.what = "start domain a", .domain = VmId("a"), .deadline = Milliseconds(150)}),
                Refuses(Code::deadline_exceeded, "outcome is unknown"));
    EXPECT_THAT(call(at_once(), {.what = "stop domain a", .domain = VmId("a")}), Refuses(Code::unavailable, "overdue"));
    EXPECT_EQ(call(at_once()), 1) << "the host itself is asked on";
    EXPECT_EQ(executor_->link(), LinkState::up) << "one domain's call says nothing about the host";
    door.let_through();
    EXPECT_TRUE(until([&] { return call(at_once(), {.what = "x", .domain = VmId("a")}).has_value(); }))
        << "it is responsive again";
}

TEST_F(ExecutorTest, ACallThatHadNotBegunIsKnownNotToHaveBeenDone) {
    open_up();
    Door door;
    std::vector<std::shared_ptr<Answer>> answers;
    for (int i = 0; i < 4; ++i) answers.push_back(begin(door.work()));
    EXPECT_TRUE(until([&] { return door.inside() == 4; }));
    EXPECT_THAT(call(at_once(), {.what = "do it", .deadline = Milliseconds(150)}),
                Refuses(Code::unavailable, "nothing was done"));
}

TEST_F(ExecutorTest, ReplacesOverdueThreadsAndThenTheConnection) {
    open_up();
    Door door;
    const CallSpec soon{.what = "hang", .deadline = Milliseconds(120), .expected_slow = true};
    for (int i = 1; i <= 4; ++i) {
        EXPECT_THAT(call(door.work(), soon), Refuses(Code::deadline_exceeded, "unknown"));
        EXPECT_EQ(call(at_once()), 1) << "after " << i << " overdue calls";
    }
    EXPECT_THAT(call(door.work(), soon), Refuses(Code::deadline_exceeded, "unknown"));
    EXPECT_TRUE(until([&] { return links_->has(LinkState::unreachable); })) << "the fifth retires the connection";
    EXPECT_TRUE(until([&] { return executor_->link() == LinkState::up; })) << "and a fresh one is opened";
    EXPECT_EQ(call(at_once()), 1);
    EXPECT_EQ(door.inside(), 5) << "the overdue ones still hang";
}

TEST_F(ExecutorTest, OpensNoMoreConnectionsOnceTooManyThreadsHang) {
    Tuning tuning;
    tuning.overdue_total = 5;
    open_up(tuning);
    Door door;
    for (int i = 0; i < 5; ++i)
        EXPECT_THAT(call(door.work(), {.what = "hang", .deadline = Milliseconds(120), .expected_slow = true}),
                    ::testing::Not(Succeeds()));
    EXPECT_TRUE(until([&] { return executor_->link() == LinkState::unreachable; }));
    EXPECT_FALSE(
        ballast::testing::run_until(io_, [&] { return executor_->link() == LinkState::up; }, milliseconds(600)));
    door.let_through();
    EXPECT_TRUE(until([&] { return executor_->link() == LinkState::up; })) << "they have returned";
}

TEST_F(ExecutorTest, AHostThatAnswersLateIsSlowUntilItAnswersInTime) {
    Tuning tuning;
    tuning.slow_after = Milliseconds(100);
    open_up(tuning);
    Door door;
    const auto listing = begin(door.work(), {.what = "list the domains"});
    EXPECT_TRUE(until([&] { return executor_->link() == LinkState::slow; }));
    door.let_through();
    EXPECT_TRUE(until([&] { return executor_->link() == LinkState::up; }));
    EXPECT_TRUE(links_->has(LinkState::slow));
}

TEST_F(ExecutorTest, JobsHaveConnectionsOfTheirOwnAndALimit) {
    open_up();
    Door door;
    std::vector<std::shared_ptr<Answer>> jobs;
    for (int i = 0; i < 8; ++i) jobs.push_back(begin_job(door.work()));
    EXPECT_TRUE(until([&] { return door.inside() == 8; }));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(call(at_once()), 1) << "the control connection is free";
    const auto ninth = begin_job(at_once());
    EXPECT_TRUE(until([&] { return ninth->has_value(); }));
    EXPECT_THAT(**ninth, Refuses(Code::resource_exhausted, "8 long jobs"));
    door.let_through();
    EXPECT_TRUE(until([&] { return std::all_of(jobs.begin(), jobs.end(), [](auto& a) { return a->has_value(); }); }));
    EXPECT_TRUE(until([&] { return call(at_once()).has_value(); }));
}

/// libvirt's own test driver has one domain, and keeps what is done to it while a connection is open.
class LongCalls : public ExecutorTest {
  protected:
    void SetUp() override {
        open_up();
        compute_ = make_compute(executor_);
        for (const auto& domain : run(compute_->list_domains()).value())
            if (domain.name == "test") vm_ = domain.id;
    }
    template <class T>
    Result<T> run(Task<T> task) {
        return ballast::testing::run(io_, std::move(task));
    }
    [[nodiscard]] bool runs() { return run(compute_->read_domain(vm_))->state == DomainState::running; }
    using Answers = std::vector<std::shared_ptr<Answer>>;
    /// Takes every place of the control lane.
    Answers hold_control(Door& door) {
        Answers answers;
        for (int i = 0; i < 4; ++i) answers.push_back(begin(door.work()));
        EXPECT_TRUE(until([&] { return door.inside() == 4; }));
        return answers;
    }
    /// Takes every connection that long jobs may have. One that has answered may be taken a moment longer: then the
    /// next job is refused, and another one begun.
    Answers hold_jobs(Door& door) {
        Answers answers;
        for (int i = 0; i < 8; ++i) {
            answers.push_back(begin_job(door.work()));
            EXPECT_TRUE(until([&] {
                if (answers.back()->has_value()) answers.back() = begin_job(door.work());
                return door.inside() == i + 1;
            }));
        }
        return answers;
    }
    [[nodiscard]] bool ended(Door& door, const Answers& answers) {
        door.let_through();
        return until([&] { return std::ranges::all_of(answers, [](auto& one) { return one->has_value(); }); });
    }

    std::unique_ptr<Compute> compute_;
    VmId vm_;
};

TEST_F(LongCalls, ASaveTakesNoneOfTheFourControlCalls) {
    Door door;
    const auto control = hold_control(door);
    EXPECT_THAT(run(compute_->save(vm_)), Succeeds()) << "though none of the four is free";
    EXPECT_TRUE(ended(door, control));
    EXPECT_FALSE(runs());
    EXPECT_THAT(run(compute_->start(vm_)), Succeeds());
    EXPECT_TRUE(runs());
}

TEST_F(LongCalls, AStartFromASavedImageHasAConnectionOfItsOwnAndAnotherStartDoesNot) {
    Door door;
    const auto jobs = hold_jobs(door);
    ASSERT_THAT(run(compute_->destroy(vm_)), Succeeds());
    EXPECT_THAT(run(compute_->start(vm_)), Succeeds()) << "it was not saved: a control call";
    EXPECT_THAT(run(compute_->save(vm_)), Refuses(Code::resource_exhausted, "can't save domain"));
    EXPECT_TRUE(runs());
    EXPECT_TRUE(ended(door, jobs));
    ASSERT_THAT(run(compute_->save(vm_)), Succeeds());
    Door second;
    const auto more = hold_jobs(second);
    EXPECT_THAT(run(compute_->start(vm_)), Refuses(Code::resource_exhausted, "can't restore domain"));
    EXPECT_FALSE(runs()) << "nothing was done";
    EXPECT_TRUE(ended(second, more));
    EXPECT_THAT(run(compute_->start(vm_)), Succeeds());
    EXPECT_TRUE(runs());
}

TEST_F(ExecutorTest, ClosingEndsEveryWaitAtOnceAndRefusesWhatComesLater) {
    open_up();
    Door door;
    const auto running = begin(door.work());
    const auto job = begin_job(door.work());
    EXPECT_TRUE(until([&] { return door.inside() == 2; }));
    executor_->close();
    EXPECT_TRUE(until([&] { return running->has_value() && job->has_value(); }));
    EXPECT_THAT(**running, Refuses(Code::unavailable, "closed"));
    EXPECT_THAT(**job, Refuses(Code::unavailable, "closed"));
    EXPECT_THAT(call(at_once()), Refuses(Code::unavailable, "closed"));
    executor_->close();
}

TEST_F(ExecutorTest, ACancelledWaitEndsWhileItsCallGoesOn) {
    open_up();
    Door door;
    boost::asio::cancellation_signal signal;
    bool ended = false;
    boost::asio::co_spawn(
        io_, Executor::call<int>(executor_, {.what = "wait"}, door.work()),
        boost::asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, Result<int>) { ended = true; }));
    EXPECT_TRUE(until([&] { return door.inside() == 1; }));
    signal.emit(boost::asio::cancellation_type::terminal);
    EXPECT_TRUE(until([&] { return ended; }));
}

TEST_F(ExecutorTest, WorkThatThrowsIsAnError) {
    open_up();
    EXPECT_THAT(call([](virConnectPtr) -> Result<int> { throw std::runtime_error("boom"); }),
                Refuses(Code::internal, "boom"));
}

}  // namespace
}  // namespace ballast::drivers::libvirt
