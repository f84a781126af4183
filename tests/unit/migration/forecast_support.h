#pragma once
// Inputs of forecasts for tests: exact curves and links, so that a result is the model's and not a prior's.

#include "migration/choose.h"
#include "migration/curve_model.h"

namespace ballast::migration::test {

inline const Timestamp noon =
    Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(12);

[[nodiscard]] inline BytesPerSecond mebibytes_per_second(double n) {
    return model::rate_of(n * 1024 * 1024);
}
[[nodiscard]] inline double in_mebibytes(Bytes bytes) {
    return bytes / mebibytes(1);
}

/// A curve that is known exactly.
[[nodiscard]] inline DirtyCurve a_curve(double rate_mib, double set_mib, WriteOrder order = WriteOrder::sequential) {
    DirtyCurve curve;
    const BytesPerSecond rate = mebibytes_per_second(rate_mib);
    const Bytes set = model::bytes_of(set_mib * 1024 * 1024);
    curve.rate = {.low = rate, .likely = rate, .high = rate};
    curve.working_set = {.low = set, .likely = set, .high = set};
    curve.order = order;
    curve.source = "samples";
    curve.measured = noon;
    return curve;
}

/// 512 MiB with 256 MiB in use between two hosts whose fixed costs are nothing; the link is a QEMU cap of
/// `bandwidth_mib`, which QEMU lifts for the last part.
[[nodiscard]] inline ForecastInput an_input(double bandwidth_mib, std::optional<DirtyCurve> curve) {
    ForecastInput input;
    input.from = HostId("h1");
    input.to = HostId("h2");
    input.memory = mebibytes(512);
    input.content = mebibytes(256);
    input.curve = std::move(curve);
    const BytesPerSecond link = mebibytes_per_second(1700);
    input.link = {.bandwidth = {.low = link, .likely = link, .high = link}, .sharing = 1, .source = "measured"};
    input.terms.bandwidth = mebibytes_per_second(bandwidth_mib);
    input.terms.post_copy_bandwidth = input.terms.bandwidth;
    input.terms.post_copy = true;
    const Milliseconds blink{1};
    input.past.switch_over = {.low = blink, .likely = blink, .high = blink};
    input.past.switch_to_pull = {.low = blink, .likely = 2 * blink, .high = 5 * blink};
    input.now = noon;
    return input;
}

}  // namespace ballast::migration::test
