#include "daemon/store/subscribers.h"

#include <boost/asio/post.hpp>

namespace ballast::store {

class Subscribers::Handle final : public Subscription {
  public:
    explicit Handle(std::shared_ptr<Listener> listener) : listener_(std::move(listener)) {}
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() override { listener_->wanted = false; }

  private:
    std::shared_ptr<Listener> listener_;
};

std::unique_ptr<Subscription> Subscribers::add(boost::asio::any_io_executor executor,
                                               std::function<void(const std::vector<Event>&)> listener) {
    auto entry = std::make_shared<Listener>(boost::asio::make_strand(std::move(executor)), std::move(listener));
    const std::scoped_lock lock(mutex_);
    listeners_.push_back(entry);
    return std::make_unique<Handle>(std::move(entry));
}

void Subscribers::deliver(std::vector<Event> events) {
    if (events.empty()) return;
    const auto batch = std::make_shared<const std::vector<Event>>(std::move(events));
    const std::scoped_lock lock(mutex_);
    std::erase_if(listeners_, [](const auto& listener) { return !listener->wanted; });
    for (const auto& listener : listeners_)
        boost::asio::post(listener->strand, [listener, batch] {
            if (listener->wanted) listener->call(*batch);
        });
}

}  // namespace ballast::store
