// What holds for every plan: each step is feasible by the ordinary rules on the rows of its moment, nothing is touched
// that may not be, and whatever the load does, no VM goes back to a host within the window.

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "daemon/overcommit/admission.h"
#include "scheduler/host_view.h"
#include "scheduler/placement.h"
#include "tests/unit/scheduler/plan_cluster.h"

namespace ballast::scheduler {
namespace {

using namespace ballast::test;

/// The whole range from the first case on: small clusters have nothing to plan.
int in_range(int from, int below) {
    return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange(from, below));
}

VmBuilder any_vm(int number, int hosts) {
    auto vm = vm_on("vm" + std::to_string(number), "h" + std::to_string(in_range(1, hosts + 1)), in_range(1, 5),
                    in_range(200, 5000));
    if (in_range(0, 4) == 0) vm.group("g" + std::to_string(in_range(0, 3)));
    if (in_range(0, 8) == 0) vm.observed();
    if (in_range(0, 2) == 0) vm.minimum(mebibytes(in_range(1, 20) * 10));
    return vm;
}

MovePolicy any_policy() {
    return *rc::gen::element(MovePolicy::free, MovePolicy::free, MovePolicy::ask, MovePolicy::never);
}

/// Wishes about groups, on hosts and zones; few of them hold in the beginning.
void wish(Vm& vm) {
    if (in_range(0, 4) != 0) return;
    AffinityTerm term;
    term.group = "t" + std::to_string(in_range(0, 2));
    term.kind =
        *rc::gen::element(AffinityKind::together, AffinityKind::apart, AffinityKind::limit, AffinityKind::spread);
    term.scope = *rc::gen::element(AffinityScope::host, AffinityScope::zone);
    term.limit = in_range(1, 3);
    vm.spec.placement.affinity.push_back(term);
}

HostBuilder any_host(int number) {
    auto host = a_host("h" + std::to_string(number)).label("zone", number % 2 == 0 ? "even" : "odd");
    if (in_range(0, 6) == 0) host.observed();
    if (in_range(0, 2) == 0) host.memory_policy(MemoryPolicy::balanced);
    return host;
}

VmLoad any_load() {
    VmLoad load = busy(in_range(0, 40) / 10.0, in_range(0, 10) / 10.0);
    if (*rc::gen::arbitrary<bool>())
        for (int hour = 0; hour < 24; ++hour) load.cpu_by_hour.push_back(in_range(0, 40) / 10.0);
    return load;
}

/// What was seen of VMs on the hosts that they are on.
std::shared_ptr<const MemoryAdmission> any_memory(const Snapshot& snapshot) {
    std::map<HostId, overcommit::HostPicture> seen;
    snapshot.vms.for_each([&](const Vm& row) {
        if (in_range(0, 4) == 0) return;
        overcommit::VmPicture vm;
        vm.vm = row.id;
        vm.maximum = row.spec.memory;
        vm.working_set.trust = memory::Trust::trusted;
        vm.working_set.mean = row.spec.memory * in_range(1, 10) / 10;
        vm.working_set.deviation = row.spec.memory * in_range(0, 5) / 20;
        seen[*row.host].vms.push_back(std::move(vm));
    });
    auto pictures = std::make_shared<overcommit::Pictures>();
    for (auto& [id, picture] : seen) {
        picture.host = id;
        picture.ledger.total = gibibytes(16);
        (*pictures)[id] = std::make_shared<const overcommit::HostPicture>(std::move(picture));
    }
    return std::make_shared<const overcommit::Admissions>(std::move(pictures));
}

/// What the plan knew.
Preferences known(const Ask& ask) {
    Preferences preferences;
    preferences.load = std::make_shared<const ClusterLoad>(ask.load);
    preferences.memory = ask.options.memory;
    return preferences;
}

/// Whatever may lie there already: overfull hosts, broken groups, observed hosts among them.
Ask any_ask() {
    const int hosts = in_range(2, 6);
    auto cluster = hosts_alike(hosts);
    for (int i = 1; i <= hosts; ++i) cluster.with(any_host(i));
    Ask ask;
    const int vms = in_range(0, 8 * hosts);
    for (int i = 0; i < vms; ++i) {
        Vm vm = any_vm(i, hosts).build();
        vm.spec.moves = any_policy();
        wish(vm);
        if (in_range(0, 3) != 0) ask.load.vms[vm.id] = any_load();
        cluster.with(vm);
    }
    ask.snapshot = cluster.build();
    ask.options =
        options_for(*rc::gen::element(Goal::level, Goal::consolidate, Goal::evacuate, Goal::defragment, Goal::repair));
    ask.options.seed = *rc::gen::arbitrary<std::uint64_t>();
    if (in_range(0, 3) != 0) ask.options.memory = any_memory(ask.snapshot);
    if (ask.options.goal == Goal::evacuate) ask.options.hosts = {HostId("h1")};
    if (ask.options.goal == Goal::defragment) ask.options.big = a_vm("big").memory(gibibytes(12)).spec();
    if (*rc::gen::arbitrary<bool>()) ask.options.max_moves = in_range(0, 6);
    return ask;
}

bool has_spread(const Snapshot& snapshot) {
    return snapshot.vms.find_if([](const Vm& vm) {
        return std::ranges::find(vm.spec.placement.affinity, AffinityKind::spread, &AffinityTerm::kind) !=
               vm.spec.placement.affinity.end();
    }) != nullptr;
}

bool may_be_moved(const Snapshot& snapshot, const PlanStep& step) {
    const Vm& vm = *snapshot.vms.find(step.vm);
    return vm.managed && vm.spec.moves != MovePolicy::never && snapshot.hosts.find(step.from)->managed &&
           snapshot.hosts.find(step.to)->managed;
}

RC_GTEST_PROP(PlannerProperty, EveryStepIsFeasibleByTheOrdinaryRulesWhenItsTurnComes, ()) {
    const Ask ask = any_ask();
    const auto plan = ask.plan();
    RC_ASSERT(plan.has_value());
    RC_CLASSIFY(plan->steps.empty(), "nothing to move");
    RC_CLASSIFY(plan->steps.size() > 2, "three moves or more");
    Snapshot now = ask.snapshot;
    for (const PlanStep& step : plan->steps) {
        RC_ASSERT(may_be_moved(ask.snapshot, step));
        RC_ASSERT(step.asks == (now.vms.find(step.vm)->spec.moves == MovePolicy::ask));
        const auto checked = check_step(now, *plan, step, known(ask));
        if (!checked) RC_FAIL(checked.error().chain());
        carry_out(now, step);
    }
    if (ask.options.max_moves) RC_ASSERT(plan->steps.size() <= static_cast<std::size_t>(*ask.options.max_moves));
    // How many VMs must go until a spread is even depends on which go first: the count may rise where nothing got
    // worse.
    if (!has_spread(ask.snapshot)) RC_ASSERT(plan->after.broken_rules <= plan->before.broken_rules);
    RC_ASSERT(plan->after.contention_s >= plan->after.lower_bound_s - 1e-6);
    RC_ASSERT(!plan->verdict.empty());
}

/// Steps that wait for nothing of each other, all at once: each host has room for every VM that is on its way to it
/// while those that leave are still there, as far as they are not waited for.
RC_GTEST_PROP(PlannerProperty, AnyOrderThatRespectsWhatStepsWaitForIsFeasible, ()) {
    const Ask ask = any_ask();
    const auto plan = ask.plan();
    RC_ASSERT(plan.has_value());
    Snapshot now = ask.snapshot;
    std::set<int> made;
    while (made.size() < plan->steps.size()) {
        std::vector<const PlanStep*> ready;
        for (const PlanStep& step : plan->steps)
            if (!made.contains(step.number) &&
                std::ranges::all_of(step.after, [&](int number) { return made.contains(number); }))
                ready.push_back(&step);
        RC_ASSERT(!ready.empty());
        const PlanStep& step = *ready[static_cast<std::size_t>(in_range(0, static_cast<int>(ready.size())))];
        const auto checked = check_step(now, *plan, step, known(ask));
        if (!checked) RC_FAIL(checked.error().chain());
        carry_out(now, step);
        made.insert(step.number);
    }
}

RC_GTEST_PROP(PlannerProperty, ALevelPlanGainsWhatItCostsByTheMargin, ()) {
    Ask ask = any_ask();
    ask.options = options_for(Goal::level);
    ask.options.margin = 1 + in_range(0, 30) / 10.0;
    ask.costs = moves_take(Milliseconds(in_range(0, 60'000)));
    const auto plan = ask.plan();
    RC_ASSERT(plan.has_value());
    RC_CLASSIFY(plan->steps.empty(), "nothing to move");
    RC_ASSERT(plan->gain_s >= ask.options.margin * plan->cost_s - 1e-6);
    RC_ASSERT(plan->before.contention_s - plan->after.contention_s >=
              ask.options.margin * plan->cost_s * 3600 / static_cast<double>(ask.options.stay.count()) - 1e-6);
}

/// What the load of one VM is at one moment: made to bait a balancer that looks at the moment alone.
using Load = std::function<double(int vm, double hour)>;

double saw_tooth(int vm, double hour) {
    return 4 * std::fmod(hour * 2 + vm * 0.37, 1.0);
}

double anti_phase(int vm, double hour) {
    const bool first_half = std::fmod(hour, 0.5) < 0.25;
    return (vm % 2 == 0) == first_half ? 3.8 : 0.2;
}

double flash_crowd(int vm, double hour) {
    const int struck = static_cast<int>(hour * 4) % 4;  // another tenant every quarter of an hour
    return vm % 4 == struck ? 4 : 0.3;
}

/// A day, planned anew every five minutes on what was measured in that moment, each plan carried out at once.
void play_a_day(const Load& load_at, std::uint64_t seed) {
    constexpr int vms = 12;
    constexpr int hosts = 4;  // those that are busy at once begin together
    auto cluster = hosts_alike(hosts, 8, 32);
    for (int i = 0; i < vms; ++i) cluster.with(vm_on("vm" + std::to_string(i), "h" + std::to_string(1 + i % hosts)));
    Ask ask;
    ask.snapshot = cluster.build();
    ask.costs = moves_take(Milliseconds(3000));
    ask.options.seed = seed;
    for (int minute = 0; minute < 24 * 60; minute += 5) {
        ask.options.now = midnight + std::chrono::minutes(minute);
        for (int i = 0; i < vms; ++i)
            ask.load.vms[VmId("vm" + std::to_string(i))] = busy(load_at(i, minute / 60.0), 0.2);
        const auto plan = ask.plan();
        ASSERT_TRUE(plan) << plan.error().chain();
        std::map<HostId, int> touched;
        for (const PlanStep& step : plan->steps) {
            for (const RecentMove& move : ask.recent) {
                const auto age = ask.options.now - move.at;
                if (move.vm != step.vm) continue;
                EXPECT_FALSE(move.from == step.to && age < ask.options.no_return) << step.name << " returns";
                EXPECT_GE(age, std::chrono::hours(1)) << step.name << " is moved again";
            }
            carry_out(ask.snapshot, step);
        }
        for (const PlanStep& step : plan->steps) ask.recent.push_back({step.vm, step.from, step.to, ask.options.now});
        for (const RecentMove& move : ask.recent)
            if (ask.options.now - move.at < std::chrono::hours(1))
                for (const HostId& host : {move.from, move.to}) ++touched[host];
        for (const auto& [host, count] : touched) EXPECT_LE(count, ask.options.moves_per_host_hour) << host.str();
    }
    EXPECT_GT(ask.recent.size(), 0U);  // the bait was taken at least once: the bounds are what held
}

TEST(NoPingPong, HoldsUnderASawTooth) {
    play_a_day(saw_tooth, 1);
}

TEST(NoPingPong, HoldsUnderLoadsInAntiPhase) {
    play_a_day(anti_phase, 2);
}

TEST(NoPingPong, HoldsUnderFlashCrowds) {
    play_a_day(flash_crowd, 3);
}

}  // namespace
}  // namespace ballast::scheduler
