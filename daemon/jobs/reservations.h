#pragma once
// Reservations: room that is held for VMs to come until it is taken, let go, or expires. A reservation is a group of
// claims without a job (core/job.h), one for each VM. They count like every other claim, so no rule knows of them. A VM
// that names a reservation takes one of its places: from then on that counts against everybody but this VM, does not
// expire, and ends when the VM is there; a create that fails leaves it open again. Expiry goes by the wall clock. Any
// thread; what takes a Transaction runs on the writer's, so that nobody gets the same room twice.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>

#include "daemon/jobs/params.h"
#include "daemon/store/store.h"
#include "scheduler/batch.h"
#include "scheduler/fleet/residency.h"

namespace ballast::jobs {

/// One VM of a batch.
struct BatchVm {
    std::string name;
    VmSpec spec;
    std::string host;  ///< name or id; empty: any
};
BOOST_DESCRIBE_STRUCT(BatchVm, (), (name, spec, host))

/// Several at once, only in thought: the body of POST /api/v1/placements/batch.
struct BatchAsk {
    std::vector<BatchVm> vms;
};
BOOST_DESCRIBE_STRUCT(BatchAsk, (), (vms))

/// The body of POST /api/v1/reservations.
struct ReservationAsk {
    std::string name;
    std::vector<BatchVm> vms;          ///< all or nothing
    std::optional<Seconds> lasts;      ///< an hour where neither this nor `expires` is given
    std::optional<Timestamp> expires;  ///< instead of `lasts`
    std::string note;
};
BOOST_DESCRIBE_STRUCT(ReservationAsk, (), (name, vms, lasts, expires, note))

struct ReservationView {
    std::string name;
    std::string note;
    Timestamp created;
    std::optional<Timestamp> expires;
    std::vector<Claim> claims;  ///< places that are left, by name; one that is being taken names its VM
};
BOOST_DESCRIBE_STRUCT(ReservationView, (), (name, note, created, expires, claims))

/// The requests of a batch; empty pools become the default one. Errors: invalid_argument, not_found (a host).
[[nodiscard]] Result<std::vector<scheduler::BatchMember>> batch_of(const Snapshot& snapshot,
                                                                   const std::vector<BatchVm>& vms,
                                                                   const std::string& default_pool);

/// A batch as it was decided, with what its guard needs to judge each place again.
struct PlacedBatch {
    std::vector<scheduler::BatchMember> members;
    scheduler::BatchDecision decision;
    std::vector<scheduler::Basis> bases;  ///< by member; none where the batch was not placed
};
[[nodiscard]] PlacedBatch place_batch(const std::shared_ptr<const Snapshot>& snapshot,
                                      std::vector<scheduler::BatchMember> members,
                                      const scheduler::Preferences& preferences);

/// Makes the claims where the batch was placed. Errors: invalid_argument (name, note, expiry), already_exists (the
/// name), the refusal of a batch that was not placed, and what check_claim says where somebody was faster.
[[nodiscard]] Result<ReservationView> reserve(store::Transaction& transaction, const ReservationAsk& ask,
                                              const PlacedBatch& batch);

/// By name.
[[nodiscard]] std::vector<ReservationView> list_reservations(const Snapshot& snapshot);
/// Errors: not_found.
[[nodiscard]] Result<ReservationView> find_reservation(const Snapshot& snapshot, std::string_view name);
/// Errors: not_found, failed_precondition (a VM is taking a place of it).
[[nodiscard]] Result<ReservationView> release(store::Transaction& transaction, std::string_view name);

/// The place that a VM with these parameters takes: that of its name, else the first that is large enough. Errors:
/// not_found (no such reservation, no such host), conflict (every place is being taken), invalid_argument (none is on
/// the host), resource_exhausted (all are smaller than the VM).
[[nodiscard]] Result<std::shared_ptr<const Claim>> find_place(const Snapshot& snapshot, const VmCreateParams& params,
                                                              Timestamp now);
/// Gives that place to this VM. Errors: those of find_place.
[[nodiscard]] Result<void> take_place(store::Transaction& transaction, const VmCreateParams& params, const VmId& vm);
/// The place that this VM took and has not used yet, or nullptr.
[[nodiscard]] std::shared_ptr<const Claim> place_of(const Snapshot& snapshot, const VmId& vm);
/// The VM is there: the place that it took ends.
void use_up_place(store::Transaction& transaction, const VmId& vm);
/// The VM does not come: the place that it took is open again.
void leave_place(store::Transaction& transaction, const VmId& vm);

/// Errors: failed_precondition naming the reservations on this host.
[[nodiscard]] Result<void> check_nothing_reserved(const Snapshot& snapshot, const Host& host);

[[nodiscard]] bool any_expired(const Snapshot& snapshot, Timestamp now);
/// Lets go what has expired by the transaction's clock. Returns how many places that were.
int drop_expired(store::Transaction& transaction);

}  // namespace ballast::jobs
