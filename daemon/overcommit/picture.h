#pragma once
// What the memory controller last saw and decided of every host: published per sweep as an immutable value, in memory
// only, never through the store's writer (ARCHITECTURE.md 2). PictureBoard is thread-safe; what it gives out never
// changes.

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "drivers/types.h"
#include "memory/control.h"

namespace ballast::overcommit {

/// How much of a host the controller sees beyond libvirt.
enum class Sight : std::uint8_t {
    blind,      ///< no exporter is configured: a larger reserve is kept
    full,       ///< its pressure and swapping are read
    unreadable  ///< the exporter does not answer, or says nothing that can be used
};
BOOST_DESCRIBE_ENUM(Sight, blind, full, unreadable)

/// One VM of a host, as it was told to the controller and as that saw it.
struct VmPicture {
    VmId vm;
    std::string name;
    Bytes maximum;
    Bytes minimum;
    Bytes balloon;
    Bytes resident;
    Bytes overhead;  ///< of QEMU, measured
    Bytes target;    ///< the balloon's, where one was given in this sweep; else what it has
    MemoryPolicy policy = MemoryPolicy::none;
    std::string group;
    memory::WorkingSet working_set;
    std::string left_alone;  ///< why its balloon is not moved; empty: it may be
    friend bool operator==(const VmPicture&, const VmPicture&) = default;
};
BOOST_DESCRIBE_STRUCT(VmPicture, (),
                      (vm, name, maximum, minimum, balloon, resident, overhead, target, policy, group, working_set,
                       left_alone))

/// What it has in memory, QEMU included: a host that it comes to finds so much filled, nothing of it merged and nothing
/// swapped out. Where nobody says it, all that it may have.
[[nodiscard]] inline Bytes brought_by(const VmPicture& vm) {
    const bool said = vm.resident > Bytes(0) && vm.working_set.trust == memory::Trust::trusted;
    const Bytes filled = saturating_sub(vm.balloon, vm.working_set.unused) + vm.overhead;
    return said ? std::max(vm.resident, filled) : vm.maximum + vm.overhead;
}

/// The settings of a host's page merging: as they were read, before this sweep set any, and whose they are.
struct KsmPicture {
    std::optional<drivers::KsmSettings> now;  ///< nothing: the host has no KSM
    std::optional<memory::KsmFound> found;    ///< before Ballast's first; put back when it lets go of the host
    std::optional<std::int64_t> set;          ///< Ballast's scan rate; nothing: it set none
    std::optional<bool> set_across;           ///< Ballast's merging across NUMA nodes; nothing: it left that as it was
    bool managed = false;                     ///< Ballast tunes them now
    Timestamp stands_back_until;              ///< from somebody else who tunes them; the epoch: nobody was noticed
    friend bool operator==(const KsmPicture&, const KsmPicture&) = default;
};
BOOST_DESCRIBE_STRUCT(KsmPicture, (), (now, found, set, set_across, managed, stands_back_until))

struct HostPicture {
    HostId host;
    Timestamp at;
    MemoryPolicy policy = MemoryPolicy::none;
    Sight sight = Sight::blind;
    std::string sight_why;      ///< of an exporter that cannot be read
    std::string standing_back;  ///< why nothing is changed on this host just now; empty: nothing holds it
    memory::Level level = memory::Level::comfortable;
    Timestamp level_since;
    std::string level_why;
    memory::HostLedger ledger;
    memory::Admission risk;
    memory::KsmDecision ksm;
    KsmPicture merging;
    memory::Saving saving;  ///< by page sharing, expected of its groups
    Bytes unmet;            ///< missing to working sets and margins
    bool admits = true;
    std::vector<VmPicture> vms;  ///< by name

    // For admission alone (admission.h); not shown.
    Bytes sure_sharing = {};           ///< saved now, less what un-sharing takes back within an hour (memory/ksm.h)
    memory::SharingMemo sharing = {};  ///< what its groups share
    memory::RiskModel model = {};      ///< with what was measured of this host (memory/correlation.h)
    /// The most that a VM may fill as it boots there, or bring as it moves there, once the others were made smaller for
    /// it.
    std::optional<Bytes> start_room = {};
    friend bool operator==(const HostPicture&, const HostPicture&) = default;
};
BOOST_DESCRIBE_STRUCT(HostPicture, (),
                      (host, at, policy, sight, sight_why, standing_back, level, level_since, level_why, ledger, risk,
                       ksm, merging, saving, unmet, admits, vms))

using Pictures = std::map<HostId, std::shared_ptr<const HostPicture>>;

class PictureBoard {
  public:
    [[nodiscard]] std::shared_ptr<const Pictures> all() const;
    /// nullptr: this host was not swept yet.
    [[nodiscard]] std::shared_ptr<const HostPicture> find(const HostId& host) const;
    void publish(HostPicture picture);
    void forget(const HostId& host);

  private:
    mutable std::mutex mutex_;
    Pictures pictures_;
    mutable std::shared_ptr<const Pictures> given_out_;  ///< nullptr: out of date
};

}  // namespace ballast::overcommit
