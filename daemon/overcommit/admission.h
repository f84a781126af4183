#pragma once
// Admission of memory by what was measured: the scheduler's seam (scheduler/memory_admission.h) filled from the
// pictures that the memory controllers published. Decides by memory/admission.h; reads no host and reserves nothing.
// Immutable once made, so any thread may ask it, and one object always gives the same answer.
//
// A VM counts with the mean and the deviation of its working set, on whichever host it was seen; one whose figures are
// not to be used, or whose balloon is never moved, with its maximum. A VM in no picture counts with its group's typical
// member, in which the crude guess has the weight of one member; without a group by that guess alone.
//
// A host has: total - its own - the policy's reserve, from its picture, or from its row where there is none, and then
// with the larger reserve of a host that is not seen. Sharing counts as far as the policy says, less what left with VMs
// that the question does not have there any more; it never backs a minimum.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "daemon/overcommit/picture.h"
#include "scheduler/memory_admission.h"

namespace ballast::overcommit {

class Admissions final : public scheduler::MemoryAdmission {
  public:
    /// Never null.
    explicit Admissions(std::shared_ptr<const Pictures> pictures);

    /// A host in danger admits nobody that is not there already.
    [[nodiscard]] scheduler::MemoryAnswer admits(const scheduler::MemoryQuestion& question) const override;
    [[nodiscard]] Bytes lost_sharing(const VmId& vm) const override;
    [[nodiscard]] std::optional<Bytes> free_now(const Host& host) const override;

  private:
    struct Seen {
        const HostPicture* host = nullptr;
        const VmPicture* vm = nullptr;
    };
    /// The members of a group that can be believed: what they use as parts of their maximum.
    struct Typical {
        double members = 0;
        double mean = 0;      ///< sums
        double squares = 0;   ///< of the means
        double variance = 0;  ///< of each
        Bytes qemu;           ///< what their QEMUs need beside, a sum too
    };

    void take_in(const HostPicture& host, const VmPicture& vm);
    [[nodiscard]] const HostPicture* picture_of(const Host& host) const;
    [[nodiscard]] memory::Demand demand_of(const scheduler::MemoryPart& part, const Host& host) const;
    [[nodiscard]] memory::Demand guess(const scheduler::MemoryPart& part) const;
    [[nodiscard]] Bytes sharing_kept(const scheduler::MemoryQuestion& question, const HostPicture& picture) const;
    [[nodiscard]] memory::AdmissionTerms terms_of(const scheduler::MemoryQuestion& question,
                                                  const HostPicture* picture) const;

    std::shared_ptr<const Pictures> pictures_;
    std::unordered_map<VmId, Seen> vms_;
    std::unordered_map<std::string, Typical> groups_;
};

/// The admissions of the newest pictures, made again only when a host was swept since. Thread-safe.
class AdmissionSource {
  public:
    explicit AdmissionSource(std::shared_ptr<const PictureBoard> board) : board_(std::move(board)) {}

    /// Never null.
    [[nodiscard]] std::shared_ptr<const Admissions> now() const;

  private:
    std::shared_ptr<const PictureBoard> board_;
    mutable std::mutex mutex_;
    mutable std::shared_ptr<const Pictures> pictures_;
    mutable std::shared_ptr<const Admissions> made_;
};

}  // namespace ballast::overcommit
