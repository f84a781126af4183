#include "migration/preflight_disks.h"

#include <algorithm>
#include <map>
#include <string>

namespace ballast::migration {
namespace {

/// The files of one move under judgement; each member adds its checks.
class DiskChecks {
  public:
    DiskChecks(const Vm& vm, const Host& from, const Host& to, const HostPair* pair, const Snapshot& snapshot,
               const MoveTerms& terms)
        : vm_(vm), from_(from), to_(to), pair_(pair), snapshot_(snapshot), terms_(terms) {}

    [[nodiscard]] std::vector<PairCheck> run() {
        for (std::size_t i = 0; i < vm_.spec.disks.size(); ++i) check_disk(vm_.spec.disks[i], i);
        check_boot_file("kernel", vm_.spec.boot.kernel);
        check_boot_file("initrd", vm_.spec.boot.initrd);
        return std::move(checks_);
    }

  private:
    void add(std::string name, CheckVerdict verdict, std::string detail, std::string way_out = {}) {
        checks_.push_back({std::move(name), verdict, std::move(detail), std::move(way_out)});
    }
    void pass(std::string name, std::string detail) { add(std::move(name), CheckVerdict::ok, std::move(detail)); }
    void refuse(std::string name, std::string detail, std::string way_out) {
        add(std::move(name), CheckVerdict::refused, std::move(detail), std::move(way_out));
    }

    /// The pool of a file on the source, by its name in the spec or by its folder.
    [[nodiscard]] const Pool* pool_of(const std::string& pool, const std::string& path) const {
        const Pool* named = pool.empty() ? nullptr : find_pool(snapshot_, from_.id, pool);
        return named != nullptr ? named : find_pool_holding(snapshot_, from_.id, path);
    }

    /// Why the target may not be taken to see the same pool; empty: it is proven.
    [[nodiscard]] std::string unproven(const Pool& pool) const {
        const Pool* there = find_pool(snapshot_, to_.id, pool.name);
        if (there == nullptr) return fmt::format("{} has no pool {}", to_.name, pool.name);
        if (!there->active) return fmt::format("pool {} is not active on {}", pool.name, to_.name);
        const bool proven =
            is_fresh(pair_, terms_) && std::ranges::find(pair_->shared_pools, pool.name) != pair_->shared_pools.end();
        if (proven) return {};
        return fmt::format("pool {} of {} and {} looks shared, but nothing fresh proves it", pool.name, from_.name,
                           to_.name);
    }

    void check_disk(const DiskSpec& disk, std::size_t index) {
        const std::string label = disk.target.empty() ? fmt::format("{}", index) : disk.target;
        const std::string name = fmt::format("{}{}", disk_prefix, label);
        const Pool* pool = pool_of(disk.pool, disk.path);
        if (pool == nullptr)
            return refuse(name,
                          fmt::format("{} lies in no pool of {}", disk.path.empty() ? label : disk.path, from_.name),
                          disk.read_only ? "eject it, or put it into a shared pool"
                                         : "define a pool for its folder on both hosts, then check the pair");
        if (const std::string why = unproven(*pool); !why.empty()) {
            if (copies_disks() && !disk.read_only) return check_copy(disk, name, label, *pool);
            return refuse(name, fmt::format("disk {}: {}", label, why),
                          fmt::format("share the pool, then `ballast host check-pair {} {}`, or copy the disks along "
                                      "(copy_disks)",
                                      from_.name, to_.name));
        }
        if (copies_disks() && !disk.read_only)
            return refuse(name,
                          fmt::format("disk {} lies in pool {}, which both hosts share: libvirt copies every disk that "
                                      "is written to, and would write this one over itself",
                                      label, pool->name),
                          other_disk_is_local(disk) ? "move its disks into shared pools, or all of them out of them"
                                                    : "leave copy_disks out");
        if (!disk.read_only && disk.cache == "writeback")
            return refuse(name, fmt::format("disk {} is cached by {} (cache=writeback)", label, from_.name),
                          "set its cache to none");
        pass(name, fmt::format("pool {} is proven shared", pool->name));
    }

    [[nodiscard]] bool copies_disks() const { return terms_.knobs.copy_disks != DiskCopy::none; }

    /// Whether another disk that is written to lies where the target does not see it.
    [[nodiscard]] bool other_disk_is_local(const DiskSpec& disk) const {
        return std::ranges::any_of(vm_.spec.disks, [&](const DiskSpec& other) {
            if (other.read_only || other == disk) return false;
            const Pool* pool = pool_of(other.pool, other.path);
            return pool == nullptr || !unproven(*pool).empty();
        });
    }

    /// A disk that goes along needs a place under the same path, and room; a volume that is known there must be as
    /// large (QEMU copies into it, SAFETY.md 9, 10).
    void check_copy(const DiskSpec& disk, const std::string& name, const std::string& label, const Pool& pool) {
        const Pool* there = find_pool(snapshot_, to_.id, pool.name);
        const std::string way_out =
            fmt::format("define and start pool {} with path {} on {}", pool.name, pool.path, to_.name);
        if (there == nullptr || !there->active)
            return refuse(
                name, fmt::format("disk {} is to be copied, but {} has no active pool {}", label, to_.name, pool.name),
                way_out);
        if (there->path != pool.path)
            return refuse(name,
                          fmt::format("disk {} is to be copied, but pool {} is {} on {} and {} on {}", label, pool.name,
                                      pool.path, from_.name, there->path, to_.name),
                          way_out);
        if (const std::string user = user_there(disk); !user.empty())
            return refuse(name,
                          fmt::format("disk {} is to be copied over {} of {}, which is VM {}'s", label, disk.path,
                                      to_.name, user),
                          "move it to another host");
        const Volume* volume = volume_there(disk);
        const Bytes needed = disk.size;
        if (volume != nullptr && needed.count() > 0 && volume->capacity != needed)
            return refuse(name,
                          fmt::format("disk {} has {}, the volume {} on {} has {}", label, needed, volume->name,
                                      to_.name, volume->capacity),
                          fmt::format("remove that volume, or make it as large as the disk"));
        if (volume == nullptr && terms_.knobs.copy_disks == DiskCopy::incremental)
            return add(name, CheckVerdict::unknown,
                       fmt::format("disk {} is copied on top of a file that Ballast does not know of", label),
                       fmt::format("see that {} has {} with the same backing image, or use copy_disks full", to_.name,
                                   disk.path));
        if (volume == nullptr) return check_room(disk, name, label, *there);
        pass(name, fmt::format("copied along into pool {} of {}", pool.name, to_.name));
    }

    /// All disks that go into a pool must fit it together, each with the size that it may grow to.
    void check_room(const DiskSpec& disk, const std::string& name, const std::string& label, const Pool& there) {
        if (disk.size.count() == 0)
            return add(name, CheckVerdict::unknown,
                       fmt::format("disk {} is copied along, its size is not known yet", label),
                       "it is read, and the room for it checked, when the move starts");
        Bytes& taken = copied_[there.name];
        const Bytes left = saturating_sub(there.available, taken);
        taken = taken + disk.size;
        if (there.capacity.count() > 0 && left < disk.size)
            return refuse(name,
                          fmt::format("disk {} needs {}, pool {} of {} has {} left", label, disk.size, there.name,
                                      to_.name, left),
                          fmt::format("make room in pool {} of {}", there.name, to_.name));
        pass(name, fmt::format("copied along into pool {} of {}", there.name, to_.name));
    }

    /// Another VM that has a disk of the same path on the target, by name.
    [[nodiscard]] std::string user_there(const DiskSpec& disk) const {
        const auto is_there = [&](const Vm& vm) {
            const bool defined = std::ranges::find(vm.definitions, to_.id, &Definition::host) != vm.definitions.end();
            return vm.id != vm_.id && (vm.host == to_.id || defined) &&
                   std::ranges::find(vm.spec.disks, disk.path, &DiskSpec::path) != vm.spec.disks.end();
        };
        const Vm* user = disk.path.empty() ? nullptr : snapshot_.vms.find_if(is_there);
        return user != nullptr ? user->name : "";
    }

    /// A volume of the disk's path that Ballast knows on the target.
    [[nodiscard]] const Volume* volume_there(const DiskSpec& disk) const {
        const Volume* found = nullptr;
        snapshot_.volumes.for_each([&](const Volume& volume) {
            if (volume.host == to_.id && !disk.path.empty() && volume.path == disk.path) found = &volume;
        });
        return found;
    }

    /// QEMU reads kernel and initrd on the target too, but the guest has its own copy in memory: a file outside any
    /// pool is the operator's to provide.
    void check_boot_file(const std::string& what, const std::string& path) {
        if (path.empty()) return;
        const Pool* pool = pool_of({}, path);
        if (pool == nullptr)
            return add(what, CheckVerdict::unknown, fmt::format("{} lies in no pool", path),
                       fmt::format("see that {} has it", to_.name));
        if (const std::string why = unproven(*pool); !why.empty())
            return refuse(what, fmt::format("{}: {}", what, why),
                          fmt::format("share the pool, then `ballast host check-pair {} {}`", from_.name, to_.name));
        pass(what, fmt::format("pool {} is proven shared", pool->name));
    }

    const Vm& vm_;
    const Host& from_;
    const Host& to_;
    const HostPair* pair_;
    const Snapshot& snapshot_;
    const MoveTerms& terms_;
    std::map<std::string, Bytes> copied_;  ///< into the target's pools, by disks judged so far
    std::vector<PairCheck> checks_;
};

}  // namespace

bool is_fresh(const HostPair* pair, const MoveTerms& terms) {
    return pair != nullptr && terms.now - pair->checked <= terms.evidence_age;
}

std::vector<PairCheck> judge_disks(const Vm& vm, const Host& from, const Host& to, const HostPair* pair,
                                   const Snapshot& snapshot, const MoveTerms& terms) {
    return DiskChecks(vm, from, to, pair, snapshot, terms).run();
}

}  // namespace ballast::migration
