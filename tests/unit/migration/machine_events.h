#pragma once
// A migration and the events of its machine, for the machine's tests. Header-only.

#include "migration/machine.h"

namespace ballast::migration {

using Kind = MigrationEventKind;
using Phase = MigrationPhase;
using Act = MigrationAct;
using Acts = std::vector<MigrationAct>;

inline Migration a_migration(Phase phase, MigrationMode mode = MigrationMode::pre_copy) {
    Migration migration;
    migration.id = JobId("j1");
    migration.vm = VmId("web1");
    migration.from = HostId("h1");
    migration.to = HostId("h2");
    migration.mode = mode;
    migration.phase = phase;
    return migration;
}

inline MigrationEvent event(Kind kind) {
    MigrationEvent made;
    made.kind = kind;
    return made;
}
inline MigrationEvent round(int number) {
    MigrationEvent made = event(Kind::round_ended);
    made.round = MigrationRound{};
    made.round->round = number;
    return made;
}
inline MigrationEvent judged(OwnershipAct act, Owner owner = Owner::source) {
    MigrationEvent made = event(Kind::judged);
    made.verdict = Verdict{owner, act, "seen"};
    return made;
}

inline MigrationEvent steered(SteeringAct act, Milliseconds downtime = Milliseconds{0}) {
    MigrationEvent made = event(Kind::steered);
    made.steering = Steering{act, downtime, "no round leaves less"};
    return made;
}
inline MigrationEvent tuned(const Tuning& tuning) {
    MigrationEvent made = event(Kind::tune_requested);
    made.tuning = tuning;
    made.actor = "ops";
    made.at = Milliseconds{1'500};
    return made;
}
inline const Tuning half_a_second{.max_downtime = Milliseconds{500}, .bandwidth = {}, .post_copy_bandwidth = {}};
inline const Tuning both_bandwidths{
    .max_downtime = {}, .bandwidth = BytesPerSecond(1'000'000), .post_copy_bandwidth = BytesPerSecond(2'000'000)};

}  // namespace ballast::migration
