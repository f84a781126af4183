// vm.migrate: claim, then the migration state machine (daemon/jobs/migrate/move.h).
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/migrate/move.h"
#include "daemon/jobs/migrate/offline.h"
#include "daemon/jobs/params.h"

namespace ballast::jobs {

Task<Json> migrate_vm(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<VmMigrateParams>(run->params(), ""));
    if (params.mode == ModeChoice::offline) co_return co_await move_offline(run);
    BALLAST_CO_CHECK(co_await prepare_move(run));
    BALLAST_CO_TRY(const auto move, Move::open(run));
    LiveMoves& moves = run->services().migrations->moves();
    moves.enter(run->id(), move);
    auto outcome = co_await move->go();
    moves.leave(run->id());
    co_return outcome;
}

}  // namespace ballast::jobs
