// The pure part of a pair's check: facts against facts, pools against pools.
#include <algorithm>
#include <charconv>
#include <iterator>

#include "daemon/reconcile/host_verdict.h"
#include "daemon/reconcile/pair_check.h"

namespace ballast::reconcile {
namespace {

constexpr std::string_view nonce_prefix = "ballast-nonce-";
constexpr std::chrono::hours leftover_age{1};

std::string version(std::uint64_t number) {
    return fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000);
}

PairCheck compare_identity(const Host& from, const Host& to) {
    const std::string& uuid = from.facts.host_uuid;
    if (uuid.empty() || to.facts.host_uuid.empty())
        return {"host_identity", CheckVerdict::unknown, "a host names no UUID of its own", ""};
    if (uuid == to.facts.host_uuid)
        return {"host_identity", CheckVerdict::refused, fmt::format("both hosts have the UUID {}", uuid),
                "set a different host_uuid in libvirtd.conf of one host"};
    return {"host_identity", CheckVerdict::ok, "two different hosts", ""};
}

/// Old to new only (SAFETY.md 6).
PairCheck compare_versions(std::string name, std::string_view what, std::uint64_t from, std::uint64_t to) {
    if (from == 0 || to == 0)
        return {std::move(name), CheckVerdict::unknown, fmt::format("{}'s version is not known", what), ""};
    if (from <= to)
        return {std::move(name), CheckVerdict::ok, fmt::format("{} {} to {}", what, version(from), version(to)), ""};
    return {std::move(name), CheckVerdict::refused,
            fmt::format("{} {} to the older {}", what, version(from), version(to)),
            fmt::format("upgrade {} on the target, or move the other way", what)};
}

std::size_t in_common(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    return static_cast<std::size_t>(
        std::ranges::count_if(a, [&](const std::string& one) { return std::ranges::find(b, one) != b.end(); }));
}

PairCheck compare_choices(std::string name, std::string_view what, const std::vector<std::string>& from,
                          const std::vector<std::string>& to) {
    if (from.empty() || to.empty())
        return {std::move(name), CheckVerdict::unknown, fmt::format("a host names no {}", what), ""};
    const std::size_t common = in_common(from, to);
    if (common == 0)
        return {std::move(name), CheckVerdict::refused, fmt::format("no {} in common", what),
                fmt::format("use hosts of like CPUs and QEMU versions")};
    const CheckVerdict verdict = common == from.size() ? CheckVerdict::ok : CheckVerdict::warning;
    return {std::move(name), verdict, fmt::format("{} of the source's {} {} on the target", common, from.size(), what),
            verdict == CheckVerdict::ok ? "" : "a VM that uses one of the others can't move there"};
}

PairCheck compare_architectures(const Host& from, const Host& to) {
    const std::string& a = from.facts.architecture;
    const std::string& b = to.facts.architecture;
    if (a.empty() || b.empty()) return {"architecture", CheckVerdict::unknown, "not known of both hosts", ""};
    if (a != b)
        return {"architecture", CheckVerdict::refused, fmt::format("{} to {}", a, b),
                "only the same architecture moves"};
    return {"architecture", CheckVerdict::ok, a, ""};
}

}  // namespace

std::vector<PairCheck> compare_hosts(const Host& from, const Host& to) {
    std::vector<PairCheck> checks;
    checks.push_back(compare_identity(from, to));
    checks.push_back(compare_architectures(from, to));
    checks.push_back(compare_versions("qemu_versions", "QEMU", from.facts.qemu_version, to.facts.qemu_version));
    checks.push_back(
        compare_versions("libvirt_versions", "libvirt", from.facts.libvirt_version, to.facts.libvirt_version));
    checks.push_back(
        compare_choices("machine_types", "machine types", from.facts.machine_types, to.facts.machine_types));
    checks.push_back(compare_choices("cpu_models", "CPU models", from.facts.cpu_models, to.facts.cpu_models));
    return checks;
}

ComparedFeatures compare_features(const Host& to, const std::vector<std::string>& on_source,
                                  const std::vector<std::string>& on_target) {
    if (on_source.empty() || on_target.empty())
        return {{"cpu_features", CheckVerdict::unknown, "a host names no features of its CPU", ""}, {}};
    std::vector<std::string> missing;
    std::ranges::set_difference(on_source, on_target, std::back_inserter(missing));
    if (missing.empty())
        return {{"cpu_features", CheckVerdict::ok,
                 fmt::format("the CPU of {} has all {} features that guests of the source may have", to.name,
                             on_source.size()),
                 ""},
                {}};
    PairCheck lacks{
        "cpu_features", CheckVerdict::warning, fmt::format("the CPU of {} lacks {}", to.name, fmt::join(missing, ", ")),
        "a VM that has the source's own CPU can't move there: give it a CPU model that both hosts have, and "
        "restart it"};
    return {std::move(lacks), std::move(missing)};
}

std::vector<std::string> common_pools(const Snapshot& snapshot, const HostId& from, const HostId& to) {
    std::vector<std::string> names;
    snapshot.pools.for_each([&](const Pool& pool) {
        if (pool.host == from && find_pool(snapshot, to, pool.name) != nullptr) names.push_back(pool.name);
    });
    std::ranges::sort(names);
    return names;
}

bool takes_a_nonce(const Pool& pool) {
    return pool.type == "dir" || pool.type == "fs" || pool.type == "netfs" || pool.type == "gluster" ||
           pool.type == "vstorage";
}

std::string obstacle(const Snapshot& snapshot, const Host& from, const Host& to, const std::string& pool) {
    for (const Host* host : {&from, &to}) {
        if (!host->managed) return fmt::format("host {} is observed: nothing is written to it", host->name);
        if (!can_be_asked(host->state)) return fmt::format("host {} can't be asked now", host->name);
        const Pool* row = find_pool(snapshot, host->id, pool);
        if (row == nullptr || !row->active) return fmt::format("the pool is not active on {}", host->name);
        if (!takes_a_nonce(*row)) return fmt::format("a pool of type {} takes no file to compare", row->type);
    }
    return {};
}

std::string nonce_name(Timestamp now, const std::string& uuid) {
    const auto seconds = std::chrono::floor<Seconds>(now).time_since_epoch().count();
    return fmt::format("{}{}-{}", nonce_prefix, seconds, uuid);
}

bool is_leftover(const std::string& volume, Timestamp now) {
    if (!volume.starts_with(nonce_prefix)) return false;
    std::int64_t made = 0;
    const char* begin = volume.data() + nonce_prefix.size();
    const auto [end, error] = std::from_chars(begin, volume.data() + volume.size(), made);
    if (error != std::errc{} || end == begin || end == volume.data() + volume.size() || *end != '-') return false;
    return now - Timestamp(Seconds(made)) > leftover_age;
}

}  // namespace ballast::reconcile
