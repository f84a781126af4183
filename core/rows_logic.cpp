// What rows can say of themselves.
#include <algorithm>
#include <array>
#include <string_view>

#include "core/host.h"
#include "core/job.h"
#include "core/plan.h"
#include "core/try.h"
#include "core/vm.h"

namespace ballast {

Bytes usable_memory(const Host& host) {
    return saturating_sub(host.settings.memory_capacity.value_or(host.facts.memory), host.settings.reserved_memory);
}

int usable_vcpus(const Host& host) {
    const int cores = std::max(0, host.settings.cpu_capacity.value_or(host.facts.cpus) - host.settings.reserved_cpus);
    return static_cast<int>(cores * host.settings.cpu_overcommit);
}

namespace {

std::string_view label_of(const Host& host, const char* key) {
    const auto at = host.settings.labels.find(key);
    return at != host.settings.labels.end() ? std::string_view(at->second) : std::string_view();
}

}  // namespace

std::string_view zone_of(const Host& host) {
    return label_of(host, "zone");
}

std::string_view rack_of(const Host& host) {
    return label_of(host, "rack");
}

const std::string& peer_uri_of(const Host& host) {
    return host.settings.peer_uri.empty() ? host.uri : host.settings.peer_uri;
}

Accelerator accelerator_of(const Host& host) {
    if (host.settings.accelerator != Accelerator::auto_) return host.settings.accelerator;
    const bool kvm = std::ranges::find(host.facts.accelerators, "kvm") != host.facts.accelerators.end();
    return kvm ? Accelerator::kvm : Accelerator::tcg;
}

bool accepts_work(const Host& host) {
    return host.managed && !host.maintenance && !host.confirmed_dead && host.state == HostState::up;
}

bool is_active(DomainState state) {
    switch (state) {
        case DomainState::shut_off:
        case DomainState::crashed:
        case DomainState::unknown:
            return false;
        case DomainState::running:
        case DomainState::paused:
        case DomainState::incoming:
        case DomainState::postcopy_source:
        case DomainState::postcopy_target:
        case DomainState::postcopy_failed:
        case DomainState::shutting_down:
        case DomainState::suspended:
            return true;
    }
    std::unreachable();
}

bool is_finished(PlanStage stage) {
    return stage != PlanStage::advised && stage != PlanStage::approved && stage != PlanStage::applying;
}

bool is_finished(JobState state) {
    return state == JobState::succeeded || state == JobState::failed || state == JobState::cancelled;
}

Bytes guaranteed_memory(const VmSpec& spec) {
    return spec.memory_minimum.count() == 0 ? spec.memory : spec.memory_minimum;
}

namespace {

Result<void> one_of(std::string_view path, std::string_view value, std::initializer_list<std::string_view> allowed) {
    if (std::ranges::find(allowed, value) != allowed.end()) return {};
    return fail(Code::invalid_argument, "{}: unknown value '{}'; use one of {}", path, value, fmt::join(allowed, ", "));
}

/// Text that goes into XML or onto a command line: control characters have no business there.
Result<void> plain_text(std::string_view path, std::string_view value) {
    const bool clean =
        std::ranges::none_of(value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (clean) return {};
    return fail(Code::invalid_argument, "{}: control characters are not allowed", path);
}

Result<void> check_disk(const DiskSpec& disk, std::size_t index) {
    const std::string path = fmt::format("disks[{}]", index);
    BALLAST_CHECK(one_of(path + ".format", disk.format, {"qcow2", "raw"}));
    BALLAST_CHECK(one_of(path + ".bus", disk.bus, {"virtio", "sata", "scsi"}));
    BALLAST_CHECK(one_of(path + ".cache", disk.cache, {"none", "writeback", "directsync"}));
    BALLAST_CHECK(plain_text(path + ".image", disk.image));
    if (disk.size.count() < 0)
        return fail(Code::invalid_argument, "{}.size_bytes: {} is below 0", path, disk.size.count());
    if (disk.image.empty() && disk.path.empty() && disk.size.count() == 0)
        return fail(Code::invalid_argument, "{}: neither an image nor a size is given; add `image` or `size`", path);
    return {};
}

Result<void> check_nic(const NicSpec& nic, std::size_t index) {
    const std::string path = fmt::format("nics[{}]", index);
    if (nic.network.empty() == nic.bridge.empty())
        return fail(Code::invalid_argument, "{}: give either `network` or `bridge`", path);
    BALLAST_CHECK(plain_text(path, nic.network + nic.bridge + nic.mac));
    return one_of(path + ".model", nic.model, {"virtio", "e1000e", "rtl8139"});
}

Result<void> check_feature(std::string_view name) {
    const bool fine = std::ranges::all_of(name, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    });
    if (fine && !name.empty()) return {};
    return fail(Code::invalid_argument, "cpu_features: '{}' is no CPU feature; use libvirt's names, such as aes", name);
}

Result<void> check_rate(std::string_view path, std::string_view field, const std::optional<BytesPerSecond>& rate) {
    if (!rate || rate->count() > 0) return {};
    return fail(Code::invalid_argument, "{}.{}_bytes_per_second: {} is not above 0; leave it out for no limit", path,
                field, rate->count());
}

Result<void> check_range(std::string_view path, std::string_view field, const std::optional<int>& value, int low,
                         int high) {
    if (!value || (*value >= low && *value <= high)) return {};
    return fail(Code::invalid_argument, "{}.{}: {} is not between {} and {}", path, field, *value, low, high);
}

}  // namespace

Result<void> check(const MigrationPolicy& policy, std::string_view path) {
    constexpr Milliseconds longest_downtime{2'000'000};  // QEMU's own limit
    if (policy.max_downtime && policy.max_downtime->count() <= 0)
        return fail(Code::invalid_argument,
                    "{}.max_downtime_ms: {} is not above 0; the guest always pauses for the switch", path,
                    policy.max_downtime->count());
    if (policy.max_downtime && *policy.max_downtime > longest_downtime)
        return fail(Code::invalid_argument, "{}.max_downtime_ms: {} is above QEMU's limit of {}", path,
                    policy.max_downtime->count(), longest_downtime.count());
    if (policy.max_total && policy.max_total->count() <= 0)
        return fail(Code::invalid_argument, "{}.max_total_ms: {} is not above 0; leave it out for no limit", path,
                    policy.max_total->count());
    BALLAST_CHECK(check_rate(path, "bandwidth", policy.bandwidth));
    BALLAST_CHECK(check_rate(path, "post_copy_bandwidth", policy.post_copy_bandwidth));
    BALLAST_CHECK(check_range(path, "max_throttle", policy.max_throttle, 0, 99));
    return check_range(path, "priority", policy.priority, -100, 100);
}

Result<void> check_placement(const VmSpec& spec) {
    BALLAST_CHECK(check(spec.placement, "placement"));
    for (const AffinityTerm& term : spec.placement.affinity)
        if (term.group == spec.anti_affinity && term.kind == AffinityKind::together &&
            term.strength == Strength::must && term.scope == AffinityScope::host)
            return fail(Code::invalid_argument,
                        "anti_affinity: the VMs of group {} can't be apart on every host and together on one, as "
                        "placement.affinity says; drop one of the two",
                        term.group);
    const int cells = spec.placement.numa.cells;
    if (cells > 0 && spec.vcpus % cells != 0)
        return fail(Code::invalid_argument, "placement.numa.cells: {} vCPUs do not divide evenly into {} cells",
                    spec.vcpus, cells);
    const Bytes page = spec.placement.hugepage_size.value_or(Bytes(1));
    if (spec.memory.count() % page.count() != 0)
        return fail(Code::invalid_argument, "placement.hugepage_size_bytes: {} is no multiple of pages of {}",
                    spec.memory, page);
    return {};
}

std::string sharing_group(const VmSpec& spec) {
    if (!spec.overcommit.merge) return {};
    for (const DiskSpec& disk : spec.disks)
        if (!disk.image.empty()) return "image " + disk.image;
    return spec.boot.kernel.empty() ? std::string() : fmt::format("kernel {} {}", spec.boot.kernel, spec.boot.initrd);
}

Result<void> check(const OvercommitSpec& spec) {
    if (spec.shares < 1 || spec.shares > 1'000'000)
        return fail(Code::invalid_argument, "overcommit.shares: {} is not between 1 and 1000000; 1000 is usual",
                    spec.shares);
    if (spec.priority < -1000 || spec.priority > 1000)
        return fail(Code::invalid_argument, "overcommit.priority: {} is not between -1000 and 1000", spec.priority);
    return {};
}

Result<void> check(const VmSpec& spec) {
    if (spec.vcpus < 1 || spec.vcpus > 512)
        return fail(Code::invalid_argument, "vcpus: {} is not between 1 and 512", spec.vcpus);
    if (spec.memory < mebibytes(16))
        return fail(Code::invalid_argument, "memory: {} is below the smallest VM of 16 MiB", spec.memory);
    if (spec.memory > gibibytes(16384))
        return fail(Code::invalid_argument, "memory: {} is above the largest VM of 16 TiB", spec.memory);
    if (spec.memory_minimum.count() < 0)
        return fail(Code::invalid_argument, "memory_minimum: {} is below 0", spec.memory_minimum.count());
    if (spec.memory_minimum > spec.memory)
        return fail(Code::invalid_argument, "memory_minimum: {} is above the maximum of {}; lower it or raise `memory`",
                    spec.memory_minimum, spec.memory);
    for (std::size_t i = 0; i < spec.disks.size(); ++i) BALLAST_CHECK(check_disk(spec.disks[i], i));
    for (std::size_t i = 0; i < spec.nics.size(); ++i) BALLAST_CHECK(check_nic(spec.nics[i], i));
    if (spec.boot.kernel.empty() && !spec.boot.initrd.empty())
        return fail(Code::invalid_argument, "boot.initrd: an initrd needs boot.kernel");
    for (const std::string_view text :
         {spec.boot.kernel, spec.boot.initrd, spec.boot.cmdline, spec.machine, spec.cpu_model, spec.serial.log_path})
        BALLAST_CHECK(plain_text("spec", text));
    for (const std::string& feature : spec.cpu_features) BALLAST_CHECK(check_feature(feature));
    BALLAST_CHECK(check_placement(spec));
    BALLAST_CHECK(check(spec.overcommit));
    return check(spec.migration, "migration");
}

}  // namespace ballast
