#include "daemon/jobs/reservation_keeper.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/jobs/reservations.h"

namespace ballast::jobs {
namespace {

namespace asio = boost::asio;

constexpr Milliseconds look_every{1'000};

}  // namespace

ReservationKeeper::ReservationKeeper(const Services& services)
    : store_(services.store), clock_(services.clock), executor_(services.executor) {}

void ReservationKeeper::start() {
    asio::co_spawn(
        executor_, [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->look_for_ever(); },
        asio::detached);
}

void ReservationKeeper::stop() {
    stopped_ = true;
    if (const auto timer = timer_.lock()) timer->cancel();
}

asio::awaitable<void> ReservationKeeper::look_for_ever() {
    const auto self = shared_from_this();
    const auto timer = std::make_shared<asio::steady_timer>(executor_);
    timer_ = timer;
    boost::system::error_code stopped;
    while (!stopped && !stopped_) {
        const auto looked = co_await look();
        if (!looked) spdlog::warn("expired reservations could not be let go: {}", looked.error().chain());
        timer->expires_after(look_every);
        co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, stopped));
    }
}

store::Task<> ReservationKeeper::look() {
    const auto self = shared_from_this();
    if (!store_->health().writable || !any_expired(*store_->snapshot(), clock_->now())) co_return Result<void>{};
    BALLAST_CO_CHECK(co_await store_->write({}, [](store::Transaction& transaction) -> Result<void> {
        drop_expired(transaction);
        return {};
    }));
    co_return Result<void>{};
}

}  // namespace ballast::jobs
