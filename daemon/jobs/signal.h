#pragma once
// Signal: wakes the coroutines that wait for "something was committed". Loop thread only.

#include <chrono>
#include <list>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace ballast::jobs {

class Signal {
  public:
    explicit Signal(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Returns at the next notify(), or after `longest`, whichever is first.
    boost::asio::awaitable<void> wait(std::chrono::milliseconds longest) {
        auto timer = std::make_shared<boost::asio::steady_timer>(executor_, longest);
        waiters_.push_back(timer);
        boost::system::error_code ignored;
        co_await timer->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }

    void notify() {
        for (const auto& waiter : waiters_)
            if (const auto timer = waiter.lock()) timer->cancel();
        waiters_.clear();
    }

  private:
    boost::asio::any_io_executor executor_;
    std::list<std::weak_ptr<boost::asio::steady_timer>> waiters_;
};

}  // namespace ballast::jobs
