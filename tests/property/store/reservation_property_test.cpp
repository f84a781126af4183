// Whatever is reserved, taken, created, failed, let go and expired, in whatever order: no host promises more than it
// has, a place belongs to one VM at most and to that until its create ends, and a reservation is made whole or not.
#include <map>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/try.h"
#include "daemon/jobs/reservations.h"
#include "scheduler/host_view.h"
#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

enum class Act : std::uint8_t { reserve, take, place, succeed, fail, release, advance, drop };

struct Step {
    Act act = Act::reserve;
    int row = 0;
    int value = 0;
};

rc::Gen<Step> any_step() {
    return rc::gen::map(rc::gen::tuple(rc::gen::inRange(0, 8), rc::gen::inRange(0, 3), rc::gen::inRange(1, 4)),
                        [](const std::tuple<int, int, int>& made) {
                            return Step{static_cast<Act>(std::get<0>(made)), std::get<1>(made), std::get<2>(made)};
                        });
}

/// What must be so on the writer's thread, where RapidCheck can't fail.
Result<void> holds(bool condition, std::string_view what) {
    if (condition) return {};
    return fail(Code::internal, "it does not hold: {}", what);
}

std::string reservation_name(const Step& step) {
    return fmt::format("r{}", step.row);
}

using Seen = std::shared_ptr<const Snapshot>;

/// Decided on what was so a step ago: others may have been faster.
Result<void> reserve(Transaction& transaction, const Step& step, const Seen& seen) {
    jobs::ReservationAsk ask;
    ask.name = reservation_name(step);
    ask.lasts = Seconds(step.value);
    for (int i = 0; i < step.value; ++i) {
        ask.vms.push_back({.name = fmt::format("vm{}", i), .spec = {}, .host = {}});
        ask.vms.back().spec.memory = gibibytes(1 + i);
    }
    BALLAST_TRY(const auto members, jobs::batch_of(*seen, ask.vms, "default"));
    const auto made = jobs::reserve(transaction, ask, jobs::place_batch(seen, members, {}));
    if (!made) return std::unexpected(made.error());
    return holds(made->claims.size() == ask.vms.size(), "it is made whole");
}

/// A create is queued: the VM's row, and the place that it takes; v0 takes none.
Result<void> take(Transaction& transaction, const Step& step) {
    Vm vm = test::a_vm(fmt::format("v{}", step.row)).memory(gibibytes(1)).build();
    if (transaction.snapshot().vms.find(vm.id) != nullptr) return fail(Code::already_exists, "it is there");
    vm.state = VmState::creating;
    vm.job = JobId("job-" + vm.name);
    jobs::VmCreateParams params;
    params.name = vm.name;
    params.spec = vm.spec;
    params.reservation = fmt::format("r{}", step.value % 2);
    if (step.row != 0) BALLAST_CHECK(jobs::take_place(transaction, params, vm.id));
    transaction.put(std::move(vm), {"vm.creating", "by a property"});
    return {};
}

Result<void> place(Transaction& transaction, const VmId& id) {
    Vm vm = *transaction.snapshot().vms.find(id);
    if (vm.host) return fail(Code::conflict, "it is placed");
    scheduler::PlacementRequest request;
    request.spec = vm.spec;
    request.vm = id;
    if (const auto held = jobs::place_of(transaction.snapshot(), id)) request.only = held->host;
    const auto decision = scheduler::decide(transaction.snapshot(), request, 1);
    BALLAST_CHECK(holds(decision.chosen || !request.only, "the place that was taken has room"));
    if (!decision.chosen) return fail(Code::resource_exhausted, "no room");
    BALLAST_CHECK(scheduler::check_claim(transaction.snapshot(), *decision.chosen, request));
    transaction.put(
        scheduler::make_claim(transaction.snapshot(), *decision.chosen, request, *vm.job, transaction.now()),
        {"claim.made", "by a property"});
    vm.host = decision.chosen;
    transaction.put(std::move(vm), {"vm.placed", "by a property"});
    return {};
}

/// The create ends: the VM runs, or is gone.
Result<void> end(Transaction& transaction, const VmId& id, bool good) {
    Vm vm = *transaction.snapshot().vms.find(id);
    if (!vm.job || (good && !vm.host)) return fail(Code::conflict, "nothing ends");
    const ClaimId claim(vm.job->str());
    good ? jobs::use_up_place(transaction, id) : jobs::leave_place(transaction, id);
    if (transaction.snapshot().claims.find(claim) != nullptr)
        transaction.erase(claim, {"claim.released", "by a property"});
    if (!good) {
        transaction.erase(id, {"vm.create_failed", "by a property"});
        return {};
    }
    vm.job.reset();
    vm.state = VmState::running;
    transaction.put(std::move(vm), {"vm.started", "by a property"});
    return {};
}

Result<void> act(Transaction& transaction, const Step& step, const Seen& seen) {
    const VmId vm(fmt::format("v{}", step.row));
    const bool there = transaction.snapshot().vms.find(vm) != nullptr;
    switch (step.act) {
        case Act::reserve:
            return reserve(transaction, step, seen);
        case Act::take:
            return take(transaction, step);
        case Act::place:
            return there ? place(transaction, vm) : Result<void>{};
        case Act::succeed:
        case Act::fail:
            return there ? end(transaction, vm, step.act == Act::succeed) : Result<void>{};
        case Act::release: {
            BALLAST_CHECK(jobs::release(transaction, reservation_name(step)));
            return {};
        }
        case Act::drop:
            jobs::drop_expired(transaction);
            return holds(!jobs::any_expired(transaction.snapshot(), transaction.now()), "nothing expired is left");
        case Act::advance:
            return {};
    }
    std::unreachable();
}

void check_promises(const Snapshot& snapshot) {
    for (const auto& view : scheduler::view_hosts(snapshot, VmId())) {
        RC_ASSERT(view.promised_memory <= usable_memory(*view.host));
        RC_ASSERT(view.promised_vcpus <= usable_vcpus(*view.host));
    }
}

/// By VM, the place that its running create is to get.
std::map<VmId, ClaimId> taken_places(const Snapshot& snapshot) {
    std::map<VmId, ClaimId> taken;
    for (const auto& one : jobs::list_reservations(snapshot))
        for (const Claim& claim : one.claims)
            if (!claim.vm.empty()) RC_ASSERT(taken.emplace(claim.vm, claim.id).second);
    return taken;
}

class ReservationOrder : public StoreTest {
  public:
    void TestBody() override {}

    void holds_for(const std::vector<Step>& steps) {
        open();
        for (const std::string host : {"h1", "h2"})
            RC_ASSERT(put(test::a_host(host).memory(gibibytes(5)).build()).has_value());
        Seen a_step_ago = store_->snapshot();
        for (const Step& step : steps) {
            const Seen seen = std::exchange(a_step_ago, store_->snapshot());
            if (step.act == Act::advance) clock_->advance(Milliseconds(1'000 * step.value));
            const auto before = taken_places(now());
            const auto written = write([&](Transaction& transaction) { return act(transaction, step, seen); });
            if (!written) RC_ASSERT(written.error().code() != Code::internal);
            check_promises(now());
            const auto after = taken_places(now());
            for (const auto& [vm, place] : before) {
                const Vm* row = now().vms.find(vm);
                if (row != nullptr && row->job) RC_ASSERT(after.contains(vm) && after.at(vm) == place);
            }
        }
        store_->close();
    }
};

RC_GTEST_PROP(ReservationProperty, NeverPromisesMoreThanThereIsNorLosesAPlaceThatIsBeingTaken, ()) {
    const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
    ReservationOrder().holds_for(steps);
}

}  // namespace
}  // namespace ballast::store
