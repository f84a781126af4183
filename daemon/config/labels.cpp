#include "daemon/config/labels.h"

#include <functional>
#include <optional>
#include <vector>

#include <fmt/ranges.h>

#include "core/json.h"
#include "core/try.h"

namespace ballast::config {
namespace {

struct Field {
    std::string name;
    std::function<Result<void>(MigrationLabel&, const Raw&)> read;
    std::function<std::optional<std::string>(const MigrationLabel&)> show;  ///< as TOML; nothing: not said
};

template <class T, class Read, class Show>
Field of_policy(std::string name, std::optional<T> MigrationPolicy::* member, Read read, Show show) {
    return {std::move(name),
            [member, read](MigrationLabel& label, const Raw& raw) -> Result<void> {
                BALLAST_TRY(const auto value, read(raw));
                label.policy.*member = static_cast<T>(value);
                return {};
            },
            [member, show](const MigrationLabel& label) -> std::optional<std::string> {
                const auto& value = label.policy.*member;
                return value ? std::optional(show(*value)) : std::nullopt;
            }};
}

Field of_text(std::string name, std::string MigrationLabel::* member) {
    return {std::move(name),
            [member](MigrationLabel& label, const Raw& raw) -> Result<void> {
                BALLAST_TRY(label.*member, read_text(raw));
                return {};
            },
            [member](const MigrationLabel& label) { return std::optional(toml_text(label.*member)); }};
}

template <class Member>
Field of_duration(std::string name, Member member, Bounds<Milliseconds> bounds) {
    return of_policy(
        std::move(name), member, [bounds](const Raw& raw) { return read_duration(raw, bounds); },
        [](Milliseconds value) { return toml_text(duration_text(value)); });
}

template <class Member>
Field of_rate(std::string name, Member member) {
    return of_policy(
        std::move(name), member, [](const Raw& raw) { return read_rate(raw, {Bytes(1), gibibytes(1024)}); },
        [](BytesPerSecond value) { return toml_text(size_text(Bytes(value.count()))); });
}

template <class Member>
Field of_number(std::string name, Member member, Bounds<std::int64_t> bounds) {
    return of_policy(
        std::move(name), member, [bounds](const Raw& raw) { return read_number(raw, bounds); },
        [](int value) { return fmt::format("{}", value); });
}

const std::vector<Field>& fields() {
    using P = MigrationPolicy;
    constexpr Milliseconds longest_downtime{2'000'000};  // QEMU's own limit
    constexpr Milliseconds longest_total{30 * 86'400'000LL};
    static const std::vector<Field> list{
        of_text("key", &MigrationLabel::key),
        of_text("value", &MigrationLabel::value),
        of_duration("max_downtime", &P::max_downtime, {Milliseconds(1), longest_downtime}),
        of_duration("max_total", &P::max_total, {Milliseconds(1), longest_total}),
        of_policy(
            "post_copy", &P::post_copy, [](const Raw& raw) { return read_bool(raw); },
            [](bool value) { return std::string(value ? "true" : "false"); }),
        of_rate("bandwidth", &P::bandwidth),
        of_rate("post_copy_bandwidth", &P::post_copy_bandwidth),
        of_number("max_throttle", &P::max_throttle, {0, 99}),
        of_number("priority", &P::priority, {-100, 100}),
    };
    return list;
}

}  // namespace

Result<void> set_label_field(MigrationLabel& label, std::string_view key, const Raw& raw) {
    std::vector<std::string> known;
    for (const auto& field : fields()) {
        known.push_back(field.name);
        if (field.name != key) continue;
        const auto outcome = field.read(label, raw);
        if (outcome) return {};
        return fail(Code::invalid_argument, "migration.label.{}: {}", key, outcome.error().message());
    }
    const std::string near = nearest(key, known);
    const std::string hint = near.empty() ? fmt::format("known are {}", fmt::join(known, ", "))
                                          : fmt::format("did you mean 'migration.label.{}'?", near);
    return fail(Code::invalid_argument, "unknown key 'migration.label.{}'; {}", key, hint);
}

std::string render_labels(const MigrationConfig& config) {
    std::string out;
    for (const auto& label : config.labels) {
        out += "\n[[migration.label]]\n";
        for (const auto& field : fields())
            if (const auto text = field.show(label)) out += fmt::format("{} = {}\n", field.name, *text);
    }
    return out;
}

std::string sample_label() {
    return fmt::format(
        "\n# A policy for every VM with a label; of several that fit, the first decides, key by key. Keys: {}.\n"
        "# For example:\n"
        "# [[migration.label]]\n# key = \"tier\"\n# value = \"database\"\n# max_downtime = \"100ms\"\n"
        "# post_copy = false\n# priority = 10\n",
        label_keys_text());
}

std::string label_keys_text() {
    std::vector<std::string> names;
    for (const auto& field : fields()) names.push_back(field.name);
    return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace ballast::config
