#pragma once
// The placer: what new VMs ask of the whole inventory, kept up to date from the store's snapshots, so that nobody walks
// over every host for each of them: one fleet (scheduler/fleet/fleet.h) for all jobs, and the hosts' machine. It
// decides as scheduler::decide() does and claims nothing; what it has decided counts at once (`hold`), so that creates
// that run side by side do not all choose the same host. Thread rule: loop thread.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "daemon/store/store.h"
#include "scheduler/fleet/fleet.h"
#include "storage/common_machine.h"

namespace ballast::jobs {

class Placer : public std::enable_shared_from_this<Placer> {
  public:
    using Source = std::function<scheduler::Preferences()>;

    /// `source` is asked again once what it said is `stale`: what VMs use changes slowly, and what was ranked by it is
    /// ranked again. Without one: only prefer().
    explicit Placer(std::shared_ptr<store::Store> store, Source source = {}, Milliseconds stale = {})
        : store_(std::move(store)), source_(std::move(source)), stale_(stale) {}

    /// A claim that counts while this lives, or until the store has it.
    class Hold {
      public:
        Hold(std::shared_ptr<Placer> placer, ClaimId claim) : placer_(std::move(placer)), claim_(std::move(claim)) {}
        Hold(Hold&&) noexcept = default;
        Hold& operator=(Hold&&) = delete;
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        ~Hold() {
            if (placer_) placer_->fleet_.release(claim_);
        }

      private:
        std::shared_ptr<Placer> placer_;
        ClaimId claim_;
    };

    /// Compares hosts by these from now on. What was ranked by others is ranked again, so not for each request.
    void prefer(scheduler::Preferences preferences);
    [[nodiscard]] const scheduler::Preferences& preferences() const { return preferences_; }

    /// storage::resolve_spec on the latest snapshot. Errors: its own.
    [[nodiscard]] Result<VmSpec> resolve(VmSpec spec, std::string_view default_pool);
    /// The best host by the latest snapshot and what is held, or none.
    [[nodiscard]] std::optional<HostId> choose(const scheduler::PlacementRequest& request, std::uint64_t seed);
    /// What the guard of a claim on that host needs (scheduler/placement.h, check_claim).
    [[nodiscard]] scheduler::Basis basis_of(const HostId& host, const VmSpec& spec);
    [[nodiscard]] Hold hold(Claim claim);

  private:
    void refresh();

    std::shared_ptr<store::Store> store_;
    Source source_;
    Milliseconds stale_;
    std::optional<std::chrono::steady_clock::time_point> asked_;
    std::optional<std::chrono::steady_clock::time_point> memory_asked_;
    scheduler::Preferences preferences_;
    scheduler::Fleet fleet_;
    storage::CommonMachine machine_;
};

}  // namespace ballast::jobs
