// Reserved room and the VMs that take it, in a whole daemon core on simulated hosts.
#include "daemon/jobs/reservations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/try.h"
#include "daemon/jobs/reservation_keeper.h"
#include "scheduler/host_view.h"
#include "tests/support/sim_cluster.h"

namespace ballast::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// One VM of this size in the API's form.
std::string vm_json(const std::string& name, Bytes memory, const std::string& more = "") {
    return fmt::format(R"({{"name":"{}","spec":{{"memory_bytes":{},"disks":[{{"size_bytes":67108864}}]}}{}}})", name,
                       memory.count(), more);
}

std::string taking(const std::string& reservation) {
    return fmt::format(R"(,"reservation":"{}")", reservation);
}

std::string error_of(const Result<Job>& job) {
    if (!job) return job.error().chain();
    return job->error ? job->error->message : "";
}

class Reservations : public ::testing::Test {
  public:
    /// Reserves room for these VMs where the scheduler wants it.
    Result<void> reserve(const std::string& name, const std::vector<jobs::BatchVm>& vms, Seconds lasts = Seconds(600)) {
        jobs::ReservationAsk ask;
        ask.name = name;
        ask.vms = vms;
        ask.lasts = lasts;
        const auto written = cluster.write([&](store::Transaction& transaction) -> Result<void> {
            const auto snapshot = std::make_shared<const Snapshot>(transaction.snapshot());
            BALLAST_TRY(const auto members, jobs::batch_of(*snapshot, ask.vms, "shared"));
            BALLAST_CHECK(jobs::reserve(transaction, ask, jobs::place_batch(snapshot, members, {})));
            return {};
        });
        if (!written) return std::unexpected(written.error());
        return {};
    }
    [[nodiscard]] static jobs::BatchVm vm(const std::string& name, Bytes memory) {
        jobs::BatchVm one{.name = name, .spec = {}, .host = {}};
        one.spec.memory = memory;
        return one;
    }
    /// What is left of a host but a little, so that nobody else fits.
    [[nodiscard]] Bytes nearly_all(const std::string& host = "h1") const {
        const Host& row = *cluster.host(host);
        VmSpec spec;
        spec.memory = usable_memory(row);
        return usable_memory(row) - scheduler::qemu_overhead(spec, accelerator_of(row)) * 2;
    }
    [[nodiscard]] std::vector<std::string> places() const {
        std::vector<std::string> names;
        for (const auto& one : jobs::list_reservations(*cluster.snapshot()))
            for (const auto& claim : one.claims) names.push_back(claim.name);
        return names;
    }
    void look() {
        jobs::Services services{.executor = cluster.io->get_executor(),
                                .store = cluster.store,
                                .hosts = nullptr,
                                .observer = nullptr,
                                .clock = cluster.world,
                                .ids = nullptr,
                                .progress = nullptr,
                                .settings = {},
                                .migrations = {},
                                .plans = {}};
        const auto keeper = std::make_shared<jobs::ReservationKeeper>(services);
        const auto looked = run(*cluster.io, keeper->look());
        EXPECT_TRUE(looked) << looked.error().chain();
    }

    SimCluster cluster{1};
};

TEST_F(Reservations, AVmTakesTheRoomThatIsReservedForItAndNobodyElseDoes) {
    ASSERT_TRUE(reserve("shop", {vm("web1", nearly_all())}));
    const auto other = cluster.do_job("vm.create", "", vm_json("other", mebibytes(512)));
    EXPECT_THAT(error_of(other), AllOf(HasSubstr("memory_fit"), HasSubstr("h1")));
    const auto job = cluster.do_job("vm.create", "", vm_json("web1", nearly_all(), taking("shop")));
    ASSERT_TRUE(job) << job.error().chain();
    EXPECT_EQ(job->state, JobState::succeeded) << error_of(job);
    EXPECT_EQ(cluster.vm("web1")->state, VmState::running);
    EXPECT_TRUE(cluster.snapshot()->claims.empty()) << "the place is used up";
}

TEST_F(Reservations, ACreateThatFailsLeavesThePlaceToTheNext) {
    ASSERT_TRUE(reserve("shop", {vm("web1", nearly_all())}));
    cluster.world->faults().fail_next("h1", drivers::simulated::Call::start,
                                      Error(Code::failed_precondition, "no such CPU"),
                                      drivers::simulated::When::before_effect);
    const auto failed = cluster.do_job("vm.create", "", vm_json("web1", nearly_all(), taking("shop")));
    EXPECT_THAT(error_of(failed), HasSubstr("no such CPU"));
    EXPECT_THAT(places(), ElementsAre("shop/web1"));
    const auto again = cluster.do_job("vm.create", "", vm_json("web2", nearly_all(), taking("shop")));
    EXPECT_EQ(error_of(again), "");
    EXPECT_THAT(places(), IsEmpty());
}

TEST_F(Reservations, TwoAtOnceNeverGetTheSameRoom) {
    const auto before = cluster.snapshot();
    const auto members = jobs::batch_of(*before, {vm("web1", nearly_all())}, "shared");
    ASSERT_TRUE(members);
    const auto late = jobs::place_batch(before, *members, {});
    ASSERT_TRUE(late.decision.placed);
    ASSERT_TRUE(reserve("first", {vm("web1", nearly_all())}));
    const auto written = cluster.write([&](store::Transaction& transaction) -> Result<void> {
        jobs::ReservationAsk ask;
        ask.name = "second";
        BALLAST_CHECK(jobs::reserve(transaction, ask, late));
        return {};
    });
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code(), Code::resource_exhausted);
    EXPECT_THAT(places(), ElementsAre("first/web1"));
}

TEST_F(Reservations, TwoVmsNeverTakeOnePlace) {
    ASSERT_TRUE(reserve("shop", {vm("web1", nearly_all())}));
    const auto first = cluster.queue("vm.create", "", vm_json("a", nearly_all(), taking("shop")));
    const auto second = cluster.queue("vm.create", "", vm_json("b", nearly_all(), taking("shop")));
    ASSERT_TRUE(first) << first.error().chain();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Code::conflict);
    EXPECT_THAT(second.error().message(), AllOf(HasSubstr("shop"), HasSubstr("without the reservation")));
    EXPECT_EQ(cluster.wait(first->id)->state, JobState::succeeded);
}

TEST_F(Reservations, APlaceThatIsBeingTakenNeitherExpiresNorIsLetGo) {
    ASSERT_TRUE(reserve("shop", {vm("web1", nearly_all())}, Seconds(60)));
    const auto job = cluster.queue("vm.create", "", vm_json("web1", nearly_all(), taking("shop")));
    ASSERT_TRUE(job);
    cluster.world->advance(Milliseconds(61'000));
    look();
    EXPECT_THAT(places(), ElementsAre("shop/web1"));
    const auto let_go = cluster.write([](store::Transaction& transaction) -> Result<void> {
        BALLAST_CHECK(jobs::release(transaction, "shop"));
        return {};
    });
    ASSERT_FALSE(let_go);
    EXPECT_THAT(let_go.error().message(), AllOf(HasSubstr("VM web1"), HasSubstr("wait until it is created")));
    EXPECT_EQ(cluster.wait(job->id)->state, JobState::succeeded);
}

TEST_F(Reservations, OutliveARestartAndExpireByTheClockAfterIt) {
    ASSERT_TRUE(reserve("shop", {vm("web1", nearly_all())}, Seconds(3'600)));
    cluster.restart();
    look();
    EXPECT_THAT(places(), ElementsAre("shop/web1"));
    cluster.world->advance(Milliseconds(3'600'000));
    cluster.restart();
    EXPECT_THAT(places(), ElementsAre("shop/web1"));
    look();
    EXPECT_THAT(places(), IsEmpty());
}

TEST_F(Reservations, AVmTakesThePlaceOfItsNameOrTheFirstThatIsLargeEnough) {
    ASSERT_TRUE(reserve("shop", {vm("a", mebibytes(64)), vm("b", mebibytes(256)), vm("c", mebibytes(256))}));
    const auto place_for = [&](const std::string& name, Bytes memory, const std::string& reservation) {
        jobs::VmCreateParams params;
        params.name = name;
        params.spec.memory = memory;
        params.reservation = reservation;
        const auto place = jobs::find_place(*cluster.snapshot(), params, cluster.world->now());
        return place ? (*place)->name : place.error().message();
    };
    EXPECT_EQ(place_for("c", mebibytes(64), "shop"), "shop/c");
    EXPECT_EQ(place_for("x", mebibytes(64), "shop"), "shop/a");
    EXPECT_EQ(place_for("a", mebibytes(128), "shop"), "shop/b");
    EXPECT_EQ(place_for("x", mebibytes(64), "shop/b"), "shop/b");
    EXPECT_THAT(place_for("x", gibibytes(1), "shop"),
                AllOf(HasSubstr("reservation shop"), HasSubstr("its largest open place"), HasSubstr("ask for less")));
    EXPECT_THAT(place_for("x", mebibytes(64), "sale"), HasSubstr("nothing is reserved as 'sale'"));
}

TEST_F(Reservations, TheHostThatIsNamedMustBeThatOfAPlace) {
    ASSERT_TRUE(reserve("shop", {vm("web1", mebibytes(256))}));
    const auto on = [&](const std::string& host) {
        return cluster.queue(
            "vm.create", "",
            vm_json("on-" + host, mebibytes(64), taking("shop") + fmt::format(R"(,"host":"{}")", host)));
    };
    EXPECT_EQ(on("h9").error().code(), Code::not_found);
    ASSERT_TRUE(cluster.write([](store::Transaction& transaction) -> Result<void> {
        Host other;
        other.id = HostId("id-h2");
        other.name = "h2";
        transaction.put(std::move(other), {"host.added", "by a test"});
        return {};
    }));
    const auto elsewhere = on("h2");
    ASSERT_FALSE(elsewhere);
    EXPECT_THAT(elsewhere.error().message(), HasSubstr("reservation shop has no open place on h2, but on h1"));
    EXPECT_TRUE(on("h1"));
}

TEST_F(Reservations, TheRefusalOfAHostThatIsGoneSaysHowToGoElsewhere) {
    ASSERT_TRUE(reserve("shop", {vm("web1", mebibytes(256))}));
    ASSERT_TRUE(cluster.write([&](store::Transaction& transaction) -> Result<void> {
        Host host = *cluster.host("h1");
        host.maintenance = true;
        transaction.put(std::move(host), {"host.maintenance_began", "by a test"});
        return {};
    }));
    const auto job = cluster.do_job("vm.create", "", vm_json("web1", mebibytes(64), taking("shop")));
    EXPECT_THAT(error_of(job),
                AllOf(HasSubstr("host_ready"), HasSubstr("shop/web1"), HasSubstr("create it without the reservation")));
    EXPECT_THAT(places(), ElementsAre("shop/web1"));
}

}  // namespace
}  // namespace ballast::testing
