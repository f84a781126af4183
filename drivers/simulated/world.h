#pragma once
// A cluster in memory on virtual time: hosts, domains, storage, links, and a clock that stands still until somebody
// moves it. It decides what a real cluster would do to a driver's calls; it never sleeps and never touches a real host.
// The same seed and the same calls in the same order give the same run.
//
// Thread rule: thread-safe. One mutex guards the whole; events and ends of calls are delivered without it, in order, by
// whichever thread caused them (ends of calls are posted to the awaiting coroutine's executor). Time moves only by
// advance(), step(), run_until_idle(), or by itself after follow_real_time().

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "core/clock.h"
#include "drivers/driver.h"
#include "drivers/simulated/model.h"

namespace ballast::drivers::simulated {

class State;
class Faults;

class World final : public Clock, public std::enable_shared_from_this<World> {
  public:
    /// `start`: the time of day it begins at; without, the first of January 2026.
    [[nodiscard]] static std::shared_ptr<World> make(std::uint64_t seed = 1, Timing timing = {},
                                                     std::optional<Timestamp> start = {});
    ~World() override;
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    /// Empty facts are filled in. Errors: already_exists, invalid_argument (the name).
    Result<void> add_host(HostModel host);
    /// The bandwidth between two hosts, beside what their cards can do.
    void set_link(const std::string& a, const std::string& b, BytesPerSecond bandwidth);
    /// A VM that was there before Ballast was: defined, and long since booted if it runs. Set its load first.
    Result<void> add_vm(const std::string& host, const DomainDefinition& definition, bool running);
    /// The path of a volume made on the host. Errors: those of Storage::create_volume.
    Result<std::string> add_volume(const std::string& host, const NewVolume& volume);
    /// What a VM's guest does; without, `set_common_load` or nothing.
    void set_load(const VmId& vm, GuestLoad load);
    void set_common_load(GuestLoad load);

    // Time.
    [[nodiscard]] Timestamp now() const override;
    void advance(Milliseconds by);
    /// Moves to the next timer and fires all of that moment; false when there is none within `limit`.
    bool step(Milliseconds limit = std::chrono::hours(24));
    /// Steps until nothing is left to happen.
    void run_until_idle(Milliseconds limit = std::chrono::hours(24));
    /// When something happens next, whole milliseconds; nothing: only calls can bring anything about.
    [[nodiscard]] std::optional<Timestamp> next_event() const;
    /// Calls it when that much time has gone by, without the mutex. For as long as the world lives.
    void at(Milliseconds after, std::function<void(World&)> act);
    /// From now on time goes by itself, `speed` virtual seconds per real one, on the executor's loop. Counters of CPU
    /// time go by real time, so that a load reads the same at every speed.
    void follow_real_time(boost::asio::any_io_executor executor, double speed = 1.0);

    // What is really so, whatever the hosts can be asked: for assertions.
    [[nodiscard]] std::optional<DomainView> find_domain(const std::string& host, const VmId& vm) const;
    /// Hosts on which the guest's vCPUs run.
    [[nodiscard]] std::vector<std::string> running_copies(const VmId& vm) const;
    /// What the host's exporter says of its memory; nothing: it does not answer.
    [[nodiscard]] std::optional<HostPressure> pressure_of(const std::string& host);
    /// The memory of a guest that has a model of it; nothing: it has none, or does not run there.
    [[nodiscard]] std::optional<GuestMemory> memory_of(const std::string& host, const VmId& vm);
    /// Guests that went on with another disk's bytes: what SAFETY.md 9 must prevent.
    [[nodiscard]] std::vector<std::string> damage() const;

    [[nodiscard]] Faults faults();

    /// For the driver and Faults: acts under the mutex, then delivers what the act left in the outbox.
    template <class Act>
    auto with(Act act) {
        const Delivery delivery(*this);
        const std::scoped_lock lock(mutex_);
        return act(*state_);
    }

  private:
    class Ticker;
    /// Delivers at the end of its life, after the mutex is free.
    class Delivery {
      public:
        explicit Delivery(World& world) : world_(world) {}
        ~Delivery() { world_.deliver(); }
        Delivery(const Delivery&) = delete;
        Delivery& operator=(const Delivery&) = delete;

      private:
        World& world_;
    };

    World(std::uint64_t seed, Timing timing, std::optional<Timestamp> start);
    void deliver();
    bool fire(Milliseconds limit);

    mutable std::mutex mutex_;
    bool delivering_ = false;
    std::unique_ptr<State> state_;
    std::shared_ptr<Ticker> ticker_;
};

/// What goes wrong, on command. Takes effect at once.
class Faults {
  public:
    explicit Faults(std::shared_ptr<World> world) : world_(std::move(world)) {}

    /// The migration link between two hosts.
    void cut(const std::string& a, const std::string& b, Cut how = Cut::hard);
    void heal(const std::string& a, const std::string& b);
    /// Ballast can't reach the host; its VMs and migrations go on.
    void make_unreachable(const std::string& host);
    void make_reachable(const std::string& host);
    /// Calls never complete until the release, when they take effect: the driver's deadline ends the waiting before.
    void hang(const std::string& host);
    void release(const std::string& host);
    /// Every QEMU of the host is gone, and it can't be reached until revived.
    void crash(const std::string& host);
    void revive(const std::string& host);
    void kill_qemu(const std::string& host, const VmId& vm);
    /// Somebody else fills the storage behind the pool.
    void fill_pool(const std::string& host, const std::string& pool);
    void drain_pool(const std::string& host, const std::string& pool);
    /// The next call of this kind ends with the error, before or after its effect. Several queue up.
    void fail_next(const std::string& host, Call call, Error error, When when = When::before_effect);
    void drop_events(const std::string& host, bool drop);
    /// Ties the domain to the host: "managed save", "2 snapshots" (SAFETY.md 11).
    void bind(const std::string& host, const VmId& vm, std::string by);
    /// libvirt's own autostart flag, as somebody with virsh sets it.
    void set_autostart(const std::string& host, const VmId& vm, bool on);
    /// What is wrong with the guest's balloon from now on, wherever it runs.
    void set_guest(const VmId& vm, GuestFaults faults);
    /// Somebody else moves a balloon or tunes page merging. Errors: as of the Memory role.
    Result<void> set_balloon(const std::string& host, const VmId& vm, Bytes target);
    Result<void> set_ksm(const std::string& host, const KsmSettings& settings);
    /// /sys/kernel/mm/ksm/run, and the kernel's advisor: nobody else may set pages_to_scan while it is on.
    void run_ksm(const std::string& host, bool runs);
    void advise_ksm(const std::string& host, bool advised);
    /// The host has less memory from now on, or more.
    void set_memory(const std::string& host, Bytes memory);
    /// What is left on its disk for saved states.
    void set_save_room(const std::string& host, Bytes room);
    /// Nobody can read the host's pressure.
    void silence_exporter(const std::string& host, bool silent);

  private:
    std::shared_ptr<World> world_;
};

/// Speaks sim://host-name.
[[nodiscard]] std::shared_ptr<Driver> make_simulated_driver(std::shared_ptr<World> world);

}  // namespace ballast::drivers::simulated
