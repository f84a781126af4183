#pragma once
// Lets reservations go when they have expired, also those that expired while no daemon ran. Looks every second, so that
// a clock that jumps does no harm. Decides nothing. Loop thread only.

#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "daemon/jobs/services.h"

namespace ballast::jobs {

class ReservationKeeper : public std::enable_shared_from_this<ReservationKeeper> {
  public:
    explicit ReservationKeeper(const Services& services);

    void start();
    void stop();
    /// One look. Errors: those of the store.
    store::Task<> look();

  private:
    boost::asio::awaitable<void> look_for_ever();

    std::shared_ptr<store::Store> store_;
    std::shared_ptr<const Clock> clock_;
    boost::asio::any_io_executor executor_;
    std::weak_ptr<boost::asio::steady_timer> timer_;  ///< of the coroutine that waits: the loop may end before this
    bool stopped_ = false;
};

}  // namespace ballast::jobs
