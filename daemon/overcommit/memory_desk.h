#pragma once
// The memory desk: keeps the memory of every host (keeper.h), writes which policy counts on each (Host::memory_policy),
// and keeps what was learned for a restart. It decides nothing: memory/ does. Loop thread only, but for the board.

#include <map>
#include <memory>

#include "daemon/jobs/services.h"
#include "daemon/overcommit/giving_back.h"
#include "daemon/overcommit/keeper.h"
#include "daemon/reconcile/pause.h"

namespace ballast::overcommit {

class MemoryDesk : public std::enable_shared_from_this<MemoryDesk> {
  public:
    /// Publishes on the board, which others ask, too.
    MemoryDesk(const jobs::Services& services, std::shared_ptr<PictureBoard> board, MemorySettings settings,
               std::function<std::optional<Seen>(const HostId&)> see = {});

    /// Reads back what was kept and begins to look. Needs to be owned by a shared_ptr.
    void start();
    /// Ends every wait and keeps what was learned; with `give_back_on_stop`, guests get their memory back first.
    drivers::Task<> stop();

    /// Where it pays by the last sweep of its host: the VM is taken down to its working set and margin, and waited for.
    /// Never fails a move: what goes wrong is logged. The host that it comes to gives it back.
    drivers::Task<> shrink_before_move(VmId vm, BytesPerSecond bandwidth);

    /// Before a VM is started on the host, or moved to it: a guest that boots may fill all its memory before its
    /// balloon can be moved, and one that comes what it has in memory already. So much must be there without bringing
    /// anybody into danger; others are made smaller for it in haste. Empty: it may come. Else why not yet: ask again
    /// within seconds, or it counts as given up. Who was let come has its room kept until it is seen. On hosts whose
    /// memory nobody keeps everything may come. Errors: those of the driver and the store.
    drivers::Task<std::string> room_for(VmId vm, HostId host);

  private:
    void follow(const HostId& host);
    void on_commit(const std::vector<Event>& events);
    drivers::Task<> write_policies();
    boost::asio::awaitable<void> begin();
    boost::asio::awaitable<void> look_for_ever(HostId host);
    boost::asio::awaitable<void> keep_for_ever();
    boost::asio::awaitable<void> note_for_ever();
    drivers::Task<> keep_all();
    [[nodiscard]] std::vector<std::pair<HostId, std::shared_ptr<Keeper>>> in_the_order_of_hope() const;
    drivers::Task<> tell_kept_back(std::vector<HostId> hosts);

    std::shared_ptr<Surroundings> around_;
    std::shared_ptr<reconcile::Pauses> pauses_;
    std::map<HostId, std::shared_ptr<Keeper>> keepers_;
    std::map<HostId, std::string> kept_;
    std::map<HostId, Timestamp> noted_;  ///< the sweep that history has
    std::unique_ptr<store::Subscription> subscription_;
    bool begun_ = false;  ///< what was kept is read: hosts may be followed
    bool writing_ = false;
};

}  // namespace ballast::overcommit
