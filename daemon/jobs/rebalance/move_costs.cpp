#include "daemon/jobs/rebalance/move_costs.h"

#include "migration/choose.h"
#include "migration/forecast.h"

namespace ballast::jobs {

using scheduler::MoveCost;

namespace {

MoveCost impossible(std::string reason) {
    return {.total = {}, .downtime = {}, .brown_out = {}, .bytes = {}, .possible = false, .reason = std::move(reason)};
}

}  // namespace

MoveCostBook::MoveCostBook(std::shared_ptr<const Snapshot> snapshot, KnownGuests guests,
                           migration::PolicyDefaults defaults, Timestamp now)
    : snapshot_(std::move(snapshot)),
      lean_(*snapshot_),
      guests_(std::move(guests)),
      defaults_(std::move(defaults)),
      histories_(*snapshot_),
      now_(now) {
    lean_.migrations = {};
    for (const auto& row : snapshot_->migrations.rows()) {
        if (!row->finished)
            lean_.migrations.put(row);
        else
            past_.emplace(row->vm, row);
    }
}

Snapshot MoveCostBook::about(const VmId& vm) const {
    Snapshot snapshot = lean_;
    const auto [begin, end] = past_.equal_range(vm);
    for (auto at = begin; at != end; ++at) snapshot.migrations.put(at->second);
    return snapshot;
}

MoveCost MoveCostBook::forecast(const Vm& vm, const HostId& to) const {
    const auto guest = guests_.find(vm.id);
    const KnownGuest known = guest == guests_.end() ? KnownGuest{} : guest->second;
    const auto terms = migration::resolve_terms({}, ModeChoice::auto_, {}, vm.spec, defaults_, now_);
    if (!terms) return impossible(terms.error().message());
    auto input = migration::input_for(about(vm.id), histories_, vm, to, known.in_use, now_);
    input.curve = known.curve;
    input.vcpu_use = known.vcpu_use;
    input.terms = *terms;
    const auto forecast = migration::decide(input, ModeChoice::auto_);
    if (!forecast.choice) return impossible(forecast.refusal);
    const auto& mode = migration::of_mode(forecast, forecast.choice->mode);
    return {.total = mode.total.likely,
            .downtime = mode.downtime.likely,
            .brown_out = mode.brown_out.likely,
            .bytes = mode.bytes.likely,
            .possible = true,
            .reason = {}};
}

MoveCost MoveCostBook::cost(const Vm& vm, const HostId& from, const HostId& to) {
    if (!vm.host || (vm.state != VmState::running && vm.state != VmState::paused))
        return impossible(fmt::format("{} does not run", vm.name));
    if (vm.host != from) return impossible(fmt::format("{} is not on the host that it was to leave", vm.name));
    const std::pair key(vm.id, to);
    {
        const std::scoped_lock lock(mutex_);
        if (const auto at = known_.find(key); at != known_.end()) return at->second;
    }
    MoveCost made = forecast(vm, to);
    const std::scoped_lock lock(mutex_);
    return known_.emplace(key, std::move(made)).first->second;
}

}  // namespace ballast::jobs
