#include "daemon/jobs/placer.h"

#include "storage/resolve.h"

namespace ballast::jobs {
namespace {

/// What hosts can give changes sooner than what VMs use: one in danger takes nobody from then on.
constexpr Milliseconds memory_stale{2'000};

bool overcommits(const Snapshot& snapshot) {
    return snapshot.hosts.find_if([](const Host& host) { return host.memory_policy != MemoryPolicy::none; }) != nullptr;
}

}  // namespace

void Placer::prefer(scheduler::Preferences preferences) {
    preferences_ = std::move(preferences);
    fleet_.prefer(preferences_);
}

void Placer::refresh() {
    const auto now = std::chrono::steady_clock::now();
    if (!source_) return;
    if (!asked_ || now - *asked_ >= stale_) {
        asked_ = memory_asked_ = now;
        prefer(source_());
    } else if (now - *memory_asked_ >= memory_stale && overcommits(*store_->snapshot())) {
        memory_asked_ = now;
        auto memory = source_().memory;
        if (memory == preferences_.memory) return;
        preferences_.memory = std::move(memory);
        fleet_.prefer(preferences_);
    }
}

Result<VmSpec> Placer::resolve(VmSpec spec, std::string_view default_pool) {
    const auto snapshot = store_->snapshot();
    if (spec.machine.empty()) spec.machine = machine_.in(snapshot);
    return storage::resolve_spec(*snapshot, std::move(spec), default_pool);
}

std::optional<HostId> Placer::choose(const scheduler::PlacementRequest& request, std::uint64_t seed) {
    refresh();
    fleet_.follow(store_->snapshot());
    return fleet_.choose(request, seed);
}

scheduler::Basis Placer::basis_of(const HostId& host, const VmSpec& spec) {
    refresh();
    fleet_.follow(store_->snapshot());
    return fleet_.basis_of(host, spec);
}

Placer::Hold Placer::hold(Claim claim) {
    ClaimId id = claim.id;
    fleet_.hold(std::move(claim));
    return {shared_from_this(), std::move(id)};
}

}  // namespace ballast::jobs
