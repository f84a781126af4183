#include "scheduler/rules/storage_reachable.h"

#include <algorithm>
#include <optional>

namespace ballast::scheduler {
namespace {

/// Where data lies that a disk needs.
struct Data {
    std::string what;
    std::string pool;
    HostId host;
};

bool proven_shared(const Snapshot& snapshot, const HostId& one, const HostId& other, const std::string& pool) {
    for (const HostPair* pair : {find_pair(snapshot, one, other), find_pair(snapshot, other, one)})
        if (pair != nullptr && std::ranges::find(pair->shared_pools, pool) != pair->shared_pools.end()) return true;
    return false;
}

const Image* find_image_row(const Snapshot& snapshot, const std::string& name) {
    if (const Image* image = snapshot.images.find(ImageId(name))) return image;
    return snapshot.images.find_if([&](const Image& image) { return image.name == name; });
}

/// Which host the VM's own files are known through: where it runs, or where it is defined.
std::optional<HostId> home_of(const Candidate& candidate) {
    if (candidate.request.from) return candidate.request.from;
    const Vm* vm = candidate.snapshot.vms.find(candidate.request.vm);
    return vm != nullptr ? vm->host : std::nullopt;
}

std::optional<RuleVerdict> refuse_pool(const Candidate& candidate, const std::string& pool) {
    const Pool* row = find_pool(candidate.snapshot, candidate.host().id, pool);
    const std::string& host = candidate.host().name;
    if (row == nullptr)
        return fits_if(reject("has no pool named {}", pool), fmt::format("a pool {} is defined on {}", pool, host));
    if (!row->active)
        return fits_if(reject("its pool {} is not active", pool), fmt::format("virsh pool-start {} on {}", pool, host));
    return std::nullopt;
}

std::optional<RuleVerdict> refuse_data(const Candidate& candidate, const Data& data) {
    if (auto refused = refuse_pool(candidate, data.pool)) return refused;
    const HostId& here = candidate.host().id;
    if (data.host.empty() || data.host == here) return std::nullopt;
    if (proven_shared(candidate.snapshot, data.host, here, data.pool)) return std::nullopt;
    const std::string there = host_name(candidate.snapshot, data.host);
    return fits_if(reject("{} lies in pool {} of {}, which {} is not proven to share", data.what, data.pool, there,
                          candidate.host().name),
                   fmt::format("the pair {} and {} is checked and shares {}", there, candidate.host().name, data.pool));
}

std::optional<RuleVerdict> refuse_image(const Candidate& candidate, const DiskSpec& disk) {
    if (disk.image.empty()) return std::nullopt;
    const Image* image = find_image_row(candidate.snapshot, disk.image);
    if (image == nullptr) return fits_if(reject("no image is named {}", disk.image), "the image is imported");
    return refuse_data(candidate, {fmt::format("image {}", image->name), image->pool, image->host});
}

/// An existing file: of a volume that Ballast made, or of an adopted VM.
std::optional<RuleVerdict> refuse_file(const Candidate& candidate, const DiskSpec& disk) {
    const Snapshot& snapshot = candidate.snapshot;
    if (const Volume* volume = snapshot.volumes.find(disk.volume))
        return refuse_data(candidate, {fmt::format("volume {}", volume->name), volume->pool, volume->host});
    const auto home = home_of(candidate);
    if (disk.path.empty() || !home || *home == candidate.host().id) return std::nullopt;
    const Pool* pool = find_pool_holding(snapshot, *home, disk.path);
    if (pool != nullptr) return refuse_data(candidate, {disk.path, pool->name, *home});
    return fits_if(
        reject("{} lies in no pool of {}, so that nothing proves it is shared", disk.path, host_name(snapshot, *home)),
        "its folder is a pool on both hosts and the pair is checked");
}

/// A disk that is copied needs the pool of its name there; what it was made from comes with it.
std::optional<RuleVerdict> refuse_copy(const Candidate& candidate, const DiskSpec& disk) {
    const auto home = home_of(candidate);
    const Pool* pool = home ? find_pool_holding(candidate.snapshot, *home, disk.path) : nullptr;
    const std::string name = pool != nullptr ? pool->name : disk.pool;
    if (name.empty())
        return fits_if(reject("{} lies in no pool, so there is no place to copy it to", disk.path),
                       "its folder is a pool on both hosts");
    return refuse_pool(candidate, name);
}

std::optional<RuleVerdict> refuse_disk(const Candidate& candidate, const DiskSpec& disk) {
    if (candidate.request.copy_disks && !disk.read_only) return refuse_copy(candidate, disk);
    if (auto refused = refuse_image(candidate, disk)) return refused;
    if (auto refused = refuse_file(candidate, disk)) return refused;
    if (disk.pool.empty()) return std::nullopt;
    return refuse_pool(candidate, disk.pool);
}

}  // namespace

RuleVerdict StorageReachable::operator()(const Candidate& candidate) const {
    for (const DiskSpec& disk : candidate.spec().disks)
        if (auto refused = refuse_disk(candidate, disk)) return *refused;
    return accept("reaches {} disks", candidate.spec().disks.size());
}

}  // namespace ballast::scheduler
