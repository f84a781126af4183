#include "daemon/jobs/migrate/desk.h"

#include <algorithm>

#include "migration/machine.h"

namespace ballast::jobs {

MigrationDesk::MigrationDesk(const Services& services, StatsNow stats)
    : store_(services.store),
      clock_(services.clock),
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
        if (event.kind != "migration.recorded" && event.kind != "migration.failed") continue;
        if (const auto row = store_->snapshot()->migrations.find_ptr(JobId(event.subject_id))) curves_->learn(*row);
    }
    if (lanes_changed) lanes_.changed();
}

/// By the guest's own statistics; where it gives none, what its QEMU holds.
Bytes MigrationDesk::memory_in_use(const Vm& vm) const {
    const auto table = stats_ ? stats_() : nullptr;
    const auto* sample = table && vm.host ? table->find(*vm.host, vm.id) : nullptr;
    if (sample == nullptr) return {};
    const drivers::DomainStats& stats = sample->stats;
    if (stats.available && stats.unused) return *stats.available - *stats.unused;
    return std::min(stats.resident, stats.balloon);
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
    curves_->want(vm.id);
    const migration::PairHistories histories(*snapshot);
    auto input = migration::input_for(*snapshot, histories, vm, to, memory_in_use(vm), clock_->now(), ask.self);
    input.curve = curves_->find(vm.id);
    input.terms = ask.terms;
    input.knobs = ask.knobs;
    return migration::decide(input, ask.requested);
}

}  // namespace ballast::jobs
