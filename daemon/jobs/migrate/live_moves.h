#pragma once
// The moves that run in this daemon, for an operator's word to reach them: finish now, switch to post-copy now, resume,
// other limits. Whether the word can be followed is the state machine's to say. Loop thread only.

#include <map>
#include <memory>

#include "daemon/jobs/signal.h"
#include "migration/machine.h"

namespace ballast::jobs {

class Move;

class LiveMoves {
  public:
    void enter(const JobId& id, const std::shared_ptr<Move>& move) { moves_[id] = move; }
    void leave(const JobId& id) { moves_.erase(id); }

    /// Hands the event to the move. Errors: not_found (no such migration runs here), and those of migration::next.
    [[nodiscard]] Result<void> ask(const JobId& id, const migration::MigrationEvent& event);

  private:
    std::map<JobId, std::weak_ptr<Move>> moves_;
};

}  // namespace ballast::jobs
