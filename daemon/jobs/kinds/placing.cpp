#include "daemon/jobs/kinds/placing.h"

#include <algorithm>

#include "core/try.h"
#include "daemon/jobs/placer.h"
#include "daemon/jobs/plan_gate.h"

namespace ballast::jobs {
namespace {

/// The placer's choice. Where what others have just decided leaves none, the last word is the store's: a claim that
/// fails frees its room again.
Result<HostId> best_host(const Run& run, Placer& placer, const scheduler::PlacementRequest& request,
                         const std::string& name, std::uint64_t seed) {
    if (const auto host = placer.choose(request, seed)) return *host;
    const scheduler::Decision decision = scheduler::decide(*run.snapshot(), request, seed, placer.preferences());
    if (decision.chosen) return *decision.chosen;
    return std::unexpected(scheduler::refusal(decision, name));
}

}  // namespace

Task<> claim_best_host(RunPtr run, scheduler::PlacementRequest request, std::string name, std::string step,
                       Claimer claimer) {
    const std::uint64_t seed = std::hash<std::string>{}(run->id().str());
    const auto placer = run->services().placer;
    Result<void> claimed{};
    for (int attempt = 0; attempt < most_decisions; ++attempt) {
        BALLAST_CO_TRY(const HostId host,
                       best_host(*run, *placer, request, name, seed + static_cast<std::uint64_t>(attempt)));
        const auto snapshot = run->snapshot();
        const scheduler::Basis basis = placer->basis_of(host, request.spec);
        const auto hold =
            placer->hold(scheduler::make_claim(*snapshot, host, request, run->id(), run->services().clock->now()));
        claimed = co_await run->done(
            step, fmt::format("on {}", host_name(*snapshot, host)),
            [claimer, basis](store::Transaction& transaction) { return claimer(transaction, basis); });
        if (claimed || !lost_a_race(claimed.error())) co_return claimed;
    }
    co_return claimed;
}

Task<std::shared_ptr<drivers::HostDriver>> wait_for_host_to_undo(RunPtr run, HostId host) {
    for (;;) {
        auto driver = run->services().hosts->reachable(host);
        if (driver || driver.error().code() != Code::unavailable) co_return driver;
        run->report(90, fmt::format("cannot take back what was made yet: {}", driver.error().message()));
        BALLAST_CO_CHECK(co_await run->pause(run->services().settings.retry_pause));
    }
}

boost::asio::awaitable<void> repeat_until_done(RunPtr run, std::function<Task<>()> undo) {
    for (;;) {
        const Result<void> undone = co_await undo();
        if (undone) co_return;
        run->report(90, fmt::format("cannot take back what was made yet: {}", undone.error().chain()));
        const Result<void> paused = co_await run->pause(run->services().settings.retry_pause);
        if (!paused) co_return;
    }
}

std::string undo_reason(const Run& run) {
    const auto job = run.row();
    const auto at = std::ranges::find(job->steps, "undo", &JobStep::name);
    return at == job->steps.end() || at->detail.empty() ? "taken back after a restart of the daemon" : at->detail;
}

}  // namespace ballast::jobs
