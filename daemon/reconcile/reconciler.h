#pragma once
// Reconciler: keeps the inventory true to what the hosts really run. It decides when to look; what it means is decided
// in merge.h, and nothing is ever corrected on a host. Three ways of looking:
//  - events: a hint from the driver, gathered per VM for a moment, then that one domain is read again (within 1 s);
//  - the sweep: one bulk call per host every 10 s for statistics; what differs from the rows is read again. It backs
//    off from a slow or failing host;
//  - the list: every domain of a host, after each (re)connect before the host is called up, and every few minutes.
// A host that is lost turns what it was seen to run into `unknown`; the next list tells what changed meanwhile.
//
// Every host is looked at by coroutines of its own with at most `reads_per_host` domain readings in flight, so one hung
// host or domain delays no other host. Loop thread only; stats() from any thread.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "core/clock.h"
#include "daemon/reconcile/applier.h"
#include "daemon/reconcile/pause.h"
#include "daemon/reconcile/registry.h"
#include "daemon/reconcile/stats.h"

namespace ballast::reconcile {

class PairChecker;

struct ReconcileOptions {
    Milliseconds sweep_interval{10'000};
    Milliseconds list_interval{5 * 60'000};
    Milliseconds pair_interval{10 * 60'000};
    Milliseconds pair_look{1'000};    ///< between two looks for a pair whose check is due
    Milliseconds settle{25};          ///< events of one action are gathered this long
    Milliseconds retry_pause{1'000};  ///< before a domain is read again that could not be read; doubles to a minute
    /// A VM that is defined nowhere is looked for this long before it is believed to be gone; while hosts are still
    /// being connected, up to `search_limit`.
    Milliseconds search{250};
    Milliseconds search_limit{30'000};
    std::size_t reads_per_host = 4;
    std::uint64_t jitter_seed = 0;  ///< of the pauses between sweeps; 0: the system's randomness
    StartVm start_vm = {};          ///< empty: nothing is started by itself
};

class Reconciler final : public Observer, public std::enable_shared_from_this<Reconciler> {
  public:
    Reconciler(boost::asio::any_io_executor loop, std::shared_ptr<store::Store> store,
               std::shared_ptr<Registry> registry, std::shared_ptr<const Clock> clock, std::shared_ptr<IdSource> ids,
               ReconcileOptions options = {});
    ~Reconciler() override;
    Reconciler(const Reconciler&) = delete;
    Reconciler& operator=(const Reconciler&) = delete;

    /// Begins to look; call it before Registry::start(). Needs to be owned by a shared_ptr.
    void start();
    /// Ends every wait; readings in flight end with their connections. Idempotent.
    void stop();

    drivers::Task<> observe(VmId vm, JobId job) override;
    drivers::Task<> observe_host(HostId host) override;
    drivers::Task<HostPair> check_pair(HostId from, HostId to) override;

    /// The statistics of the last sweeps. Any thread.
    [[nodiscard]] std::shared_ptr<const StatsTable> stats() const { return board_->now(); }

  private:
    /// What is being done about one host.
    struct Work {
        std::uint64_t round = 0;  ///< grows when the host is listed anew or lost: what began under an old one ends
        bool listed = false;
        std::set<VmId> dirty;
        std::set<VmId> reading;
        std::map<VmId, int> failures;
        bool pump_waits = false;
        std::set<VmId> domains;  ///< that it was last seen to define
        /// vCPUs that a sweep saw and the row named when they differed: read again once for each such pair (vCPUs
        /// online may well be fewer than defined).
        std::map<VmId, std::pair<int, int>> vcpus_asked;
    };
    [[nodiscard]] Work* current(const HostId& host, std::uint64_t round);

    // When to look.
    void on_driver_event(const drivers::DriverEvent& event);
    void on_link(const drivers::DriverEvent& event);
    void on_committed(const std::vector<Event>& events);
    void on_job_ended(const Job& job);
    void lose(const HostId& host, HostSaid::Kind kind);
    void mark_dirty(const HostId& host, const VmId& vm);
    void mark_dirty(const Snapshot& snapshot, const VmId& vm);
    void look_after(const Leftover& leftover);

    // Looking.
    drivers::Task<> list(HostId host, bool is_new);
    boost::asio::awaitable<std::optional<Timestamp>> find_boot(HostId host);
    static drivers::Task<> list_new(std::weak_ptr<Reconciler> weak, HostId host);
    boost::asio::awaitable<void> pump(HostId host);
    boost::asio::awaitable<void> read_dirty(HostId host, VmId vm, std::uint64_t round);
    boost::asio::awaitable<void> read_again(HostId host, VmId vm, std::uint64_t round, Milliseconds pause);
    boost::asio::awaitable<void> write_lost(HostId host, HostSaid::Kind kind);
    boost::asio::awaitable<void> prove(VmId vm, std::set<HostId> hosts);
    boost::asio::awaitable<void> search(VmId vm);
    boost::asio::awaitable<void> list_again(HostId host);
    drivers::Task<Reading> read(HostId host, VmId vm);
    drivers::Task<> read_all(VmId vm, std::set<HostId> hosts, std::shared_ptr<std::vector<Reading>> readings);
    boost::asio::awaitable<void> read_into(HostId host, VmId vm, std::shared_ptr<std::vector<Reading>> readings,
                                           std::shared_ptr<Result<void>> outcome, std::shared_ptr<Countdown> left);
    boost::asio::awaitable<Result<void>> apply(std::vector<Reading> readings, Cause cause);

    // sweep.cpp
    boost::asio::awaitable<void> sweep_for_ever(HostId host, std::uint64_t round);
    drivers::Task<> sweep(HostId host);
    void compare(const HostId& host, const HostSample& sample);
    [[nodiscard]] Milliseconds jittered(Milliseconds time);

    std::shared_ptr<Pauses> pauses_;
    std::shared_ptr<store::Store> store_;
    std::shared_ptr<Registry> registry_;
    std::shared_ptr<const Clock> clock_;
    ReconcileOptions options_;
    std::minstd_rand jitter_;
    std::shared_ptr<Applier> applier_;
    std::shared_ptr<StatsBoard> board_;
    std::shared_ptr<PairChecker> pairs_;
    std::map<HostId, Work> work_;
    std::set<VmId> proving_;
    std::set<VmId> searching_;
    std::shared_ptr<void> driver_events_;
    std::unique_ptr<store::Subscription> subscription_;
};

/// The hosts that may hold a copy of the VM: its owner, those that define it, those its jobs work with.
[[nodiscard]] std::set<HostId> hosts_of(const Snapshot& snapshot, const VmId& vm);

}  // namespace ballast::reconcile
