#include "daemon/overcommit/exporter_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/try.h"

namespace ballast::overcommit {
namespace {

constexpr double page_bytes = 4096;  // of the kernel's counters on x86

/// "name{labels} value [time]", without what surrounds them.
struct Line {
    std::string_view name;
    std::string_view labels;
    std::string_view value;
};

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

Line split(std::string_view text) {
    Line line;
    const auto brace = text.find('{');
    const auto space = text.find_first_of(" \t");
    if (brace != std::string_view::npos && brace < space) {
        const auto end = text.rfind('}');
        if (end == std::string_view::npos) return line;
        line.name = text.substr(0, brace);
        line.labels = text.substr(brace + 1, end - brace - 1);
        text = text.substr(end + 1);
    } else {
        line.name = text.substr(0, space);
        text.remove_prefix(line.name.size());
    }
    line.value = trimmed(text);
    line.value = line.value.substr(0, line.value.find_first_of(" \t"));
    return line;
}

/// A label's value as it stands between its quotes.
std::string_view label_of(const Line& line, std::string_view name) {
    const std::string key = std::string(name) + "=\"";
    const auto at = line.labels.find(key);
    if (at == std::string_view::npos) return {};
    const auto from = at + key.size();
    return line.labels.substr(from, line.labels.find('"', from) - from);
}

Result<double> number_of(const Line& line, int number) {
    double value = 0;
    const auto [end, error] = std::from_chars(line.value.data(), line.value.data() + line.value.size(), value);
    constexpr double most = 1e18;
    if (error != std::errc{} || !std::isfinite(value) || value < 0 || value > most)
        return fail(Code::invalid_argument, "line {}: {} is '{}', which it can't be", number, line.name, line.value);
    return value;
}

Bytes as_bytes(double value) {
    return Bytes(static_cast<std::int64_t>(value));
}

Result<void> take(ExporterReading& reading, const Line& line, int number) {
    const auto put_bytes = [&](std::optional<Bytes>& field) -> Result<void> {
        BALLAST_TRY(const double value, number_of(line, number));
        field = field.value_or(Bytes(0)) + as_bytes(value);
        return {};
    };
    const auto put_number = [&](std::optional<double>& field) -> Result<void> {
        BALLAST_TRY(field, number_of(line, number));
        return {};
    };
    if (line.name == "node_memory_MemTotal_bytes") return put_bytes(reading.total);
    if (line.name == "node_memory_MemFree_bytes") return put_bytes(reading.free);
    if (line.name == "node_memory_Cached_bytes" || line.name == "node_memory_Buffers_bytes")
        return put_bytes(reading.cached);
    if (line.name == "node_pressure_memory_waiting_seconds_total") return put_number(reading.pressure_seconds);
    if (line.name == "node_vmstat_pswpin") return put_number(reading.swapped_in_pages);
    if (line.name == "node_filesystem_avail_bytes") {
        BALLAST_TRY(const double value, number_of(line, number));
        reading.filesystems.push_back(
            {.mount_point = std::string(label_of(line, "mountpoint")), .available = as_bytes(value)});
    }
    return {};
}

bool says_nothing(const ExporterReading& reading) {
    return !reading.total && !reading.pressure_seconds && !reading.swapped_in_pages;
}

std::optional<double> rate(std::optional<double> before, std::optional<double> now, double seconds) {
    if (!before || !now || *now < *before || seconds <= 0) return std::nullopt;
    return (*now - *before) / seconds;
}

}  // namespace

Result<ExporterReading> read_exporter_text(std::string_view text) {
    ExporterReading reading;
    int number = 0;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        ++number;
        if (line.empty() || line.front() == '#' || !line.starts_with("node_")) continue;
        BALLAST_CHECK(take(reading, split(line), number));
    }
    if (says_nothing(reading))
        return fail(Code::failed_precondition,
                    "the answer has neither node_memory_MemTotal_bytes nor node_pressure_memory_waiting_seconds_total "
                    "nor node_vmstat_pswpin; is it a Prometheus node exporter?");
    return reading;
}

std::optional<Bytes> room_at(const ExporterReading& reading, std::string_view folder) {
    const ExporterReading::Filesystem* best = nullptr;
    for (const auto& system : reading.filesystems) {
        const std::string_view mount = system.mount_point;
        const bool above = mount == "/" || folder == mount ||
                           (folder.starts_with(mount) && folder.size() > mount.size() && folder[mount.size()] == '/');
        if (!mount.empty() && above && (best == nullptr || mount.size() > best->mount_point.size())) best = &system;
    }
    return best != nullptr ? std::optional(best->available) : std::nullopt;
}

Strain strain_between(const ExporterReading& before, const ExporterReading& now, Milliseconds passed) {
    const double seconds = std::chrono::duration<double>(passed).count();
    Strain strain;
    if (const auto share = rate(before.pressure_seconds, now.pressure_seconds, seconds))
        strain.pressure = std::min(*share, 1.0);
    if (const auto pages = rate(before.swapped_in_pages, now.swapped_in_pages, seconds))
        strain.swap_in = BytesPerSecond(static_cast<std::int64_t>(*pages * page_bytes));
    return strain;
}

}  // namespace ballast::overcommit
