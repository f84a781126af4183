#pragma once
// Waiting in coroutines of the loop, ended all at once at shutdown; and detached coroutines whose exceptions are
// logged. Thread rule: loop thread only. Held by shared_ptr, because a waiting coroutine outlives its owner's stop.

#include <exception>
#include <memory>
#include <set>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "core/units.h"

namespace ballast::reconcile {

class Pauses {
  public:
    explicit Pauses(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}

    [[nodiscard]] const boost::asio::any_io_executor& loop() const { return loop_; }
    [[nodiscard]] bool ended() const { return ended_; }
    /// Ends every wait; later ones return at once.
    void end();

    /// Until the time is over, or end().
    static boost::asio::awaitable<void> wait(std::shared_ptr<Pauses> self, Milliseconds time);
    /// Runs the coroutine by itself; `what` names it in the log if it throws.
    void spawn(boost::asio::awaitable<void> task, std::string what) const;

  private:
    boost::asio::any_io_executor loop_;
    std::set<boost::asio::steady_timer*> waiting_;
    bool ended_ = false;
};

/// Lets one coroutine wait until `count` others have said `done`.
class Countdown {
  public:
    Countdown(const boost::asio::any_io_executor& loop, std::size_t count) : timer_(loop), left_(count) {
        timer_.expires_at(boost::asio::steady_timer::time_point::max());
    }
    void done() {
        if (--left_ == 0) timer_.cancel();
    }
    static boost::asio::awaitable<void> wait(std::shared_ptr<Countdown> self);

  private:
    boost::asio::steady_timer timer_;
    std::size_t left_;
};

}  // namespace ballast::reconcile
