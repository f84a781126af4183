#pragma once
// Bodies of requests and answers that are not rows of core nor parameters of jobs. Described types only: their JSON and
// their schemas come from the field lists (instantiated in types.cpp).

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/host.h"
#include "core/job.h"
#include "core/json.h"
#include "core/vm.h"

namespace ballast::api {

struct ClusterView {
    std::string name;
    std::string id;
    std::string version;
    std::uint64_t seq = 0;
    bool writable = true;
    std::string reason;
    Timestamp time;
    int hosts = 0;
    int vms = 0;
};
BOOST_DESCRIBE_STRUCT(ClusterView, (), (name, id, version, seq, writable, reason, time, hosts, vms))

struct HostAdd {
    std::string name;
    std::string uri;
    bool managed = false;
    HostSettings settings;
};
BOOST_DESCRIBE_STRUCT(HostAdd, (), (name, uri, managed, settings))

struct HostConfirmDead {
    std::string name;    ///< the host's name, repeated
    std::string reason;  ///< how it is known
};
BOOST_DESCRIBE_STRUCT(HostConfirmDead, (), (name, reason))

struct HostPatch {
    std::optional<std::string> name;
    HostSettings settings;  ///< merged into what is set (RFC 7396): what is absent stays, null takes the default
};
BOOST_DESCRIBE_STRUCT(HostPatch, (), (name, settings))

struct QuarantineAsk {
    std::string reason;
    bool force = false;  ///< even though it still runs copies of VMs that belong to other hosts now
};
BOOST_DESCRIBE_STRUCT(QuarantineAsk, (), (reason, force))

struct PairAsk {
    std::string from;
    std::string to;
};
BOOST_DESCRIBE_STRUCT(PairAsk, (), (from, to))

struct AdoptAsk {
    std::vector<std::string> names;             ///< names, name@host or ids
    std::map<std::string, std::string> labels;  ///< or: every observed VM that carries all of these
};
BOOST_DESCRIBE_STRUCT(AdoptAsk, (), (names, labels))

/// What is absent stays.
struct OvercommitPatch {
    std::optional<int> shares;
    std::optional<int> priority;
    std::optional<bool> merge;
    std::optional<bool> may_suspend;
};
BOOST_DESCRIBE_STRUCT(OvercommitPatch, (), (shares, priority, merge, may_suspend))

/// What may change of a VM while its definition stays; what is absent stays. Page merging alone is in the definition,
/// which follows when the VM starts the next time.
struct VmSpecPatch {
    std::optional<std::map<std::string, std::string>> labels;
    std::optional<std::map<std::string, std::string>> host_labels;
    std::optional<std::string> anti_affinity;
    std::optional<VmPlacement> placement;  ///< as a whole
    std::optional<bool> autostart;
    std::optional<MovePolicy> moves;
    std::optional<MemoryPolicy> memory_policy;
    std::optional<OvercommitPatch> overcommit;
    std::optional<MigrationPolicy> migration;  ///< as a whole: what it leaves open is open from then on
};
BOOST_DESCRIBE_STRUCT(VmSpecPatch, (),
                      (labels, host_labels, anti_affinity, placement, autostart, moves, memory_policy, overcommit,
                       migration))

struct VmPatch {
    std::optional<std::string> name;  ///< must be the name that it has: VMs are not renamed
    VmSpecPatch spec;
};
BOOST_DESCRIBE_STRUCT(VmPatch, (), (name, spec))

struct PlacementAsk {
    VmSpec spec;
    std::string host;  ///< name or id; empty: any
};
BOOST_DESCRIBE_STRUCT(PlacementAsk, (), (spec, host))

struct CapacityAsk {
    VmSpec spec;
    std::string host;             ///< name or id: only there; empty: the whole cluster
    std::int64_t limit = 10'000;  ///< how many are tried at most
};
BOOST_DESCRIBE_STRUCT(CapacityAsk, (), (spec, host, limit))

struct TokenAsk {
    std::string name;
    Right right = Right::viewer;
    std::optional<Timestamp> expires;
};
BOOST_DESCRIBE_STRUCT(TokenAsk, (), (name, right, expires))

/// A token as anybody sees it: the hash of its secret is nobody's business.
struct TokenView {
    TokenId id;
    std::string name;
    Right right = Right::viewer;
    Timestamp created;
    std::optional<Timestamp> expires;
    std::optional<Timestamp> revoked;
    std::uint64_t revision = 0;
};
BOOST_DESCRIBE_STRUCT(TokenView, (), (id, name, right, created, expires, revoked, revision))

struct TokenMade {
    TokenView token;
    std::optional<std::string> secret;  ///< shown once; null when an Idempotency-Key is used again
};
BOOST_DESCRIBE_STRUCT(TokenMade, (), (token, secret))

struct UploadView {
    std::string name;
    Bytes size;
    std::string sha256;  ///< empty in lists
};
BOOST_DESCRIBE_STRUCT(UploadView, (), (name, size, sha256))

/// A volume as its pool has it just now, Ballast's or not.
struct PoolVolume {
    std::string name;
    std::string path;
    std::string format;
    Bytes capacity;
    Bytes allocation;
    std::string backing_path;
    VolumeId volume;  ///< the row, where Ballast made it
};
BOOST_DESCRIBE_STRUCT(PoolVolume, (), (name, path, format, capacity, allocation, backing_path, volume))

struct Problem {
    std::string type;
    std::string title;
    int status = 0;
    std::string detail;
    std::string code;
    bool retry = false;
    std::vector<std::string> causes;
    std::optional<std::string> job;
    std::optional<std::string> instance;
    JsonText current;
};
BOOST_DESCRIBE_STRUCT(Problem, (), (type, title, status, detail, code, retry, causes, job, instance, current))

}  // namespace ballast::api
