#include "storage/resolve.h"

#include <algorithm>
#include <optional>
#include <set>

#include "core/try.h"
#include "storage/common_machine.h"

namespace ballast::storage {
namespace {

std::string next_target(const std::set<std::string>& taken, std::string_view bus) {
    const std::string_view prefix = bus == "virtio" ? "vd" : "sd";
    for (char letter = 'a'; letter <= 'z'; ++letter) {
        std::string target = fmt::format("{}{}", prefix, letter);
        if (!taken.contains(target)) return target;
    }
    return fmt::format("{}aa", prefix);
}

Result<void> name_targets(VmSpec& spec) {
    std::set<std::string> taken;
    for (std::size_t i = 0; i < spec.disks.size(); ++i) {
        const std::string& target = spec.disks[i].target;
        if (!target.empty() && !taken.insert(target).second)
            return fail(Code::invalid_argument, "disks[{}].target: '{}' is given twice", i, target);
    }
    for (auto& disk : spec.disks) {
        if (disk.target.empty()) disk.target = next_target(taken, disk.bus);
        taken.insert(disk.target);
    }
    return {};
}

Result<void> apply_image(const Snapshot& snapshot, VmSpec& spec, DiskSpec& disk) {
    BALLAST_TRY(const auto image, find_image(snapshot, disk.image));
    if (image->state != VolumeState::ready)
        return fail(Code::failed_precondition,
                    "image {} is not ready yet; wait for its import to end (`ballast image show {}`)", image->name,
                    image->name);
    disk.image = image->id.str();
    if (disk.size.count() == 0) disk.size = image->capacity;
    if (disk.size < image->capacity)
        return fail(Code::invalid_argument, "disk {} of {} is smaller than its image {} of {}; give at least that",
                    disk.target, disk.size, image->name, image->capacity);
    if (spec.boot.kernel.empty() && !image->boot.kernel.empty()) {
        const std::string cmdline = spec.boot.cmdline;
        spec.boot = image->boot;
        if (!cmdline.empty()) spec.boot.cmdline = cmdline;
    }
    return {};
}

std::uint64_t big_endian(std::string_view bytes, std::size_t offset, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8U | static_cast<unsigned char>(bytes[offset + i]);
    return value;
}

Result<ImageInspection> inspect_qcow2(std::string_view head) {
    constexpr std::size_t header_v3 = 104;
    if (head.size() < header_v3)
        return fail(Code::invalid_argument, "the file ends within its qcow2 header; it is truncated");
    const std::uint64_t version = big_endian(head, 4, 4);
    if (version != 2 && version != 3)
        return fail(Code::invalid_argument, "qcow2 version {} is not known; versions 2 and 3 are", version);
    if (big_endian(head, 8, 8) != 0)
        return fail(Code::invalid_argument,
                    "the qcow2 file has a backing file, which would be read from the host; flatten it first (`qemu-img "
                    "convert -O qcow2`)");
    constexpr std::uint64_t external_data = 1U << 2U;
    if (version == 3 && (big_endian(head, 72, 8) & external_data) != 0)
        return fail(Code::invalid_argument,
                    "the qcow2 file keeps its data in another file; convert it into one file first (`qemu-img convert "
                    "-O qcow2`)");
    return ImageInspection{ImageFormat::qcow2, Bytes(static_cast<std::int64_t>(big_endian(head, 24, 8)))};
}

/// A boot sector or GPT, an ISO 9660 volume, or an ext file system: what a raw image begins with.
bool looks_like_raw_disk(std::string_view head) {
    const auto has = [&](std::size_t offset, std::string_view bytes) {
        return head.size() >= offset + bytes.size() && head.substr(offset, bytes.size()) == bytes;
    };
    return has(510, "\x55\xAA") || has(512, "EFI PART") || has(32769, "CD001") || has(1080, "\x53\xEF");
}

}  // namespace

Result<VmSpec> resolve_spec(const Snapshot& snapshot, VmSpec spec, std::string_view default_pool) {
    BALLAST_CHECK(check(spec));
    BALLAST_CHECK(name_targets(spec));
    for (auto& disk : spec.disks) {
        if (disk.pool.empty() && disk.path.empty()) disk.pool = default_pool;
        if (!disk.image.empty()) BALLAST_CHECK(apply_image(snapshot, spec, disk));
    }
    if (spec.machine.empty()) spec.machine = common_machine(snapshot);
    return spec;
}

std::vector<Volume> plan_volumes(const Snapshot& snapshot, const Vm& vm, VmSpec& spec, IdSource& ids, Timestamp now) {
    std::vector<Volume> volumes;
    for (auto& disk : spec.disks) {
        if (!disk.volume.empty() || !disk.path.empty()) continue;
        const std::string id = ids.uuid();
        disk.volume = VolumeId(id);
        const Image* image = disk.image.empty() ? nullptr : snapshot.images.find(ImageId(disk.image));
        volumes.push_back({.id = disk.volume,
                           .name = fmt::format("{}-{}-{}.{}", vm.name, disk.target, id.substr(0, 8), disk.format),
                           .pool = disk.pool,
                           .host = {},
                           .path = {},
                           .format = disk.format,
                           .capacity = disk.size,
                           .image = image != nullptr ? image->id : ImageId{},
                           .vm = vm.id,
                           .state = VolumeState::creating,
                           .created = now,
                           .revision = 0});
    }
    return volumes;
}

Result<HostId> choose_host(const Snapshot& snapshot, std::string_view pool_name, std::string_view asked, Bytes need) {
    auto hosts = snapshot.hosts.rows();
    if (!asked.empty()) {
        BALLAST_TRY(const auto host, find_host(snapshot, asked));
        hosts = {host};
    }
    std::ranges::sort(hosts, {}, [](const auto& host) { return host->name; });
    std::string reasons;
    for (const auto& host : hosts) {
        const Pool* pool = find_pool(snapshot, host->id, pool_name);
        if (!accepts_work(*host))
            reasons += fmt::format("; {} takes no work now", host->name);
        else if (pool == nullptr || !pool->active)
            reasons += fmt::format("; {} has no active pool '{}'", host->name, pool_name);
        else if (pool->available < need)
            reasons += fmt::format("; pool '{}' on {} has {} free, {} are needed", pool_name, host->name,
                                   pool->available, need);
        else
            return host->id;
    }
    return fail(Code::resource_exhausted, "no host can take it into pool '{}'{}", pool_name,
                reasons.empty() ? "; there is no host" : reasons);
}

Result<ImageInspection> inspect_image(std::string_view head, Bytes file_size) {
    constexpr std::string_view qcow2_magic("QFI\xFB", 4);
    if (head.starts_with(qcow2_magic)) return inspect_qcow2(head);
    if (file_size.count() == 0) return fail(Code::invalid_argument, "the file is empty, so it is not an image");
    if (!looks_like_raw_disk(head))
        return fail(Code::invalid_argument,
                    "the file is not an image: it has neither a qcow2 header nor a boot sector, partition table or "
                    "file system");
    if (file_size.count() % 512 != 0)
        return fail(Code::invalid_argument, "the file has {} bytes, no multiple of 512, so it is not a raw disk image",
                    file_size.count());
    return ImageInspection{ImageFormat::raw, file_size};
}

std::vector<std::string> users_of(const Snapshot& snapshot, std::string_view path, const VmId& except) {
    std::vector<std::string> users;
    if (path.empty()) return users;
    snapshot.vms.for_each([&](const Vm& vm) {
        if (vm.id == except) return;
        const bool uses = std::ranges::any_of(vm.spec.disks, [&](const DiskSpec& disk) { return disk.path == path; });
        const bool boots = vm.spec.boot.kernel == path || vm.spec.boot.initrd == path;
        if (uses || boots) users.push_back(fmt::format("VM {}", vm.name));
    });
    snapshot.volumes.for_each([&](const Volume& volume) {
        const Image* image = volume.image.empty() ? nullptr : snapshot.images.find(volume.image);
        if (image != nullptr && image->path == path)
            users.push_back(fmt::format("volume {} (its backing file)", volume.name));
    });
    std::ranges::sort(users);
    return users;
}

}  // namespace ballast::storage
