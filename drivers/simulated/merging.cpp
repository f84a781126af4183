#include "drivers/simulated/merging.h"

#include <algorithm>

namespace ballast::drivers::simulated {
namespace {

constexpr double page = 4096;
/// Pages that came within such a part of a pass are counted as one cohort.
constexpr double grain = 1.0 / 64;
/// Passes until the scanner begins to merge a page, and until it has merged all of its age.
constexpr double first_merge = 1;
constexpr double all_merged = 2;

/// The share of a cohort that has been passed twice.
double ripe(double age) {
    return std::clamp(age - first_merge, 0.0, all_merged - first_merge);
}

}  // namespace

double EqualPages::all() const {
    double sum = merged_;
    for (const Cohort& cohort : fresh_) sum += cohort.bytes;
    return sum;
}

double EqualPages::merged(double passes) const {
    double sum = merged_;
    for (const Cohort& cohort : fresh_) sum += cohort.bytes * ripe(passes - cohort.born);
    return sum;
}

void EqualPages::ripen(double passes) {
    while (!fresh_.empty() && passes - fresh_.front().born >= all_merged) {
        merged_ += fresh_.front().bytes;
        fresh_.pop_front();
    }
}

void EqualPages::resize(double bytes, double passes) {
    double change = bytes - all();
    if (change >= page) {
        if (fresh_.empty() || passes - fresh_.back().born > grain)
            fresh_.push_back({passes, change});
        else
            fresh_.back().bytes += change;
        return;
    }
    while (change < 0 && !fresh_.empty()) {
        const double gone = std::min(-change, fresh_.back().bytes);
        fresh_.back().bytes -= gone;
        change += gone;
        if (fresh_.back().bytes <= 0) fresh_.pop_back();
    }
    if (change < 0) merged_ = std::max(merged_ + change, 0.0);
}

void EqualPages::unshare(double bytes, double passes) {
    const double broken = std::min(bytes, merged_);
    const double held = all();
    merged_ -= broken;
    resize(held, passes);
}

void EqualPages::merge_all() {
    merged_ = all();
    fresh_.clear();
}

void EqualPages::forget(double passes) {
    const double held = all();
    merged_ = 0;
    fresh_.clear();
    resize(held, passes);
}

double Scanner::rate() const {
    if (!runs || settings.pages_to_scan <= 0) return 0;
    const auto pages = static_cast<double>(settings.pages_to_scan);
    const double each =
        static_cast<double>(std::max<std::int64_t>(settings.sleep_ms, 0)) / 1'000.0 + pages * scan_seconds_per_page;
    return pages * page / each;
}

void Scanner::scan(double mergeable, double seconds) {
    if (mergeable >= page) passes += rate() * seconds / mergeable;
}

void Merged::add(const std::string& group, double bytes) {
    Group& of = groups_[group];
    of.sum += bytes;
    of.second = std::max(of.second, std::min(of.largest, bytes));
    of.largest = std::max(of.largest, bytes);
}

/// Guests of a group hold the same pages from its first on, so many as each has.
double Merged::kept() const {
    double sum = 0;
    for (const auto& [name, group] : groups_) sum += group.second;
    return sum;
}

double Merged::saved() const {
    double sum = 0;
    for (const auto& [name, group] : groups_) sum += group.sum - group.largest;
    return sum;
}

}  // namespace ballast::drivers::simulated
