#pragma once
// The meeting point of a coroutine that waits and a thread that works. Whoever settles it first (the work, the
// deadline, the cancellation, the end of the link) decides the outcome; later ones are dropped.
// Thread rule: settle() from any thread; the coroutine goes on on its own executor. That executor's context must
// outlive the wait: close the host before the io_context goes away.

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/error.h"

namespace ballast::drivers::libvirt {

template <class T>
class Waiter : public std::enable_shared_from_this<Waiter<T>> {
  public:
    /// Posts and lets go of the executor under the lock: when a second settle() returns, the first has left nothing
    /// behind that could outlive the io_context.
    void settle(Result<T> result) {
        const std::scoped_lock lock(mutex_);
        if (!handler_) return;
        auto handler = std::exchange(handler_, nullptr);
        handler(std::move(result));
    }

    [[nodiscard]] bool is_settled() const {
        const std::scoped_lock lock(mutex_);
        return !handler_;
    }

    /// Called once, by await_settled, before anybody else knows the waiter.
    template <class Handler>
    void arm(Handler handler) {
        const auto executor = boost::asio::get_associated_executor(handler);
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([weak = this->weak_from_this()](boost::asio::cancellation_type) {
                if (const auto self = weak.lock())
                    self->settle(fail(Code::cancelled, "the wait was cancelled; the call itself goes on"));
            });
        }
        auto work = boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked);
        handler_ = [handler = std::move(handler), slot, work](Result<T> result) mutable {
            boost::asio::post(work, [handler = std::move(handler), slot, result = std::move(result)]() mutable {
                if (slot.is_connected()) slot.clear();
                std::move(handler)(std::move(result));
            });
        };
    }

  private:
    mutable std::mutex mutex_;
    std::move_only_function<void(Result<T>)> handler_;
};

/// Suspends the caller, gives a fresh waiter to `begin` and returns what it is settled with. `begin` must not block.
template <class T, class Begin>
[[nodiscard]] boost::asio::awaitable<Result<T>> await_settled(Begin begin) {
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void(Result<T>)>(
        [](auto handler, Begin start) {
            auto waiter = std::make_shared<Waiter<T>>();
            waiter->arm(std::move(handler));
            start(std::move(waiter));
        },
        boost::asio::use_awaitable, std::move(begin));
}

}  // namespace ballast::drivers::libvirt
