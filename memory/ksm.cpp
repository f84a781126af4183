#include "memory/ksm.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

constexpr Milliseconds unsharing_constant{10 * 60'000};

double pass_seconds(const KsmReading& reading, const KsmOptions& options) {
    return static_cast<double>(std::max<std::int64_t>(reading.sleep_ms, 1)) / 1000 +
           static_cast<double>(std::max<std::int64_t>(reading.pages_to_scan, 0)) * options.seconds_per_page;
}
double scan_rate(const KsmReading& reading, const KsmOptions& options) {
    return static_cast<double>(std::max<std::int64_t>(reading.pages_to_scan, 0)) / pass_seconds(reading, options);
}

/// Something else than any one of them changes: a sum with odd factors.
std::int64_t digest(const KsmReading& r) {
    return r.pages_shared + 3 * r.pages_sharing + 7 * r.pages_unshared + 31 * r.pages_volatile + 127 * r.full_scans;
}

/// One decision, in the order in which reasons outrank each other.
class Tuner {
  public:
    Tuner(const KsmReading& reading, const KsmTerms& terms, const KsmMemo& memo, Timestamp now,
          const KsmOptions& options)
        : reading_(reading), terms_(terms), memo_(memo), now_(now), options_(options) {}

    KsmStep step() && {
        if (memo_.at == Timestamp{}) begin();
        account();
        KsmDecision decision = decide();
        decision.gain = memo_.gain;
        memo_.state = decision.state;
        memo_.at = now_;
        memo_.sharing = reading_.pages_sharing;
        memo_.counters = digest(reading_);
        return {std::move(decision), memo_};
    }

  private:
    void begin() {
        memo_.sharing = reading_.pages_sharing;
        memo_.counters = digest(reading_);
        open_window(true);
    }

    void open_window(bool first) {
        memo_.window_from = now_;
        memo_.window_sharing = reading_.pages_sharing;
        memo_.window_scanned = memo_.window_cpu = 0;
        memo_.first_window = first;
    }

    /// What should have been scanned since the last sweep, and what was seen of it.
    void account() {
        if (memo_.at == Timestamp{}) return;
        const Milliseconds elapsed = between(memo_.at, now_);
        const double seconds = std::max(seconds_of(elapsed), 0.0);
        const double scanned = scan_rate(reading_, options_) * seconds;
        memo_.window_scanned += scanned;
        memo_.window_cpu += scanned * options_.seconds_per_page;
        const bool moved = digest(reading_) != memo_.counters;
        memo_.still = moved ? 0 : memo_.still + scanned;
        memo_.still_for = moved || scanned <= 0 ? Milliseconds(0) : memo_.still_for + elapsed;
        if (memo_.sharing <= 0 || seconds <= 0) return;
        const double of_late = weight_after(elapsed, unsharing_constant);
        const double fewer = std::max(static_cast<double>(memo_.sharing - reading_.pages_sharing), -memo_.lost);
        memo_.lost = (memo_.lost + fewer) * (1 - of_late);
        const double rate = fewer / static_cast<double>(memo_.sharing) / seconds;
        memo_.unsharing += of_late * (rate - memo_.unsharing);
    }

    KsmDecision decide() {
        if (terms_.cpu_share <= 0) return off();
        if (auto foreign = somebody_else()) return *std::move(foreign);
        if (terms_.plenty) return plenty();
        if (stands_still()) return stopped();
        if (rests()) return resting();
        return scan();
    }

    KsmDecision off() {
        memo_.found.reset();  // who changes it from now on, changes what will be found
        memo_.set.reset();
        memo_.set_across.reset();
        return {.state = KsmState::off, .why = "the policy leaves KSM as it is"};
    }

    std::optional<KsmDecision> somebody_else() {
        const std::int64_t is = reading_.pages_to_scan;
        if (memo_.state == KsmState::foreign) {
            if (is != memo_.theirs) memo_.until = now_ + options_.stand_back;
            memo_.theirs = is;
            if (now_ < memo_.until) return foreign();
            memo_.set.reset();
            open_window(true);
            return std::nullopt;
        }
        if (!memo_.set || *memo_.set == is) return std::nullopt;
        memo_.theirs = is;
        memo_.until = now_ + options_.stand_back;
        return foreign();
    }

    [[nodiscard]] KsmDecision foreign() const {
        return {
            .state = KsmState::foreign,
            .why = fmt::format("scans {} pages at a time where {} were set: somebody else tunes it, or the kernel's "
                               "advisor does",
                               memo_.theirs, memo_.set.value_or(0))};
    }

    KsmDecision plenty() {
        open_window(true);
        return set(0, {.state = KsmState::plenty, .why = "all maximums fit: sharing wins nothing"});
    }

    /// Two passes should be done and no counter has moved. With nothing to scan there is nothing to see.
    [[nodiscard]] bool stands_still() const {
        const double registered = as_double(terms_.registered) / page_size;
        return registered > 0 && memo_.still_for >= options_.window && memo_.still >= 2 * registered;
    }

    KsmDecision stopped() {
        open_window(true);
        return {.state = KsmState::stopped,
                .why = "no counter moves: KSM does not run on this host (/sys/kernel/mm/ksm/run)"};
    }

    bool rests() {
        if (memo_.state != KsmState::resting || now_ >= memo_.until) return false;
        // More VMs are a new chance. Of VMs that have ended the kernel counts the pages until a pass takes them out.
        const double now = as_double(terms_.registered);
        return now <= 1.05 * as_double(memo_.registered) && now >= 0.95 * as_double(memo_.registered);
    }

    KsmDecision resting() {
        return set(0, {.state = KsmState::resting,
                       .why = fmt::format("{:.0f} pages per CPU second are not worth it", memo_.gain)});
    }

    [[nodiscard]] std::int64_t fastest() const {
        const double share = terms_.cpu_share * (terms_.pressed ? options_.under_pressure : 1);
        return std::max(pages_for_share(share, reading_.sleep_ms, options_), options_.slowest);
    }

    KsmDecision scan() {
        if (memo_.state != KsmState::scanning) {
            open_window(true);
            return at_rate(fastest(), "two passes will show what there is to share");
        }
        const double passes = memo_.window_scanned / std::max(as_double(terms_.registered) / page_size, 1.0);
        const bool long_enough = between(memo_.window_from, now_) >= options_.window;
        if (!long_enough || passes < (memo_.first_window ? 2 : 1))
            return at_rate(std::min(reading_.pages_to_scan, fastest()), "not yet through");
        memo_.gain = static_cast<double>(std::max<std::int64_t>(reading_.pages_sharing - memo_.window_sharing, 0)) /
                     std::max(memo_.window_cpu, 1e-6);
        open_window(false);
        return by_gain();
    }

    KsmDecision by_gain() {
        if (memo_.gain >= options_.worth) {
            memo_.fruitless = 0;
            return at_rate(std::min(2 * reading_.pages_to_scan, fastest()),
                           fmt::format("saves {:.0f} pages per CPU second", memo_.gain));
        }
        if (reading_.pages_to_scan / 2 >= options_.slowest)
            return at_rate(std::min(reading_.pages_to_scan / 2, fastest()),
                           fmt::format("saves only {:.0f} pages per CPU second", memo_.gain));
        memo_.until = now_ + options_.rest * (1 << std::min(memo_.fruitless, 3));
        ++memo_.fruitless;
        memo_.registered = terms_.registered;
        return resting();
    }

    KsmDecision at_rate(std::int64_t pages, std::string why) {
        KsmDecision decision{.state = KsmState::scanning, .why = std::move(why)};
        // The kernel lets this be changed only while nothing is shared.
        if (terms_.numa_cells > 1 && reading_.merge_across_nodes && reading_.pages_shared == 0)
            decision.merge_across_nodes = memo_.set_across = false;
        return set(std::max(pages, options_.slowest), std::move(decision));
    }

    /// What was there right before the first change is what is put back: until then it is anybody's to change.
    KsmDecision set(std::int64_t pages, KsmDecision decision) {
        if (!memo_.found) memo_.found = KsmFound{reading_.pages_to_scan, reading_.merge_across_nodes};
        if (reading_.pages_to_scan != pages) decision.pages_to_scan = pages;
        memo_.set = pages;
        KsmReading then = reading_;
        then.pages_to_scan = pages;
        decision.cpu_share = scan_rate(then, options_) * options_.seconds_per_page;
        return decision;
    }

    const KsmReading& reading_;
    const KsmTerms& terms_;
    KsmMemo memo_;
    Timestamp now_;
    const KsmOptions& options_;
};

}  // namespace

KsmStep tune_ksm(const std::optional<KsmReading>& reading, const KsmTerms& terms, const KsmMemo& memo, Timestamp now,
                 const KsmOptions& options) {
    if (!reading) return {{.state = KsmState::absent, .why = "the host shows no KSM"}, memo};
    return Tuner(*reading, terms, memo, now, options).step();
}

std::optional<KsmFound> restored(const KsmMemo& memo, const KsmReading& now) {
    if (!memo.found || !memo.set) return std::nullopt;
    if (*memo.found == KsmFound{now.pages_to_scan, now.merge_across_nodes}) return std::nullopt;
    return memo.found;
}

Bytes saved_by(const std::optional<KsmReading>& reading) {
    return reading ? Bytes(std::max<std::int64_t>(reading->pages_sharing, 0) * page_size) : Bytes(0);
}

Unsharing unsharing_within(const KsmMemo& memo, Bytes saved, Milliseconds time, const KsmOptions& options) {
    const double part = -std::expm1(-std::max(memo.unsharing, 0.0) * seconds_of(time));
    const Bytes memory = bytes_of(as_double(saved) * part);
    const double breaks = as_double(memory) / page_size;
    return {memory, Milliseconds(std::llround(breaks * options.seconds_per_break * 1000))};
}

std::int64_t pages_for_share(double share, std::int64_t sleep_ms, const KsmOptions& options) {
    const double c = std::clamp(share, 0.0, 0.95);
    const double sleep = static_cast<double>(std::max<std::int64_t>(sleep_ms, 1)) / 1000;
    return static_cast<std::int64_t>(c * sleep / ((1 - c) * options.seconds_per_page));
}

}  // namespace ballast::memory
