#pragma once
// The kernel's page merging (KSM) of one simulated host, as a fluid: the scanner goes round all mergeable memory, page
// after page. A page is merged when it comes by for the second time (the first only takes its checksum), if another
// guest of the group holds an equal page that was merged as well. Time is counted in passes. Pure.

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "drivers/types.h"

namespace ballast::drivers::simulated {

/// The equal pages of one guest, in bytes: merged ones, and others by when they came.
class EqualPages {
  public:
    /// So many it holds now; new ones are `passes` old by the scanner's count, and those that go are the youngest.
    void resize(double bytes, double passes);
    /// Written to: no longer equal until the scanner has come by twice again.
    void unshare(double bytes, double passes);
    /// As if the scanner had long since been everywhere.
    void merge_all();
    /// On another host nothing of it is merged.
    void forget(double passes);
    [[nodiscard]] double merged(double passes) const;
    [[nodiscard]] double all() const;
    /// Whether the scanner will merge more of them.
    [[nodiscard]] bool ripens() const { return !fresh_.empty(); }
    /// Takes note of what has been merged by now.
    void ripen(double passes);

  private:
    struct Cohort {
        double born;
        double bytes;
    };
    double merged_ = 0;
    std::deque<Cohort> fresh_;  ///< oldest first
};

/// The scanner's settings, and how far it is.
struct Scanner {
    KsmSettings settings{.pages_to_scan = 100, .sleep_ms = 20, .merge_across_nodes = true};  ///< the kernel's defaults
    bool runs = true;                                                                        ///< /sys/kernel/mm/ksm/run
    bool advised = false;  ///< the kernel's advisor sets pages_to_scan
    double passes = 0;

    /// Bytes scanned in a second.
    [[nodiscard]] double rate() const;
    void scan(double mergeable, double seconds);
};

/// What is merged on the host, group by group.
class Merged {
  public:
    void add(const std::string& group, double bytes);
    [[nodiscard]] double kept() const;   ///< one copy of each page that several guests hold
    [[nodiscard]] double saved() const;  ///< the further ones

  private:
    struct Group {
        double sum = 0;
        double largest = 0;
        double second = 0;
    };
    std::map<std::string, Group> groups_;
};

/// Seconds that ksmd takes for a page.
inline constexpr double scan_seconds_per_page = 5e-6;

}  // namespace ballast::drivers::simulated
