#pragma once
// Who listens to committed events. Each subscriber has a strand on its executor, so that batches arrive in order.
// Thread rule: `add` from any thread, `deliver` from the writer. A subscription destroyed on its own executor is not
// called again.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/strand.hpp>

#include "daemon/store/store.h"

namespace ballast::store {

class Subscribers {
  public:
    [[nodiscard]] std::unique_ptr<Subscription> add(boost::asio::any_io_executor executor,
                                                    std::function<void(const std::vector<Event>&)> listener);
    void deliver(std::vector<Event> events);

  private:
    struct Listener {
        boost::asio::strand<boost::asio::any_io_executor> strand;
        std::function<void(const std::vector<Event>&)> call;
        std::atomic<bool> wanted{true};
    };
    struct List {
        std::mutex mutex;
        std::vector<std::shared_ptr<Listener>> listeners;
    };
    class Handle;

    std::shared_ptr<List> list_ = std::make_shared<List>();  // a subscription may outlive the store
};

}  // namespace ballast::store
