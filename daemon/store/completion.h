#pragma once
// From "call me when it is done, on whatever thread" to an awaitable: the coroutine resumes on its own executor. A
// cancelled coroutine still waits for the outcome: a write in the queue is not taken back.

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemon/store/store.h"

namespace ballast::store {

/// `start(done)` begins the work; `done(Result<T>)` is called once, from any thread.
template <class T, class Start>
Task<T> await_completion(Start start) {
    namespace asio = boost::asio;
    auto begin = [](auto handler, Start act) {
        auto executor = asio::get_associated_executor(handler);
        auto guard = asio::make_work_guard(executor);
        act([handler = std::move(handler), executor, guard = std::move(guard)](Result<T> result) mutable {
            asio::post(executor, [handler = std::move(handler), result = std::move(result)]() mutable {
                std::move(handler)(std::move(result));
            });
            guard.reset();
        });
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Result<T>)>(
        std::move(begin), asio::use_awaitable, std::move(start));
}

}  // namespace ballast::store
