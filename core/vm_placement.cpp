// What a wish about the place can say of itself.
#include "core/vm_placement.h"

#include <algorithm>

#include <boost/describe/enum_to_string.hpp>

#include "core/try.h"

namespace ballast {
namespace {

constexpr std::size_t longest_name = 253;  // a DNS name
constexpr std::size_t most_items = 64;
constexpr int most_devices = 1024;
constexpr int most_of_a_group = 100'000;
constexpr int most_cells = 64;

Result<void> check_word(std::string_view path, std::string_view word) {
    if (word.empty()) return fail(Code::invalid_argument, "{}: a name is missing", path);
    if (word.size() > longest_name)
        return fail(Code::invalid_argument, "{}: {} characters are more than the limit of {}", path, word.size(),
                    longest_name);
    if (std::ranges::any_of(word, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
        return fail(Code::invalid_argument, "{}: control characters are not allowed", path);
    return {};
}

Result<void> check_count(std::string_view path, std::size_t count) {
    if (count <= most_items) return {};
    return fail(Code::invalid_argument, "{}: {} are more than the limit of {}", path, count, most_items);
}

Result<void> check_words(std::string_view path, const std::vector<std::string>& words) {
    BALLAST_CHECK(check_count(path, words.size()));
    for (std::size_t i = 0; i < words.size(); ++i) BALLAST_CHECK(check_word(fmt::format("{}[{}]", path, i), words[i]));
    return {};
}

Result<void> check_term(std::string_view path, const AffinityTerm& term) {
    BALLAST_CHECK(check_word(fmt::format("{}.group", path), term.group));
    if (term.limit >= 1 && term.limit <= most_of_a_group) return {};
    return fail(Code::invalid_argument, "{}.limit: {} is not between 1 and {}", path, term.limit, most_of_a_group);
}

/// On one host is in one zone, too: who must share a host can't keep apart in zones.
bool contradict(const AffinityTerm& one, const AffinityTerm& other) {
    if (one.kind != AffinityKind::together || other.kind != AffinityKind::apart) return false;
    if (one.strength != Strength::must || other.strength != Strength::must || one.group != other.group) return false;
    return one.scope == other.scope || one.scope == AffinityScope::host;
}

Result<void> check_terms(std::string_view path, const std::vector<AffinityTerm>& terms) {
    BALLAST_CHECK(check_count(path, terms.size()));
    for (std::size_t i = 0; i < terms.size(); ++i) {
        BALLAST_CHECK(check_term(fmt::format("{}[{}]", path, i), terms[i]));
        for (std::size_t k = 0; k < terms.size(); ++k)
            if (contradict(terms[i], terms[k]))
                return fail(Code::invalid_argument,
                            "{}[{}] and [{}]: the VMs of group {} can't be both together on one {} and apart on every "
                            "{}; drop one of the two, or make it a `should`",
                            path, i, k, terms[i].group, boost::describe::enum_to_string(terms[i].scope, ""),
                            boost::describe::enum_to_string(terms[k].scope, ""));
    }
    return {};
}

Result<void> check_devices(std::string_view path, const std::map<std::string, int>& devices) {
    BALLAST_CHECK(check_count(path, devices.size()));
    for (const auto& [kind, count] : devices) {
        BALLAST_CHECK(check_word(path, kind));
        if (count < 1 || count > most_devices)
            return fail(Code::invalid_argument, "{}.{}: {} is not between 1 and {}", path, kind, count, most_devices);
    }
    return {};
}

Result<void> check_memory_wish(std::string_view path, const VmPlacement& placement) {
    const std::int64_t page = placement.hugepage_size.value_or(mebibytes(2)).count();
    if (page < kibibytes(64).count() || (page & (page - 1)) != 0)
        return fail(Code::invalid_argument, "{}.hugepage_size_bytes: {} is no size of a huge page; use 2M or 1G", path,
                    page);
    if (placement.numa.cells < 0 || placement.numa.cells > most_cells)
        return fail(Code::invalid_argument, "{}.numa.cells: {} is not between 0 and {}", path, placement.numa.cells,
                    most_cells);
    if (placement.numa.pinned && placement.numa.cells == 0)
        return fail(Code::invalid_argument, "{}.numa.pinned: say on how many cells, with `cells`", path);
    return {};
}

}  // namespace

bool tolerates(const VmPlacement& placement, const Taint& taint) {
    return std::ranges::any_of(placement.tolerations, [&](const Toleration& borne) {
        return borne.key == taint.key && (borne.value.empty() || borne.value == taint.value) &&
               (!borne.effect || *borne.effect == taint.effect);
    });
}

Result<void> check(const Taint& taint, std::string_view path) {
    BALLAST_CHECK(check_word(fmt::format("{}.key", path), taint.key));
    if (taint.value.empty()) return {};
    return check_word(fmt::format("{}.value", path), taint.value);
}

Result<void> check(const VmPlacement& placement, std::string_view path) {
    BALLAST_CHECK(check_words(fmt::format("{}.groups", path), placement.groups));
    BALLAST_CHECK(check_terms(fmt::format("{}.affinity", path), placement.affinity));
    BALLAST_CHECK(check_words(fmt::format("{}.hosts", path), placement.hosts));
    BALLAST_CHECK(check_words(fmt::format("{}.cpu_features", path), placement.cpu_features));
    BALLAST_CHECK(check_count(fmt::format("{}.tolerations", path), placement.tolerations.size()));
    for (std::size_t i = 0; i < placement.tolerations.size(); ++i)
        BALLAST_CHECK(check_word(fmt::format("{}.tolerations[{}].key", path, i), placement.tolerations[i].key));
    BALLAST_CHECK(check_devices(fmt::format("{}.devices", path), placement.devices));
    if (!placement.policy.empty()) BALLAST_CHECK(check_word(fmt::format("{}.policy", path), placement.policy));
    return check_memory_wish(path, placement);
}

}  // namespace ballast
