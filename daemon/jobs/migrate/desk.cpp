#include "daemon/jobs/migrate/desk.h"

#include <algorithm>

#include "migration/machine.h"
#include "scheduler/spare_memory.h"

namespace ballast::jobs {
namespace {

/// Of a QEMU process beside the guest's RAM; measured with TCG, whose translation cache is the most of it.
constexpr Bytes qemu_own_need = mebibytes(100);

/// Of a guest that is paused.
migration::DirtyCurve writes_nothing(Timestamp now) {
    migration::DirtyCurve curve;
    curve.measured = now;
    curve.source = "paused";
    return curve;
}

}  // namespace

MigrationDesk::MigrationDesk(const Services& services, StatsNow stats)
    : store_(services.store),
      clock_(services.clock),
      memory_(services.memory),
      executor_(services.executor),
      stats_(std::move(stats)),
      lanes_(services),
      curves_(std::make_shared<CurveBoard>(services)) {}

void MigrationDesk::start() {
    subscription_ = store_->subscribe(executor_, [weak = weak_from_this()](const std::vector<Event>& events) {
        if (const auto self = weak.lock()) self->on_commit(events);
    });
}

void MigrationDesk::on_commit(const std::vector<Event>& events) {
    bool lanes_changed = false;
    for (const Event& event : events) {
        lanes_changed |= event.subject_kind == "migration" || event.kind == "job.cancel_requested";
        const bool taught = event.kind == "migration.recorded" || event.kind == "migration.failed" ||
                            event.kind == "migration.cancelled";
        if (!taught) continue;
        if (const auto row = store_->snapshot()->migrations.find_ptr(JobId(event.subject_id))) curves_->learn(*row);
    }
    if (lanes_changed) lanes_.changed();
}

/// What a migration must send in full. A page that was ever written counts, also when the guest has freed it: what the
/// QEMU process holds less its own need says that best, and what the guest says it uses is the least it can be.
Bytes MigrationDesk::memory_in_use(const Vm& vm) const {
    const auto table = stats_ ? stats_() : nullptr;
    const auto* sample = table && vm.host ? table->find(*vm.host, vm.id) : nullptr;
    if (sample == nullptr) return {};
    const drivers::DomainStats& stats = sample->stats;
    const Bytes touched = std::max(Bytes(0), stats.resident - qemu_own_need);
    const Bytes used = stats.unused ? stats.balloon - *stats.unused : Bytes(0);
    return std::min(std::max(touched, used), stats.balloon);
}

/// Share of its vCPUs' time that the guest took since the sweep before, 0 to 1; 0: not known. A throttle takes idle
/// time first.
double MigrationDesk::vcpu_use(const Vm& vm) const {
    const auto table = stats_ ? stats_() : nullptr;
    const auto* sample = table && vm.host ? table->find(*vm.host, vm.id) : nullptr;
    if (sample == nullptr || !sample->cpus_used || sample->stats.vcpus < 1) return 0;
    return std::clamp(*sample->cpus_used / sample->stats.vcpus, 0.01, 1.0);
}

KnownGuests MigrationDesk::known_guests() const {
    KnownGuests guests;
    store_->snapshot()->vms.for_each([&](const Vm& vm) {
        if (vm.state != VmState::running && vm.state != VmState::paused) return;
        guests.emplace(
            vm.id, KnownGuest{.in_use = memory_in_use(vm), .vcpu_use = vcpu_use(vm), .curve = curves_->find(vm.id)});
    });
    return guests;
}

Result<migration::Forecast> MigrationDesk::forecast(const Vm& vm, const HostId& to, const ForecastAsk& ask) {
    const bool runs = vm.state == VmState::running || vm.state == VmState::paused || vm.state == VmState::migrating;
    if (!vm.host || !runs)
        return fail(Code::failed_precondition, "VM {} does not run, so there is nothing to forecast: start it first",
                    vm.name);
    const auto snapshot = store_->snapshot();
    if (vm.host == to)
        return fail(Code::failed_precondition, "VM {} runs on {} already; choose another host", vm.name,
                    host_name(*snapshot, to));
    const bool stands = vm.state == VmState::paused;
    if (!stands) curves_->want(vm.id);
    const migration::PairHistories histories(*snapshot);
    auto input = migration::input_for(*snapshot, histories, vm, to, memory_in_use(vm), clock_->now(), ask.self);
    input.curve = stands ? writes_nothing(clock_->now()) : curves_->find(vm.id);
    if (stands) input.no_post_copy = "the VM is paused: there is nothing to pull early for";
    input.vcpu_use = vcpu_use(vm);
    input.terms = ask.terms;
    input.knobs = ask.knobs;
    if (ask.requested == ModeChoice::auto_ && snapshot->hosts.find(*vm.host) != nullptr)
        input.cache_room = scheduler::spare_memory(*snapshot, *vm.host, vm, memory_().get());
    return migration::decide(input, ask.requested);
}

}  // namespace ballast::jobs
