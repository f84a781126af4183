#pragma once
// Jobs, claims, events and tokens: what the daemon persists beside hosts, VMs, storage and migrations.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "core/ids.h"
#include "core/json.h"
#include "core/units.h"
#include "core/vm_placement.h"

namespace ballast {

enum class JobState : std::uint8_t { queued, running, verifying, cancelling, succeeded, failed, cancelled };
BOOST_DESCRIBE_ENUM(JobState, queued, running, verifying, cancelling, succeeded, failed, cancelled)

[[nodiscard]] bool is_finished(JobState state);

enum class StepState : std::uint8_t { intended, done, undone, failed };
BOOST_DESCRIBE_ENUM(StepState, intended, done, undone, failed)

/// One persisted step: `intended` is committed before the act begins (SAFETY.md 5).
struct JobStep {
    std::string name;
    StepState state = StepState::intended;
    Timestamp intended_at;
    std::optional<Timestamp> ended_at;
    std::string detail;
    friend bool operator==(const JobStep&, const JobStep&) = default;
};
BOOST_DESCRIBE_STRUCT(JobStep, (), (name, state, intended_at, ended_at, detail))

struct JobError {
    std::string code;  ///< canonical code
    std::string message;
    std::vector<std::string> causes;  ///< outermost first
    friend bool operator==(const JobError&, const JobError&) = default;
};
BOOST_DESCRIBE_STRUCT(JobError, (), (code, message, causes))

struct Job {
    JobId id;
    std::string kind;  ///< vm.create, vm.start, vm.delete, vm.migrate, image.import, …
    VmId vm;           ///< empty where it is not about a VM
    HostId host;
    std::string subject;  ///< for people: the name of what it is about
    std::string actor;    ///< token name that asked
    JobState state = JobState::queued;
    bool cancel_requested = false;
    JsonText params;  ///< what was asked
    JsonText memo;    ///< what recovery needs: made ids, chosen host, undo data
    JsonText result;
    std::vector<JobStep> steps;
    std::optional<JobError> error;
    Timestamp created;
    std::optional<Timestamp> started;
    std::optional<Timestamp> finished;
    std::uint64_t revision = 0;
    friend bool operator==(const Job&, const Job&) = default;
};
BOOST_DESCRIBE_STRUCT(Job, (),
                      (id, kind, vm, host, subject, actor, state, cancel_requested, params, memo, result, steps, error,
                       created, started, finished, revision))

/// Room that a job holds on a host until the VM itself counts there (double memory of a migration, a VM being created);
/// or, without a job, a reservation: room that is held for a VM to come.
struct Claim {
    ClaimId id;  ///< the job's id; of a reservation its own
    JobId job;   ///< empty: a reservation
    HostId host;
    VmId vm;
    Bytes memory;
    int vcpus = 0;
    std::string anti_affinity;
    VmPlacement placement;  ///< the groups, devices and cells that it counts for
    Timestamp created;
    std::string name;                  ///< of a reservation
    std::string note;                  ///< of a reservation: what for, who asked
    std::optional<Timestamp> expires;  ///< of a reservation: it ends by itself then
    friend bool operator==(const Claim&, const Claim&) = default;
};
BOOST_DESCRIBE_STRUCT(Claim, (),
                      (id, job, host, vm, memory, vcpus, anti_affinity, placement, created, name, note, expires))

enum class Origin : std::uint8_t { ballast, outside };
BOOST_DESCRIBE_ENUM(Origin, ballast, outside)

/// One durable event: an after-image with its cause. `seq` orders everything that ever happened.
struct Event {
    std::uint64_t seq = 0;
    Timestamp time;
    std::string kind;          ///< vm.started, host.unreachable, job.succeeded, …
    std::string subject_kind;  ///< vm, host, job, volume, image, pool, pair, migration, plan, token, claim
    std::string subject_id;
    std::string subject_name;
    std::string actor;  ///< token name, "ballast" or "outside"
    Origin origin = Origin::ballast;
    JobId job;
    std::string message;
    JsonText after;  ///< the row after the change; null: it is gone
    friend bool operator==(const Event&, const Event&) = default;
};
BOOST_DESCRIBE_STRUCT(Event, (),
                      (seq, time, kind, subject_kind, subject_id, subject_name, actor, origin, job, message, after))

enum class Right : std::uint8_t { viewer, operator_, admin };
BOOST_DESCRIBE_ENUM(Right, viewer, operator_, admin)

struct Token {
    TokenId id;
    std::string name;
    Right right = Right::viewer;
    std::string sha256;  ///< of the secret, hexadecimal; the secret itself is never stored
    Timestamp created;
    std::optional<Timestamp> expires;
    std::optional<Timestamp> revoked;
    std::uint64_t revision = 0;
    friend bool operator==(const Token&, const Token&) = default;
};
BOOST_DESCRIBE_STRUCT(Token, (), (id, name, right, sha256, created, expires, revoked, revision))

}  // namespace ballast
