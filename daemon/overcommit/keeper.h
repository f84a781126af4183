#pragma once
// The memory of one host, kept: reads it, asks memory/ what to do, does it, publishes what it saw. One per host row,
// owned by the desk. It acts only on managed hosts and VMs whose policies let it, and on each only after a look at the
// row of that moment (SAFETY.md 1, 12). Loop thread.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.h"
#include "daemon/overcommit/facts.h"
#include "daemon/overcommit/picture.h"
#include "daemon/overcommit/settings.h"
#include "daemon/reconcile/host_registry.h"
#include "daemon/store/store.h"

namespace ballast::overcommit {

/// What the keepers of all hosts share.
struct Surroundings {
    boost::asio::any_io_executor executor;
    std::shared_ptr<store::Store> store;
    std::shared_ptr<reconcile::HostRegistry> hosts;
    std::shared_ptr<const Clock> clock;
    std::shared_ptr<PictureBoard> board;
    MemorySettings settings;
    /// What is seen of hosts that have no exporter of their own (simulated ones); empty: nothing.
    std::function<std::optional<Seen>(const HostId&)> see = {};
    /// Asks for a move away from a host in danger; empty: nobody can be asked.
    std::function<store::Task<>(HostId, std::string why)> ask_for_a_move = {};
};

/// What is kept of a host for a restart.
struct Kept {
    memory::HostMemo memo;
    std::map<VmId, OverheadMemo> overheads;
    friend bool operator==(const Kept&, const Kept&) = default;
};
BOOST_DESCRIBE_STRUCT(Kept, (), (memo, overheads))

/// The key of a host's state in the store, before its id.
inline constexpr const char* kept_under = "memory/";

class Keeper : public std::enable_shared_from_this<Keeper> {
  public:
    Keeper(HostId host, std::shared_ptr<const Surroundings> around)
        : host_(std::move(host)), around_(std::move(around)) {}

    /// What was kept before a restart. A text that can't be read is passed over: everything is learned anew.
    void restore(const std::string& text);
    [[nodiscard]] std::string kept() const;

    /// One look: the whole host is decided on when its turn has come or a guest lacks memory. Errors: those of the
    /// driver and the store.
    store::Task<> look();
    /// See MemoryDesk::shrink_before_move.
    store::Task<> shrink(VmId vm, BytesPerSecond bandwidth);
    /// See MemoryDesk::room_for.
    store::Task<std::string> room_for(VmId vm, Bytes needed);
    /// The last looks of a clean stop: guests get back what is physically free (SAFETY.md 12).
    store::Task<> give_back();

  private:
    struct Sweep {
        std::shared_ptr<const Snapshot> snapshot;
        std::shared_ptr<const Host> row;
        std::shared_ptr<drivers::HostDriver> driver;
        memory::HostMemory host;
        std::vector<memory::VmMemory> vms;
        Timestamp now;
    };
    /// A VM that waits for its start or its move, or was let come and is not seen yet.
    struct Coming {
        Bytes needed;
        Timestamp first;  ///< asked
        Timestamp last;
        bool let = false;
        int asking = 0;  ///< questions that wait for a look
    };
    void forget_those_who_came(const Sweep& sweep);
    [[nodiscard]] Bytes coming() const;
    [[nodiscard]] bool keeps_balloons() const;
    [[nodiscard]] bool is_due(const Sweep& sweep) const;
    store::Task<Sweep> read();
    boost::asio::awaitable<void> see_exporter(std::string url, Timestamp now);
    store::Task<> decide(std::shared_ptr<const Sweep> sweep);
    store::Task<> carry_out(std::shared_ptr<const Sweep> sweep, std::shared_ptr<const memory::Decisions> decisions);
    boost::asio::awaitable<void> move_balloons(std::shared_ptr<const Sweep> sweep,
                                               std::vector<memory::BalloonMove> moves);
    boost::asio::awaitable<void> tune_ksm(std::shared_ptr<const Sweep> sweep, memory::KsmDecision decision);
    boost::asio::awaitable<void> await_look();
    void ask_for_a_move(std::string why);
    store::Task<> keep_what_was_found();
    boost::asio::awaitable<void> put_ksm_back(std::shared_ptr<const Sweep> sweep);
    boost::asio::awaitable<void> let_go(std::shared_ptr<const Sweep> sweep);
    void publish(const Sweep& sweep, const memory::Decisions& decisions);
    [[nodiscard]] bool may_act(const Sweep& sweep) const;

    HostId host_;
    std::shared_ptr<const Surroundings> around_;
    memory::HostMemo memo_;
    std::map<VmId, OverheadMemo> overheads_;
    std::map<VmId, std::string> told_;  ///< why a balloon is left alone, as it was told last
    std::map<VmId, Timestamp> shrunk_;  ///< before a move that has not begun yet
    std::map<VmId, Coming> coming_;     ///< that wait for their start or their move
    Bytes start_room_;                  ///< as of the last decision
    bool found_kept_ = false;           ///< what KSM was found with is in the store
    std::string told_ksm_;
    MemoryPolicy acted_as_ = MemoryPolicy::none;
    bool looking_ = false;
    bool ended_ = false;  ///< memory was given back: nothing is decided any more
    Timestamp decided_;
    Timestamp asked_planner_;
    Seen seen_;
    Timestamp scraped_;
    std::string sight_why_;
};

}  // namespace ballast::overcommit
