#pragma once
// The seam between placement and whoever knows how much memory VMs really want: whether one more VM may come to a host
// whose memory is promised more than once. The rule working_set_fit asks it there, and only where the promises fit
// (memory_fit); nobody asks it of a host that does not overcommit. Pure; no implementation stands here
// (daemon/overcommit/admission.h).

#include <optional>
#include <span>
#include <string>

#include "core/snapshot.h"
#include "scheduler/memory_demand.h"

namespace ballast::scheduler {

/// One VM of the question, and what is known of it without the controller, which may know better by the id.
struct MemoryPart {
    VmId vm;  ///< empty: a VM that has run nowhere yet
    const VmSpec* spec = nullptr;
    MemoryDemand demand;
};

/// A VM that moves is a part on both of its hosts until its source forgets it: each must back a whole copy.
struct MemoryQuestion {
    const Host& host;
    std::span<const MemoryPart> there;  ///< also those that are claimed to come
    const MemoryPart& fresh;            ///< not among those that are there
    Bytes held;                         ///< claims and caches that no part stands for, whole
    bool moves = false;                 ///< the fresh one comes by a live move, with what it has in memory
};

struct MemoryAnswer {
    bool admitted = true;
    bool about_minimums = false;  ///< it was refused because the guaranteed minimums do not fit physically
    double risk = 0;              ///< with the fresh one, that demand exceeds what the host can give
    Bytes missing;                ///< what the host would need to have more; 0: that is not why
    std::string words;            ///< "p99 demand leaves 3.8 GiB; 0.02 %", or what does not fit
    friend bool operator==(const MemoryAnswer&, const MemoryAnswer&) = default;
};

/// Thread-safe; one object always gives the same answer to the same question.
class MemoryAdmission {
  public:
    MemoryAdmission() = default;
    MemoryAdmission(const MemoryAdmission&) = delete;
    MemoryAdmission& operator=(const MemoryAdmission&) = delete;
    virtual ~MemoryAdmission() = default;

    [[nodiscard]] virtual MemoryAnswer admits(const MemoryQuestion& question) const = 0;
    /// Memory that is shared where the VM runs, and must be backed once more when it has left.
    [[nodiscard]] virtual Bytes lost_sharing(const VmId& vm) const = 0;
    /// Physically free above the reserve when the host was looked at last; nothing: it was not.
    [[nodiscard]] virtual std::optional<Bytes> free_now(const Host& host) const = 0;
};

}  // namespace ballast::scheduler
