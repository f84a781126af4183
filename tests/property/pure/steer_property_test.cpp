// Steering holds to the terms whatever a guest and its link do. The push is the model of docs/MIGRATION.md: each round
// sends what the one before left, while the guest dirties min(rate x time, working set).
#include <algorithm>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "migration/machine.h"
#include "migration/steer.h"

namespace ballast::migration {
namespace {

const Timestamp noon = Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(12);
/// A push that shrinks by a little more than a tenth in each `patience` of rounds converges, and may take this many.
constexpr int round_limit = 5'000;

/// One guest on one link under one policy; memory in MiB, rates in MiB/s.
struct Case {
    double memory = 1024;
    double bandwidth = 100;
    double dirtying = 50;
    double working_set = 64;
    Migration row;
    bool prepared = false;
    SteerLimits limits;
};

struct Outcome {
    SteeringAct end = SteeringAct::none;  ///< none: QEMU finished it by itself
    int rounds = 0;
    int acts = 0;
    Milliseconds limit{0};  ///< the last one
};

/// QEMU's side of it: rounds, the throttle's steps, and the stop as soon as the rest fits.
Outcome run(Case c) {
    Outcome outcome;
    outcome.limit = first_downtime_limit(c.row.terms, c.limits.switch_cost);
    double left = c.memory;
    double at_ms = 0;
    int throttle = 0;
    c.row.phase = MigrationPhase::push;
    while (outcome.rounds < round_limit) {
        if (left / c.bandwidth * 1000 <= static_cast<double>(outcome.limit.count())) return outcome;
        const double seconds = left / c.bandwidth;
        const double writes = c.dirtying * (1 - throttle / 100.0);
        left = std::min({writes * seconds, c.working_set, c.memory});
        at_ms += seconds * 1000;
        ++outcome.rounds;
        MigrationRound round;
        round.round = outcome.rounds;
        round.at = Milliseconds(static_cast<std::int64_t>(at_ms));
        round.remaining = Bytes(static_cast<std::int64_t>(left * 1'048'576));
        c.row.rounds.push_back(round);
        if (c.row.knobs.auto_converge && outcome.rounds % 2 == 0)
            throttle = std::min(99, throttle + (throttle == 0 ? 20 : 10));
        PushSample sample;
        sample.elapsed = round.at;
        sample.remaining = round.remaining;
        sample.total = Bytes(static_cast<std::int64_t>(c.memory * 1'048'576));
        sample.throughput = BytesPerSecond(static_cast<std::int64_t>(c.bandwidth * 1'048'576));
        sample.round = outcome.rounds + 1;
        sample.round_ended = true;
        sample.throttle = throttle;
        sample.downtime_limit = outcome.limit;
        const Steering steering = steer(c.row, sample, c.prepared, noon, c.limits);
        outcome.acts += steering.act == SteeringAct::none ? 0 : 1;
        RC_ASSERT((steering.act == SteeringAct::none) == steering.reason.empty());
        if (steering.act == SteeringAct::switch_to_post_copy) RC_ASSERT(c.row.terms.post_copy && c.prepared);
        if (steering.act == SteeringAct::raise_downtime) {
            RC_ASSERT(steering.downtime > outcome.limit);
            RC_ASSERT(steering.downtime <= c.row.terms.max_downtime);
            outcome.limit = steering.downtime;
        }
        if (steering.act == SteeringAct::switch_to_post_copy || steering.act == SteeringAct::abort) {
            outcome.end = steering.act;
            return outcome;
        }
    }
    RC_FAIL("neither finished, switched nor aborted");
    return outcome;
}

Case any_case() {
    const auto in = [](int low, int high) { return static_cast<double>(*rc::gen::inRange(low, high)); };
    Case c;
    c.memory = in(64, 65'536);
    c.bandwidth = in(5, 3'000);
    c.dirtying = in(0, 6'000);
    c.working_set = in(0, 65'536);
    c.row.terms.max_downtime = Milliseconds(*rc::gen::inRange(1, 2'000));
    c.row.terms.max_throttle = *rc::gen::inRange(0, 100);
    c.row.terms.post_copy = *rc::gen::arbitrary<bool>();
    c.row.knobs.auto_converge = *rc::gen::arbitrary<bool>();
    c.prepared = *rc::gen::arbitrary<bool>();
    c.limits.switch_cost = Milliseconds(*rc::gen::inRange(0, 500));
    return c;
}

RC_GTEST_PROP(SteerProperty, EndsEveryPushOneWayOrAnotherWithinItsTerms, ()) {
    const Case c = any_case();
    const Outcome outcome = run(c);
    RC_ASSERT(outcome.limit <= c.row.terms.max_downtime);
    RC_ASSERT(outcome.rounds < round_limit);
}

RC_GTEST_PROP(SteerProperty, NeverTouchesAPushThatConverges, ()) {
    Case c = any_case();
    c.dirtying = c.bandwidth * *rc::gen::inRange(0, 85) / 100.0;  // each round leaves less than nine tenths
    c.row.knobs.auto_converge = false;
    const Outcome outcome = run(c);
    RC_ASSERT(outcome.end == SteeringAct::none);
    // A set that saturates above the limit is no convergence: there the rounds stop shrinking.
    const double fits =
        c.bandwidth * static_cast<double>(first_downtime_limit(c.row.terms, c.limits.switch_cost).count()) / 1000;
    if (c.working_set >= c.memory || c.working_set <= fits) RC_ASSERT(outcome.acts == 0);
}

RC_GTEST_PROP(SteerProperty, KeepsADeadlineOrSaysWhyNot, ()) {
    Case c = any_case();
    c.row.terms.max_total = Milliseconds(*rc::gen::inRange(1, 600'000));
    const Outcome outcome = run(c);
    RC_ASSERT(outcome.rounds < round_limit);
}

// The machine, whatever comes in whatever order.

MigrationEvent any_event(int round) {
    using Kind = MigrationEventKind;
    MigrationEvent event;
    event.kind = *rc::gen::element(Kind::begin, Kind::preflight_passed, Kind::preflight_refused, Kind::job_setup,
                                   Kind::job_active, Kind::round_ended, Kind::source_paused, Kind::switched,
                                   Kind::post_copy_failed, Kind::stalled, Kind::call_returned, Kind::job_lost,
                                   Kind::source_gone, Kind::target_running, Kind::judged, Kind::cancel_requested,
                                   Kind::switch_requested, Kind::finish_requested, Kind::tune_requested, Kind::steered,
                                   Kind::recover_requested, Kind::recovery_due, Kind::declare_lost, Kind::restarted);
    if (event.kind == Kind::round_ended) {
        event.round = MigrationRound{};
        event.round->round = round;
    }
    if (event.kind == Kind::judged)
        event.verdict =
            Verdict{*rc::gen::element(Owner::source, Owner::target, Owner::undecided),
                    *rc::gen::element(OwnershipAct::wait, OwnershipAct::ask_again, OwnershipAct::adopt_target,
                                      OwnershipAct::resume_source, OwnershipAct::post_copy_recover,
                                      OwnershipAct::conflict, OwnershipAct::keep_source, OwnershipAct::keep_target),
                    "seen"};
    if (event.kind == Kind::steered)
        event.steering = Steering{*rc::gen::element(SteeringAct::none, SteeringAct::switch_to_post_copy,
                                                    SteeringAct::raise_downtime, SteeringAct::abort),
                                  Milliseconds(*rc::gen::inRange(1, 1'000)), "why"};
    if (event.kind == Kind::tune_requested) {
        event.tuning = Tuning{};
        event.tuning->max_downtime = Milliseconds(*rc::gen::inRange(1, 1'000));
    }
    return event;
}

bool contains(const std::vector<MigrationAct>& acts, MigrationAct act) {
    return std::ranges::find(acts, act) != acts.end();
}

RC_GTEST_PROP(MachineProperty, KeepsItsPromisesWhateverComesInWhateverOrder, ()) {
    Migration row;
    row.mode = *rc::gen::element(MigrationMode::stop_and_copy, MigrationMode::pre_copy, MigrationMode::post_copy,
                                 MigrationMode::hybrid);
    row.terms.post_copy = *rc::gen::arbitrary<bool>();
    row.terms.max_downtime = Milliseconds{300};
    MigrationMemo memo;
    const int length = *rc::gen::inRange(1, 60);
    for (int i = 0; i < length; ++i) {
        const MigrationEvent event = any_event(i);
        const auto step = next(row, memo, event);
        if (!step) continue;  // refused: nothing may have changed, and nothing is
        const bool switches = contains(step->acts, MigrationAct::start_post_copy);
        RC_ASSERT(!(memo.may_have_switched && contains(step->acts, MigrationAct::abort_job)));
        // Once; and again only where the hosts have said that the word was never followed.
        const bool again =
            memo.may_have_switched && event.kind == MigrationEventKind::judged && event.verdict->owner == Owner::source;
        RC_ASSERT(!switches || (can_switch(row) && step->memo.may_have_switched && (!memo.may_have_switched || again)));
        RC_ASSERT(!switches || again || (!memo.cancel_requested && memo.given_up.empty() && !memo.finishing));
        RC_ASSERT(!memo.may_have_switched || step->memo.may_have_switched);
        RC_ASSERT(!contains(step->acts, MigrationAct::call_migrate) || (step->memo.called && !memo.called));
        RC_ASSERT(step->memo.finishing ||
                  downtime_limit_of(step->migration, step->memo) <= step->migration.terms.max_downtime);
        const bool ends = has_ended(step->migration.phase) && !has_ended(row.phase);
        const bool uncalled = !memo.called;
        RC_ASSERT(!ends || uncalled || event.kind == MigrationEventKind::judged);
        if (has_ended(row.phase)) RC_ASSERT(step->acts.empty() && step->migration.phase == row.phase);
        row = step->migration;
        memo = step->memo;
    }
}

}  // namespace
}  // namespace ballast::migration
