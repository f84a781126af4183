#pragma once
// What VMs of one image save by sharing pages: per group, from the host's KSM counter alone. Decides nothing. Pure.
//
// A group of n alike VMs keeps one copy of what all have in common, c bytes, and saves (n - 1) c. The host shows only
// the sum over its groups, y = sum (n_g - 1) c_g. Each c_g is a mean and a variance; a reading corrects them by how
// unsure each is (Kalman's update, with only the diagonal of the covariance kept):
//   K_g = P_g (n_g - 1) / (sum P (n - 1)^2 + R),  c_g += K_g (y - expected),  P_g *= 1 - K_g (n_g - 1)
// The variances shrink only by readings of a mix of groups that was not read before: the same one again says nothing of
// how its groups share the sum. A group that was never seen has c = 20 % of a working set, give or take 15 %
// (Waldspurger, OSDI 2002: 7 to 33 % in production, 60 % for ten VMs alike).

#include <map>
#include <span>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/units.h"

namespace ballast::memory {

struct GroupMemo {
    double common = 0;    ///< c, bytes
    double variance = 0;  ///< of it
    int readings = 0;     ///< of different mixes
    friend bool operator==(const GroupMemo&, const GroupMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(GroupMemo, (), (common, variance, readings))

struct SharingMemo {
    std::map<std::string, GroupMemo> groups;
    std::map<std::string, int> mix;  ///< the last that was read: members by group
    friend bool operator==(const SharingMemo&, const SharingMemo&) = default;
};
BOOST_DESCRIBE_STRUCT(SharingMemo, (), (groups, mix))

/// The members of one group on a host.
struct GroupCount {
    std::string group;
    int members = 0;
    Bytes working_set;  ///< of a typical member
};

/// Counts the alike VMs of one host, one after the other.
class Groups {
  public:
    /// VMs without a group share with nobody.
    void add(const std::string& group, Bytes working_set);
    /// By name, each with what a typical member needs.
    [[nodiscard]] std::vector<GroupCount> counted() const;

  private:
    std::map<std::string, GroupCount> groups_;  ///< their working sets are sums
};

/// With what the host saves now. Give it only readings of a scan that has come to rest.
[[nodiscard]] SharingMemo learned(SharingMemo memo, std::span<const GroupCount> groups, Bytes saved);

/// 90 % of all outcomes are within low and high.
struct Saving {
    Bytes low;
    Bytes likely;
    Bytes high;
    bool measured = false;  ///< the interval is within a tenth of `likely`
    friend bool operator==(const Saving&, const Saving&) = default;
};
BOOST_DESCRIBE_STRUCT(Saving, (), (low, likely, high, measured))

[[nodiscard]] Saving saving_of(const SharingMemo& memo, const GroupCount& group);
/// Of all groups of a host together.
[[nodiscard]] Saving saving_of(const SharingMemo& memo, std::span<const GroupCount> groups);

/// What a move of one VM changes, with the members on both hosts before it, the VM among those of the source.
struct SharingMoved {
    Saving lost;    ///< at the source
    Saving gained;  ///< at the target, once KSM has scanned it
};
[[nodiscard]] SharingMoved sharing_moved(const SharingMemo& memo, const GroupCount& source, const GroupCount& target);

}  // namespace ballast::memory
