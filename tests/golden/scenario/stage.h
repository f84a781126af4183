#pragma once
// A cluster-file's hosts and the whole core of a daemon on them (store, reconciler, jobs, the API's routes), on virtual
// time. It turns the loop, moves the clock, asks the API as a client would, and keeps the log of what the event log
// said, with times since the beginning and with names where ids were.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "core/snapshot.h"
#include "daemon/api/router.h"
#include "daemon/jobs/engine.h"
#include "daemon/jobs/migrate/desk.h"
#include "daemon/overcommit/admission.h"
#include "daemon/overcommit/memory_desk.h"
#include "daemon/reconcile/reconciler.h"
#include "daemon/simulation.h"
#include "tests/support/virtual_clock.h"

namespace ballast::testing {

/// A Monday, midnight: when every scenario's world begins.
inline constexpr Timestamp scenario_start{std::chrono::sys_days(std::chrono::year(2026) / 1 / 5)};

class Stage {
  public:
    explicit Stage(std::shared_ptr<daemon::Simulation> simulation);
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    /// Lets that much time go by.
    void advance(Milliseconds by);
    /// Lets time go by until the condition holds; false: it never did within `limit`.
    [[nodiscard]] bool until(const std::function<bool()>& condition, Milliseconds limit = std::chrono::hours(2));
    /// The coroutine's value, while time goes by. Throws when it does not end.
    template <class T>
    T run(boost::asio::awaitable<T> task);
    /// One request with an admin's token.
    [[nodiscard]] api::Response ask(api::Verb verb, const std::string& path, const std::string& body = {});
    /// The daemon dies without a word and a new one begins on the same store.
    void restart();
    /// From now on, and in every later daemon, the memory of hosts is kept; placement asks it.
    void keep_memory(overcommit::MemorySettings settings);

    /// Adds a line with the time of now.
    void log(std::string_view text);
    /// The same for a line that has no time: a comment, a command.
    void log_bare(std::string_view text) { log_ += std::string(text) + "\n"; }
    [[nodiscard]] const std::string& text() const { return log_; }
    /// Ids become names, times become times since the beginning.
    [[nodiscard]] std::string readable(std::string text) const;

    [[nodiscard]] drivers::simulated::World& world() { return *simulation_->world(); }
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return store_->snapshot(); }
    [[nodiscard]] const drivers::simulated::Layout& layout() const { return simulation_->layout(); }
    /// A connection of an outsider: virsh, as it were.
    [[nodiscard]] drivers::HostDriver& outsider(const std::string& host);
    [[nodiscard]] reconcile::Reconciler& reconciler() { return *reconciler_; }
    /// The last sweep of the host's memory; null: nobody looked.
    [[nodiscard]] std::shared_ptr<const overcommit::HostPicture> picture_of(const HostId& host) const {
        return pictures_->find(host);
    }

  private:
    void start_daemon();
    void stop_daemon();
    void connect_hosts();
    void run_jobs();
    void start_memory();
    [[nodiscard]] std::optional<overcommit::Seen> seen_of(const HostId& host);
    [[nodiscard]] std::shared_ptr<const scheduler::MemoryAdmission> admissions() const;
    void make_api();
    void make_token();
    void settle();
    void move_to(Timestamp time);
    [[nodiscard]] std::optional<Timestamp> next_moment() const;
    void note(const Event& event);
    [[nodiscard]] std::string time_of(Timestamp time) const;

    std::shared_ptr<daemon::Simulation> simulation_;
    Timestamp begun_;
    VirtualClock clock_;
    std::filesystem::path folder_;
    std::shared_ptr<IdSource> ids_ = std::make_shared<SeededIds>(7);
    std::unique_ptr<boost::asio::io_context> loop_;
    std::shared_ptr<store::Store> store_;
    std::shared_ptr<reconcile::Registry> registry_;
    std::shared_ptr<reconcile::Reconciler> reconciler_;
    std::shared_ptr<jobs::ProgressHub> progress_;
    std::shared_ptr<jobs::MigrationDesk> desk_;
    std::optional<overcommit::MemorySettings> memory_settings_;  ///< none: nobody keeps the hosts' memory
    std::shared_ptr<overcommit::PictureBoard> pictures_;
    std::shared_ptr<overcommit::AdmissionSource> admissions_;
    std::shared_ptr<overcommit::MemoryDesk> memory_;
    std::optional<jobs::Services> services_;
    std::shared_ptr<jobs::Engine> engine_;
    std::unique_ptr<api::Router> router_;
    std::unique_ptr<store::Subscription> listening_;
    std::map<std::string, std::shared_ptr<drivers::HostDriver>> outsiders_;
    std::string token_;
    std::string log_;
};

template <class T>
T Stage::run(boost::asio::awaitable<T> task) {
    auto outcome = std::make_shared<std::optional<T>>();
    boost::asio::co_spawn(*loop_, std::move(task), [outcome](const std::exception_ptr& thrown, T value) {
        if (thrown) std::rethrow_exception(thrown);
        *outcome = std::move(value);
    });
    if (!until([&] { return outcome->has_value(); })) throw std::runtime_error("a call has not ended in two hours");
    return std::move(**outcome);
}

}  // namespace ballast::testing
