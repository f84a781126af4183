// vm.migrate: claim, then the migration state machine (daemon/jobs/migrate/move.h).
#include <nlohmann/json.hpp>

#include "core/try.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/migrate/move.h"

namespace ballast::jobs {

Task<Json> migrate_vm(RunPtr run) {
    BALLAST_CO_CHECK(co_await prepare_move(run));
    BALLAST_CO_TRY(const auto move, Move::open(run));
    LiveMoves& moves = run->services().migrations->moves();
    moves.enter(run->id(), move);
    auto outcome = co_await move->go();
    moves.leave(run->id());
    co_return outcome;
}

}  // namespace ballast::jobs
