#pragma once
// A store whose calls have ended when they return: the loop waits for the writer, so that what a test does next never
// depends on how quick another thread was. Everything else is the real store's.

#include <map>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include "daemon/store/store.h"

namespace ballast::testing {

class BlockingStore final : public store::Store {
  public:
    explicit BlockingStore(std::shared_ptr<store::Store> real) : real_(std::move(real)) {}

    store::Task<store::Committed> write(store::WriteContext context, store::Change change) override {
        co_return await_here(real_->write(std::move(context), std::move(change)));
    }
    store::Task<std::vector<Event>> events(store::EventQuery query) override {
        co_return await_here(real_->events(std::move(query)));
    }
    store::Task<store::IdPage> list(store::ListQuery query) override {
        co_return await_here(real_->list(std::move(query)));
    }
    store::Task<std::shared_ptr<const Snapshot>> snapshot_at(std::uint64_t seq) override {
        co_return await_here(real_->snapshot_at(seq));
    }
    store::Task<std::uint64_t> seq_at(Timestamp time) override { co_return await_here(real_->seq_at(time)); }
    store::Task<std::map<std::string, std::string>> kept(std::string prefix) override {
        co_return await_here(real_->kept(std::move(prefix)));
    }
    store::Task<> prune() override { co_return await_here(real_->prune()); }

    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const override { return real_->snapshot(); }
    [[nodiscard]] std::unique_ptr<store::Subscription> subscribe(
        boost::asio::any_io_executor executor, std::function<void(const std::vector<Event>&)> listener) override {
        return real_->subscribe(std::move(executor), std::move(listener));
    }
    [[nodiscard]] store::MemoryHistory& memory_history() override { return real_->memory_history(); }
    store::VmMemoryHistory& vm_memory_history() override { return real_->vm_memory_history(); }
    [[nodiscard]] store::Health health() const override { return real_->health(); }
    void close() override { real_->close(); }

  private:
    template <class T>
    static Result<T> await_here(store::Task<T> task) {
        boost::asio::io_context own;
        auto outcome = boost::asio::co_spawn(own, std::move(task), boost::asio::use_future);
        own.run();
        return outcome.get();
    }

    std::shared_ptr<store::Store> real_;
};

}  // namespace ballast::testing
