#pragma once
// What is known of moving VMs from one host to another (SAFETY.md 6 and 9): trust and ports as the source finds them,
// versions and models as the facts say, and for each pool of one name a nonce written through one host and read through
// the other.
//
// A nonce is a raw volume of 4 KiB named "ballast-nonce-<seconds since 1970>-<uuid>". It is deleted whatever happens;
// one that a crash left behind is removed at the next check of its pool once it is older than an hour. Nothing is
// written to an observed host, not even a nonce: its pools are `unknown`. A few pairs are checked at once, but never
// two that share a host, so that no host has to answer more than one check. Loop thread only; the pure parts from any
// thread.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/clock.h"
#include "daemon/reconcile/host_registry.h"
#include "daemon/reconcile/pause.h"
#include "daemon/store/store.h"

namespace ballast::reconcile {

// Pure parts.

/// What the facts of two hosts say about moving from one to the other.
[[nodiscard]] std::vector<PairCheck> compare_hosts(const Host& from, const Host& to);
struct ComparedFeatures {
    PairCheck check;
    std::vector<std::string> missing;  ///< what guests with the source's own CPU would miss on the target
};
/// By libvirt's names, sorted; empty: not known.
[[nodiscard]] ComparedFeatures compare_features(const Host& to, const std::vector<std::string>& on_source,
                                                const std::vector<std::string>& on_target);
/// The names of pools that both hosts have.
[[nodiscard]] std::vector<std::string> common_pools(const Snapshot& snapshot, const HostId& from, const HostId& to);
/// Whether pools of this type take a file that both hosts could see.
[[nodiscard]] bool takes_a_nonce(const Pool& pool);
/// Why no nonce may be written for this pool of the two hosts; empty: it may.
[[nodiscard]] std::string obstacle(const Snapshot& snapshot, const Host& from, const Host& to, const std::string& pool);
[[nodiscard]] std::string nonce_name(Timestamp now, const std::string& uuid);
/// Whether the volume is a nonce that a crash left behind.
[[nodiscard]] bool is_leftover(const std::string& volume, Timestamp now);

/// Ten hosts have 90 pairs of about a second each: one after the other they would take minutes.
inline constexpr std::size_t checks_at_once = 4;
/// How many pairs are looked at to find the next: a thousand hosts have a million, and the loop must not stand still.
/// Of up to a hundred hosts all are.
inline constexpr std::size_t pairs_looked_at = 10'000;

class PairChecker : public std::enable_shared_from_this<PairChecker> {
  public:
    PairChecker(std::shared_ptr<Pauses> pauses, std::shared_ptr<store::Store> store,
                std::shared_ptr<HostRegistry> hosts, std::shared_ptr<const Clock> clock, std::shared_ptr<IdSource> ids,
                Milliseconds interval, Milliseconds look);

    /// Checks the pair now and stores it. Errors: not_found, invalid_argument (the same host), unavailable.
    drivers::Task<HostPair> check(HostId from, HostId to);
    /// Keeps the pairs of managed hosts that are up fresh, the oldest first, until the pauses end. At most
    /// `checks_at_once` at a time.
    boost::asio::awaitable<void> keep_fresh();

  private:
    boost::asio::awaitable<ComparedFeatures> compare_cpus(std::shared_ptr<drivers::HostDriver> source,
                                                          std::shared_ptr<drivers::HostDriver> target, Host to);
    drivers::Task<PairCheck> check_pool(Host from, Host to, std::string pool);
    drivers::Task<PairCheck> prove(std::shared_ptr<drivers::HostDriver> from, std::shared_ptr<drivers::HostDriver> to,
                                   std::string pool, std::string volume);
    drivers::Task<> write_nonce(std::shared_ptr<drivers::HostDriver> host, std::string pool, std::string volume,
                                std::string content);
    boost::asio::awaitable<void> remove_leftovers(std::shared_ptr<drivers::HostDriver> host, std::string pool);
    drivers::Task<HostPair> store(HostPair pair);
    [[nodiscard]] std::optional<std::pair<HostId, HostId>> most_urgent();
    void follow_ready(const std::shared_ptr<const Snapshot>& snapshot);
    [[nodiscard]] Timestamp looked_at(const Snapshot& snapshot, const HostId& from, const HostId& to) const;
    void begin_checks();
    boost::asio::awaitable<void> check_one(HostId from, HostId to);

    std::shared_ptr<Pauses> pauses_;
    std::shared_ptr<store::Store> store_;
    std::shared_ptr<HostRegistry> hosts_;
    std::shared_ptr<const Clock> clock_;
    std::shared_ptr<IdSource> ids_;
    Milliseconds interval_;
    Milliseconds look_;                  ///< between two looks for a pair that is due
    std::set<HostId> busy_;              ///< hosts of the checks that run now
    std::map<PairId, Timestamp> tried_;  ///< also those that failed
    std::shared_ptr<const Snapshot> seen_ = std::make_shared<const Snapshot>();  ///< by which `ready_` was found
    std::vector<std::shared_ptr<const Host>> ready_;
    std::map<HostId, Timestamp> ready_since_;  ///< what was found before a host was (again) ready is not fresh
    std::size_t looked_up_to_ = 0;             ///< where the next look goes on when it can't be at all pairs
};

}  // namespace ballast::reconcile
