#include "daemon/store/subscribers.h"

#include <boost/asio/post.hpp>

namespace ballast::store {

class Subscribers::Handle final : public Subscription {
  public:
    Handle(std::shared_ptr<List> list, std::shared_ptr<Listener> listener)
        : list_(std::move(list)), listener_(std::move(listener)) {}
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() override {
        listener_->wanted = false;
        const std::scoped_lock lock(list_->mutex);
        std::erase(list_->listeners, listener_);
    }

  private:
    std::shared_ptr<List> list_;
    std::shared_ptr<Listener> listener_;
};

std::unique_ptr<Subscription> Subscribers::add(boost::asio::any_io_executor executor,
                                               std::function<void(const std::vector<Event>&)> listener) {
    auto entry = std::make_shared<Listener>(boost::asio::make_strand(std::move(executor)), std::move(listener));
    const std::scoped_lock lock(list_->mutex);
    list_->listeners.push_back(entry);
    return std::make_unique<Handle>(list_, std::move(entry));
}

void Subscribers::deliver(std::vector<Event> events) {
    if (events.empty()) return;
    const auto batch = std::make_shared<const std::vector<Event>>(std::move(events));
    const std::scoped_lock lock(list_->mutex);
    for (const auto& listener : list_->listeners)
        boost::asio::post(listener->strand, [listener, batch] {
            if (listener->wanted) listener->call(*batch);
        });
}

}  // namespace ballast::store
