#pragma once
// How a driver call waits: a coroutine suspends, its end is posted to its own executor, once. Internal to the simulated
// driver. Cancellation of the coroutine ends the waiting with `cancelled`; the act itself is not undone.

#include <functional>
#include <memory>
#include <utility>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "drivers/simulated/state.h"
#include "drivers/simulated/world.h"

namespace ballast::drivers::simulated {

template <class T>
class Pending final : public PendingBase {
  public:
    using Finish = std::move_only_function<void(Result<T>)>;
    Pending(State& state, Finish finish) : state_(state), finish_(std::move(finish)) {}

    void end(Error error) override { complete(std::unexpected(std::move(error))); }
    /// Under World's mutex. Later ends are ignored.
    void complete(Result<T> result) {
        if (!finish_) return;
        state_.outbox.emplace_back([finish = std::exchange(finish_, nullptr), result = std::move(result)]() mutable {
            finish(std::move(result));
        });
    }
    [[nodiscard]] bool is_over() const { return !finish_; }

  private:
    State& state_;
    Finish finish_;
};

/// Suspends the coroutine; `begin(state, pending)` runs under World's mutex and completes it then or later.
template <class T, class Begin>
Task<T> await_end(std::shared_ptr<World> world, Begin begin) {
    namespace asio = boost::asio;
    auto initiate = [world](auto handler, Begin start) {
        auto work = asio::make_work_guard(asio::get_associated_executor(handler));
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto finish = [work = std::move(work), handler = std::move(handler)](Result<T> result) mutable {
            const auto executor = work.get_executor();
            asio::post(executor, [handler = std::move(handler), result = std::move(result)]() mutable {
                std::move(handler)(std::move(result));
            });
        };
        world->with([&](State& state) {
            auto pending = std::make_shared<Pending<T>>(state, std::move(finish));
            if (slot.is_connected()) {
                slot.assign([world, weak = std::weak_ptr(pending)](asio::cancellation_type) {
                    world->with([&](State&) {
                        if (const auto waiting = weak.lock())
                            waiting->end(Error(Code::cancelled, "the waiting for a host was cancelled"));
                    });
                });
            }
            start(state, pending);
        });
    };
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<T>)>(std::move(initiate),
                                                                                asio::use_awaitable, std::move(begin));
}

}  // namespace ballast::drivers::simulated
