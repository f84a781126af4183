// Real migrations between the lab's hosts.

#include <algorithm>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>

#include "tests/integration/drivers_libvirt/fixture.h"

namespace ballast::testing {
namespace {

using namespace drivers;

class LabMigration : public LabDriver {
  protected:
    /// Begins a migration in the background; `outcome` is set when the blocking call returns.
    void begin(MigrationRequest request, std::optional<Result<void>>& outcome) {
        boost::asio::co_spawn(io_, host(0).migration().migrate(std::move(request)),
                              [&outcome](std::exception_ptr, Result<void> result) { outcome = std::move(result); });
    }
    [[nodiscard]] MigrationRequest to_second_host(const VmId& vm) const {
        MigrationRequest request;
        request.vm = vm;
        request.peer_uri = lab().host(1).peer_uri;
        request.migration_uri = "tcp://" + lab().host(1).migration_address;
        return request;
    }
    [[nodiscard]] MigrationStatus status(const VmId& vm) {
        const auto now = run(host(0).migration().progress(vm));
        return now ? now->status : MigrationStatus::none;
    }
};

std::string what(const std::optional<Result<void>>& outcome) {
    if (!outcome) return "still running";
    return *outcome ? "succeeded" : outcome->error().chain();
}

TEST_F(LabMigration, MovesARunningGuestWithProgressAndMeasuresIt) {
    const auto definition = guest("mover", "48:2000:random");
    make_running(0, definition);
    auto request = to_second_host(definition.id);
    request.bandwidth = BytesPerSecond(mebibytes(24).count());
    std::optional<Result<void>> outcome;
    begin(request, outcome);

    std::vector<MigrationProgress> seen;
    ASSERT_TRUE(until([&] {
        if (outcome) return true;
        const auto now = run(host(0).migration().progress(definition.id));
        if (now && now->status == MigrationStatus::active) seen.push_back(*now);
        return false;
    }));
    ASSERT_TRUE(outcome->has_value()) << what(outcome);
    ASSERT_FALSE(seen.empty()) << "a migration at 24 MiB/s must be seen under way";
    EXPECT_GT(seen.back().sent, seen.front().sent);
    EXPECT_GT(seen.back().total, mebibytes(100));

    EXPECT_EQ(state_on(1, definition.id), DomainState::running);
    const auto gone = run(host(0).compute().read_domain(definition.id));
    ASSERT_FALSE(gone.has_value()) << "the source must have no definition left";
    EXPECT_EQ(gone.error().code(), Code::not_found);
    const auto there = run(host(1).compute().read_domain(definition.id));
    ASSERT_TRUE(there.has_value());
    EXPECT_TRUE(there->persistent);
    EXPECT_EQ(there->stamp, definition.stamp);

    const auto record = run(host(1).migration().completed(definition.id));
    ASSERT_TRUE(record.has_value()) << record.error().chain();
    EXPECT_EQ(record->status, MigrationStatus::completed);
    ASSERT_TRUE(record->downtime.has_value());
    EXPECT_GT(record->downtime->count(), 0);
    EXPECT_GT(record->sent, mebibytes(20));
    EXPECT_TRUE(events_[0]->has(DriverEvent::Kind::migration_round, definition.id));
    EXPECT_TRUE(events_[0]->has(DriverEvent::Kind::job_completed, definition.id));
}

TEST_F(LabMigration, TakesAnotherDefinitionAlong) {
    const auto definition = guest("restamped");
    make_running(0, definition);
    auto view = run(host(0).compute().read_domain(definition.id));
    ASSERT_TRUE(view.has_value());
    auto request = to_second_host(definition.id);
    request.destination_xml = view->xml;
    const auto at = request.destination_xml.find("epoch=\"1\"");
    ASSERT_NE(at, std::string::npos) << view->xml;
    request.destination_xml.replace(at, 9, "epoch=\"2\"");
    std::optional<Result<void>> outcome;
    begin(request, outcome);
    ASSERT_TRUE(until([&] { return outcome.has_value(); }));
    ASSERT_TRUE(outcome->has_value()) << what(outcome);
    const auto there = run(host(1).compute().read_domain(definition.id));
    ASSERT_TRUE(there.has_value());
    ASSERT_TRUE(there->stamp.has_value());
    EXPECT_EQ(there->stamp->epoch, 2U);
}

TEST_F(LabMigration, IsAbortedFromTheControlConnection) {
    const auto definition = guest("aborted", "48:20000:random");
    make_running(0, definition);
    auto request = to_second_host(definition.id);
    request.bandwidth = BytesPerSecond(mebibytes(2).count());
    std::optional<Result<void>> outcome;
    begin(request, outcome);
    ASSERT_TRUE(until([&] { return outcome || status(definition.id) == MigrationStatus::active; }));
    ASSERT_FALSE(outcome) << what(outcome);
    const auto aborted = run(host(0).migration().abort(definition.id));
    EXPECT_TRUE(aborted.has_value()) << aborted.error().chain();
    ASSERT_TRUE(until([&] { return outcome.has_value(); }));
    EXPECT_FALSE(outcome->has_value());
    EXPECT_EQ(state_on(0, definition.id), DomainState::running) << "the guest stays where it was";
    EXPECT_TRUE(until([&] { return state_on(1, definition.id) == DomainState::unknown; })) << "nothing is left there";
}

TEST_F(LabMigration, SwitchesToPostCopyAndFinishes) {
    const auto definition = guest("puller", "64:20000:random");
    make_running(0, definition);
    auto request = to_second_host(definition.id);
    request.mode = MigrationMode::post_copy;
    request.bandwidth = BytesPerSecond(mebibytes(8).count());
    std::optional<Result<void>> outcome;
    begin(request, outcome);
    ASSERT_TRUE(until([&] { return outcome || status(definition.id) == MigrationStatus::active; }));
    ASSERT_FALSE(outcome) << what(outcome);
    const auto switched = run(host(0).migration().start_post_copy(definition.id));
    ASSERT_TRUE(switched.has_value()) << switched.error().chain();
    ASSERT_TRUE(until([&] { return outcome.has_value(); }));
    EXPECT_TRUE(outcome->has_value()) << what(outcome);
    EXPECT_EQ(state_on(1, definition.id), DomainState::running);
}

TEST_F(LabMigration, FiveBlockedMigrationsDoNotBlockTheControlConnection) {
    constexpr std::size_t count = 5;
    std::vector<DomainDefinition> guests;
    for (std::size_t i = 0; i < count; ++i) {
        guests.push_back(guest("blocked" + std::to_string(i), "16:20000:random"));
        start(0, guests.back());
    }
    for (const auto& one : guests) await_heartbeat(one);
    std::vector<std::optional<Result<void>>> outcomes(count);
    for (std::size_t i = 0; i < count; ++i) {
        auto request = to_second_host(guests[i].id);
        request.bandwidth = BytesPerSecond(mebibytes(1).count());
        begin(request, outcomes[i]);
    }
    for (const auto& one : guests)
        ASSERT_TRUE(until([&] { return status(one.id) == MigrationStatus::active; })) << one.name << " does not begin";
    for (int i = 0; i < 20; ++i) {
        const auto begun = std::chrono::steady_clock::now();
        ASSERT_TRUE(run(host(0).compute().list_domains()).has_value());
        ASSERT_TRUE(run(host(0).statistics().sweep()).has_value());
        EXPECT_LT(std::chrono::steady_clock::now() - begun, Seconds(3));
    }
    for (const auto& outcome : outcomes) EXPECT_FALSE(outcome) << what(outcome);
    EXPECT_EQ(host(0).link(), LinkState::up);
    for (const auto& one : guests) EXPECT_TRUE(run(host(0).migration().abort(one.id)).has_value());
    EXPECT_TRUE(until([&] {
        return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& one) { return one.has_value(); });
    }));
    for (const auto& one : guests) EXPECT_EQ(state_on(0, one.id), DomainState::running);
}

}  // namespace
}  // namespace ballast::testing
