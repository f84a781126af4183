#include "migration/curve_model.h"

#include <algorithm>
#include <cmath>

namespace ballast::migration::model {
namespace {

constexpr double largest = 1e17;

std::int64_t rounded(double value) {
    return std::llround(std::clamp(value, 0.0, largest));
}

}  // namespace

double dirtied(WritingSet set, double seconds, bool sequential) {
    if (set.size <= 0 || set.rate <= 0 || seconds <= 0) return 0;
    const double written = set.rate * seconds;
    if (sequential) return std::min(written, set.size);
    return -set.size * std::expm1(-written / set.size);
}

double dirtied(const Load& load, double seconds) {
    return dirtied(load.fast, seconds, load.sequential) + dirtied(load.slow, seconds, load.sequential);
}

double dirty_after(const Load& load, double seconds, double unsent) {
    const double fresh = dirtied(load, seconds);
    const double set = load.fast.size + load.slow.size;
    if (set <= 0) return unsent;
    const double kept = std::min(unsent, set);  // what is unsent beyond the working set is not written again
    const double more = load.sequential ? std::min(fresh, set - kept) : fresh * (1 - kept / set);
    return unsent + (more < page ? 0 : more);
}

Load throttled(Load load, double share) {
    const double left = std::clamp((1 - share) / std::max(load.vcpu_use, 0.01), 0.0, 1.0);
    load.fast.rate *= left;
    load.slow.rate *= left;
    return load;
}

Load load_of(const DirtyCurve& curve, Bound bound) {
    const auto of = [bound](const auto& range) { return as_double(end_of(range, bound)); };
    const bool sequential =
        curve.order == WriteOrder::sequential || (curve.order == WriteOrder::unknown && bound == Bound::high);
    return {.fast = {.rate = of(curve.rate), .size = of(curve.working_set)},
            .slow = {.rate = as_double(curve.slow_rate), .size = as_double(curve.slow_set)},
            .sequential = sequential};
}

Bytes bytes_of(double bytes) {
    return Bytes(rounded(bytes));
}
BytesPerSecond rate_of(double bytes_per_second) {
    return BytesPerSecond(rounded(bytes_per_second));
}
Milliseconds time_of(double seconds) {
    return Milliseconds(rounded(seconds * 1000));
}

}  // namespace ballast::migration::model
