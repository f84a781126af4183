#include "daemon/reconcile/pause.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

namespace ballast::reconcile {

namespace asio = boost::asio;

void Pauses::end() {
    ended_ = true;
    for (auto* timer : waiting_) timer->cancel();
}

asio::awaitable<void> Pauses::wait(std::shared_ptr<Pauses> self, Milliseconds time) {
    if (self->ended_) co_return;
    asio::steady_timer timer(self->loop_, time);
    // A frame may also be destroyed while it waits, with its loop: then, too, nobody may cancel its timer.
    struct Registration {
        std::set<asio::steady_timer*>& waiting;
        asio::steady_timer* timer;
        ~Registration() { waiting.erase(timer); }
    };
    self->waiting_.insert(&timer);
    const Registration registration{self->waiting_, &timer};
    boost::system::error_code ended;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
}

void Pauses::spawn(asio::awaitable<void> task, std::string what) const {
    asio::co_spawn(loop_, std::move(task), [what = std::move(what)](const std::exception_ptr& thrown) {
        if (!thrown) return;
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& error) {
            spdlog::error("{}: {}", what, error.what());
        }
    });
}

asio::awaitable<void> Countdown::wait(std::shared_ptr<Countdown> self) {
    if (self->left_ == 0) co_return;
    boost::system::error_code ended;
    co_await self->timer_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
}

}  // namespace ballast::reconcile
