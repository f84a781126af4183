#pragma once
// Storage as the inventory sees it: pools per host, volumes, images, and the evidence that two hosts really share a
// pool.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/ids.h"
#include "core/units.h"
#include "core/vm.h"

namespace ballast {

/// One libvirt storage pool on one host. Pools of one name on several hosts are one storage only where evidence says so
/// (SAFETY.md 9).
struct Pool {
    PoolId id;  ///< "<host id>/<name>"
    HostId host;
    std::string name;
    std::string type;  ///< dir, netfs, iscsi-direct, …
    std::string path;
    bool active = false;
    Bytes capacity;
    Bytes available;
    std::uint64_t revision = 0;
    friend bool operator==(const Pool&, const Pool&) = default;
};
BOOST_DESCRIBE_STRUCT(Pool, (), (id, host, name, type, path, active, capacity, available, revision))

enum class VolumeState : std::uint8_t { creating, ready, deleting };
BOOST_DESCRIBE_ENUM(VolumeState, creating, ready, deleting)

/// A volume that Ballast made. Volumes of others are listed live from their pool, never kept as rows.
struct Volume {
    VolumeId id;
    std::string name;  ///< file name within the pool
    std::string pool;  ///< pool name
    HostId host;  ///< the host through which it was made; the others of the pool see it only where sharing is proven
    std::string path;
    std::string format;
    Bytes capacity;
    ImageId image;  ///< backing image; empty: none
    VmId vm;        ///< the VM it belongs to; empty: none
    VolumeState state = VolumeState::creating;
    Timestamp created;
    std::uint64_t revision = 0;
    friend bool operator==(const Volume&, const Volume&) = default;
};
BOOST_DESCRIBE_STRUCT(Volume, (), (id, name, pool, host, path, format, capacity, image, vm, state, created, revision))

/// An image: a read-only base volume, and for direct kernel boot a kernel and an initrd beside it.
struct Image {
    ImageId id;
    std::string name;
    std::string pool;
    HostId host;
    std::string path;  ///< of the base volume; empty: an image without a disk
    std::string format;
    Bytes capacity;      ///< virtual size
    Bytes size;          ///< bytes imported
    std::string sha256;  ///< of the imported content
    BootSpec boot;       ///< kernel and initrd as paths in the pool, default command line
    VolumeState state = VolumeState::creating;
    Timestamp created;
    std::uint64_t revision = 0;
    friend bool operator==(const Image&, const Image&) = default;
};
BOOST_DESCRIBE_STRUCT(Image, (),
                      (id, name, pool, host, path, format, capacity, size, sha256, boot, state, created, revision))

enum class CheckVerdict : std::uint8_t { ok, warning, refused, unknown };
BOOST_DESCRIBE_ENUM(CheckVerdict, ok, warning, refused, unknown)

/// One line of a preflight: what was checked, what was found, and the way out.
struct PairCheck {
    std::string
        name;  ///< peer_trust, migration_port, qemu_versions, machine_types, shared_pool:<name>, userfaultfd, clock, …
    CheckVerdict verdict = CheckVerdict::unknown;
    std::string detail;
    std::string way_out;
    friend bool operator==(const PairCheck&, const PairCheck&) = default;
};
BOOST_DESCRIBE_STRUCT(PairCheck, (), (name, verdict, detail, way_out))

/// What is known of moving VMs from one host to another (SAFETY.md 6 and 9).
struct HostPair {
    PairId id;  ///< "<from>><to>"
    HostId from;
    HostId to;
    std::vector<PairCheck> checks;
    std::vector<std::string> shared_pools;      ///< pool names proven shared by a nonce
    std::vector<std::string> missing_features;  ///< CPU features that guests may have on `from` and not on `to`
    Timestamp checked;
    std::uint64_t revision = 0;
    friend bool operator==(const HostPair&, const HostPair&) = default;
};
BOOST_DESCRIBE_STRUCT(HostPair, (), (id, from, to, checks, shared_pools, missing_features, checked, revision))

}  // namespace ballast
