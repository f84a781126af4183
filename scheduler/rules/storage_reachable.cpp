#include "scheduler/rules/storage_reachable.h"

#include <algorithm>
#include <optional>

namespace ballast::scheduler {
namespace {

enum class Cause : std::uint8_t { no_pool, pool_off, not_shared, no_image, outside_pools, nowhere_to_copy };

/// Why a disk can't be reached, without words: what lies where. Everything points into rows.
struct Trouble {
    Cause cause = Cause::no_pool;
    std::string_view pool = {};
    std::string_view kind = {};  ///< "image", "volume" or, for a file, nothing
    std::string_view what = {};  ///< its name or path
    const HostId* lies_on = nullptr;
};
using Found = std::optional<Trouble>;

bool proven_shared(const Snapshot& snapshot, const HostId& one, const HostId& other, std::string_view pool) {
    for (const HostPair* pair : {find_pair(snapshot, one, other), find_pair(snapshot, other, one)})
        if (pair != nullptr && std::ranges::find(pair->shared_pools, pool) != pair->shared_pools.end()) return true;
    return false;
}

const Image* find_image_row(const Snapshot& snapshot, const std::string& name) {
    if (const Image* image = snapshot.images.find(ImageId(name))) return image;
    return snapshot.images.find_if([&](const Image& image) { return image.name == name; });
}

/// Which host the VM's own files are known through: where it runs, or where it is defined.
const HostId* home_of(const Candidate& candidate) {
    if (candidate.request.from) return &*candidate.request.from;
    const Vm* vm = candidate.snapshot.vms.find(candidate.request.vm);
    return vm != nullptr && vm->host ? &*vm->host : nullptr;
}

Found check_pool(const Candidate& candidate, std::string_view pool) {
    const Pool* row = find_pool(candidate.snapshot, candidate.host().id, pool);
    if (row == nullptr) return Trouble{.cause = Cause::no_pool, .pool = pool};
    if (!row->active) return Trouble{.cause = Cause::pool_off, .pool = pool};
    return {};
}

/// Data that is known to lie in that pool of a host.
Found check_data(const Candidate& candidate, Trouble data) {
    if (auto trouble = check_pool(candidate, data.pool)) return trouble;
    const HostId& here = candidate.host().id;
    if (data.lies_on->empty() || *data.lies_on == here) return {};
    if (proven_shared(candidate.snapshot, *data.lies_on, here, data.pool)) return {};
    data.cause = Cause::not_shared;
    return data;
}

Found check_image(const Candidate& candidate, const DiskSpec& disk) {
    if (disk.image.empty()) return {};
    const Image* image = find_image_row(candidate.snapshot, disk.image);
    if (image == nullptr) return Trouble{.cause = Cause::no_image, .what = disk.image};
    return check_data(candidate, {.pool = image->pool, .kind = "image ", .what = image->name, .lies_on = &image->host});
}

/// An existing file: of a volume that Ballast made, or of an adopted VM.
Found check_file(const Candidate& candidate, const DiskSpec& disk) {
    const Snapshot& snapshot = candidate.snapshot;
    if (const Volume* volume = snapshot.volumes.find(disk.volume))
        return check_data(candidate,
                          {.pool = volume->pool, .kind = "volume ", .what = volume->name, .lies_on = &volume->host});
    const HostId* home = home_of(candidate);
    if (disk.path.empty() || home == nullptr || *home == candidate.host().id) return {};
    if (const Pool* pool = find_pool_holding(snapshot, *home, disk.path))
        return check_data(candidate, {.pool = pool->name, .what = disk.path, .lies_on = home});
    return Trouble{.cause = Cause::outside_pools, .what = disk.path, .lies_on = home};
}

/// A disk that is copied needs the pool of its name there; what it was made from comes with it.
Found check_copy(const Candidate& candidate, const DiskSpec& disk) {
    const HostId* home = home_of(candidate);
    const Pool* pool = home != nullptr ? find_pool_holding(candidate.snapshot, *home, disk.path) : nullptr;
    const std::string_view name = pool != nullptr ? pool->name : disk.pool;
    if (name.empty()) return Trouble{.cause = Cause::nowhere_to_copy, .what = disk.path};
    return check_pool(candidate, name);
}

Found check_disk(const Candidate& candidate, const DiskSpec& disk) {
    if (candidate.request.copy_disks && !disk.read_only) return check_copy(candidate, disk);
    if (auto trouble = check_image(candidate, disk)) return trouble;
    if (auto trouble = check_file(candidate, disk)) return trouble;
    if (disk.pool.empty()) return {};
    return check_pool(candidate, disk.pool);
}

Found find_trouble(const Candidate& candidate) {
    for (const DiskSpec& disk : candidate.spec().disks)
        if (auto trouble = check_disk(candidate, disk)) return trouble;
    return {};
}

RuleVerdict not_shared(const Candidate& candidate, const Trouble& trouble) {
    const std::string& here = candidate.host().name;
    const std::string there = host_name(candidate.snapshot, *trouble.lies_on);
    return fits_if(reject("{}{} lies in pool {} of {}, which {} is not proven to share", trouble.kind, trouble.what,
                          trouble.pool, there, here),
                   fmt::format("the pair {} and {} is checked and shares {}", there, here, trouble.pool));
}

RuleVerdict in_words(const Candidate& candidate, const Trouble& trouble) {
    const std::string& host = candidate.host().name;
    switch (trouble.cause) {
        case Cause::no_pool:
            return fits_if(reject("has no pool named {}", trouble.pool),
                           fmt::format("a pool {} is defined on {}", trouble.pool, host));
        case Cause::pool_off:
            return fits_if(reject("its pool {} is not active", trouble.pool),
                           fmt::format("virsh pool-start {} on {}", trouble.pool, host));
        case Cause::not_shared:
            return not_shared(candidate, trouble);
        case Cause::no_image:
            return fits_if(reject("no image is named {}", trouble.what), "the image is imported");
        case Cause::outside_pools:
            return fits_if(reject("{} lies in no pool of {}, so that nothing proves it is shared", trouble.what,
                                  host_name(candidate.snapshot, *trouble.lies_on)),
                           "its folder is a pool on both hosts and the pair is checked");
        case Cause::nowhere_to_copy:
            return fits_if(reject("{} lies in no pool, so there is no place to copy it to", trouble.what),
                           "its folder is a pool on both hosts");
    }
    std::unreachable();
}

}  // namespace

bool StorageReachable::fits(const Candidate& candidate) const {
    return !find_trouble(candidate);
}

RuleVerdict StorageReachable::operator()(const Candidate& candidate) const {
    if (const auto trouble = find_trouble(candidate)) return in_words(candidate, *trouble);
    return accept("reaches {} disks", candidate.spec().disks.size());
}

}  // namespace ballast::scheduler
