#pragma once
// One live migration as its job sees it: the driver of migration/machine.h. The machine says what follows from what was
// seen; this persists its step (row, memo and intents in one transaction, SAFETY.md 5) and then does the acts. The
// return of the migrate call is only one more event; who owns the VM is decided by migration/ownership.h alone. Loop
// thread only. A Move lives as long as its coroutines: they hold it by shared_ptr.

#include <deque>
#include <memory>
#include <optional>

#include "daemon/jobs/params.h"
#include "daemon/jobs/run.h"
#include "migration/machine.h"

namespace ballast::jobs {

class Move : public std::enable_shared_from_this<Move> {
  public:
    /// From the migration row that prepare_move committed. Errors: not_found (a host is gone from the inventory).
    [[nodiscard]] static Result<std::shared_ptr<Move>> open(RunPtr run);

    /// Until one definite owner is left. The job's result, or why the VM stayed where it was.
    Task<Json> go();
    /// An operator's word: checked against the state machine now, followed in its turn. Errors: those of
    /// migration::next.
    [[nodiscard]] Result<void> ask(migration::MigrationEvent event);

  private:
    explicit Move(RunPtr run)
        : run_(std::move(run)), wake_(run_->services().executor), look_(run_->services().executor) {}

    // mover.cpp: events in, persisted steps out
    void post(migration::MigrationEvent event);
    void post(migration::MigrationEventKind kind, std::string detail = {});
    Task<> handle(migration::MigrationEvent event);
    Task<> persist(const migration::Step* step, std::string name);
    void notice_cancel();
    void post_later(Milliseconds delay, migration::MigrationEventKind kind);
    [[nodiscard]] Milliseconds since_call() const;
    [[nodiscard]] std::shared_ptr<const Migration> row() const;
    [[nodiscard]] migration::MigrationMemo memo() const;
    [[nodiscard]] bool owes_restart() const;
    [[nodiscard]] Json result() const;
    [[nodiscard]] Error failure() const;

    // acts.cpp: what the machine asks for
    Task<> perform(migration::MigrationAct act);
    Task<> ask_both_sides();
    Task<> note_undecided(std::string reason);
    Task<> withdraw_undecided();
    Task<> check_pair();
    Task<> call_migrate(bool resume_post_copy);
    Task<> stamp(bool on_target);
    Task<> set_downtime();
    Task<> set_push_bandwidth(BytesPerSecond bandwidth);
    Task<> empty_the_socket();
    Task<> start_post_copy();
    Task<> record_result();
    Task<> end_copy(HostId host, std::shared_ptr<drivers::HostDriver> driver);
    Task<HostId> home_of_the_lost();
    Task<> restart_from_disk();
    Task<std::optional<bool>> is_still_lost();
    Task<> restart_until_done(bool judged_just_now);
    Task<> alert_operator();

    // watch.cpp: libvirt's job as events
    boost::asio::awaitable<void> call(drivers::MigrationRequest request);
    boost::asio::awaitable<void> watch();
    Task<> watch_once();
    void await_call();
    void take_hint(const drivers::DriverEvent& event);
    void look_at_push(const drivers::MigrationProgress& progress);
    void look_at_pull(const drivers::MigrationProgress& progress);
    void steer(const drivers::MigrationProgress& progress, const std::optional<MigrationRound>& ended);
    [[nodiscard]] migration::PushSample sample_of(const drivers::MigrationProgress& progress) const;
    void report(const drivers::MigrationProgress& progress);
    [[nodiscard]] bool is_on_the_way() const;

    // assess.cpp: both hosts, twice in turn
    Task<migration::Verdict> assess();
    Task<migration::SideSays> ask(HostId host);
    Task<migration::SourceSays> ask_source();

    RunPtr run_;
    Signal wake_;
    Signal look_;  ///< the hypervisor said that something changed: look before the next regular time
    migration::Limits limits_;
    VmId vm_;
    HostId from_;
    HostId to_;
    std::shared_ptr<drivers::HostDriver> source_;
    std::shared_ptr<drivers::HostDriver> target_;
    std::deque<migration::MigrationEvent> events_;
    std::optional<Timestamp> undecided_since_;
    bool calling_ = false;   ///< our migrate call has not returned
    bool resuming_ = false;  ///< it is one that resumes a broken post-copy
    bool watching_ = false;
    bool cancel_noticed_ = false;
    std::optional<Error> call_error_;
    std::string last_reason_;
    int iteration_ = 0;  ///< QEMU's, as last seen: each bitmap sync begins a new one
    int throttle_ = 0;   ///< the highest seen
    std::optional<Timestamp> call_returned_;
    std::optional<Timestamp> switched_;
    std::optional<Timestamp> guest_stopped_;  ///< on the source, by its event
    std::optional<Timestamp> guest_went_on_;  ///< on the target, by its event
    drivers::MigrationProgress last_progress_;
    Bytes pull_left_;  ///< at the last progress of the pull phase
    std::optional<Timestamp> pull_moved_;
    std::optional<Timestamp> job_gone_;  ///< since when the source shows no job, though the call has not returned
};

/// Preflight, forecast, choice, lane, claim, migration row: all that must be true before anything is done. Errors name
/// what stands in the way and the way out.
Task<> prepare_move(RunPtr run);

/// The pair's evidence is made fresh where it is missing or old. Nothing is probed on a host that the static checks
/// refuse anyway.
Task<> refresh_pair(RunPtr run, HostId from, HostId to);

/// The checks of one move on the inventory as it is now.
[[nodiscard]] std::vector<PairCheck> check_move(const Run& run, const Vm& vm, const HostId& from, const HostId& to,
                                                MigrationMode mode);

}  // namespace ballast::jobs
