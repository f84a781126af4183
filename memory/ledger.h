#pragma once
// Where every byte of a host's memory is. Counts; decides nothing. Pure.
//
// The host's pages, and what each holds:
//   total = guest_in_use + page_cache + guest_unused + shared + overhead + host_cache + host_own + reserve + free
//           + unexplained
// exactly; `unexplained` is what is left of `total`, and negative where the parts are more (they are not read at one
// moment). A guest's part of resident memory is split by its own figures; one whose figures are not to be used is in
// use as a whole. KSM counts a merged page in every process that maps it: `saved` is taken off what is in use, and
// `shared` are the copies that are kept. Beside it the promises: promised = resident_guest + ballooned + never_touched.

#include <span>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "memory/facts.h"
#include "memory/working_set.h"

namespace ballast::memory {

struct HostLedger {
    Bytes total;
    Bytes guest_in_use;
    Bytes page_cache;    ///< of guests
    Bytes guest_unused;  ///< resident, and holds nothing for its guest
    Bytes shared;        ///< copies that KSM keeps
    Bytes overhead;      ///< of QEMU processes
    Bytes host_cache;
    Bytes host_own;  ///< of the host itself, within what is reserved for it
    Bytes reserve;   ///< free, and kept so by the policy
    Bytes free;      ///< beyond that
    Bytes unexplained;

    Bytes saved;          ///< by page sharing
    Bytes promised;       ///< maximums of all VMs
    Bytes ballooned;      ///< taken back from guests
    Bytes never_touched;  ///< promised, not ballooned, not resident
    friend bool operator==(const HostLedger&, const HostLedger&) = default;
};
BOOST_DESCRIBE_STRUCT(HostLedger, (),
                      (total, guest_in_use, page_cache, guest_unused, shared, overhead, host_cache, host_own, reserve,
                       free, unexplained, saved, promised, ballooned, never_touched))

/// One working set for each VM, in their order.
[[nodiscard]] HostLedger ledger_of(const HostMemory& host, std::span<const VmMemory> vms,
                                   std::span<const WorkingSet> working_sets, Bytes reserve);

/// A line of it: its name, as it is shown, and how much.
struct LedgerRow {
    std::string name;
    Bytes bytes;
};
/// The rows that sum to the total, in their order.
[[nodiscard]] std::vector<LedgerRow> rows_of(const HostLedger& ledger);

}  // namespace ballast::memory
