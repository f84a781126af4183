#include "daemon/jobs/migrate/live_moves.h"

#include "daemon/jobs/migrate/move.h"

namespace ballast::jobs {

Result<void> LiveMoves::ask(const JobId& id, const migration::MigrationEvent& event) {
    const auto found = moves_.find(id);
    const auto move = found == moves_.end() ? nullptr : found->second.lock();
    if (!move)
        return fail(Code::failed_precondition, "migration {} does not run now; see `ballast migration show {}`", id,
                    id);
    return move->ask(event);
}

}  // namespace ballast::jobs
