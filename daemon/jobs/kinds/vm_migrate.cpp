// vm.migrate: claim, then the migration state machine (daemon/jobs/migrate/move.h).
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/kinds/copied_disks.h"
#include "daemon/jobs/kinds/kinds.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/jobs/migrate/move.h"
#include "daemon/jobs/migrate/offline.h"
#include "daemon/jobs/params.h"

namespace ballast::jobs {
namespace {

/// What the host shows before anything is claimed; where it can't be asked, the preflight says so.
Task<> check_disks_on_host(RunPtr run) {
    const auto vm = run->snapshot()->vms.find_ptr(run->vm());
    if (run->is_done("claim") || !vm || !vm->host) co_return Result<void>{};
    const auto driver = run->services().hosts->reachable(*vm->host);
    if (!driver) co_return Result<void>{};
    const auto view = co_await look_at(*driver, vm->id);
    if (!view || !*view) co_return Result<void>{};
    co_return check_known_disks(*vm, **view);
}

}  // namespace

Task<Json> migrate_vm(RunPtr run) {
    BALLAST_CO_TRY(const auto params, parse_as<VmMigrateParams>(run->params(), ""));
    if (params.mode == ModeChoice::offline) co_return co_await move_offline(run);
    BALLAST_CO_CHECK(co_await check_disks_on_host(run));
    if (params.knobs.copy_disks != DiskCopy::none) BALLAST_CO_CHECK(co_await check_copied_disks(run, params.to));
    BALLAST_CO_CHECK(co_await prepare_move(run));
    BALLAST_CO_TRY(const auto move, Move::open(run));
    LiveMoves& moves = run->services().migrations->moves();
    moves.enter(run->id(), move);
    auto outcome = co_await move->go();
    moves.leave(run->id());
    if (outcome) {
        BALLAST_CO_CHECK(co_await follow_copied_disks(run));
    } else {
        const Result<void> removed = co_await remove_half_copies(run);
        if (!removed) spdlog::warn("job={} vm={} {}", run->id().str(), run->vm().str(), removed.error().chain());
    }
    co_return outcome;
}

}  // namespace ballast::jobs
