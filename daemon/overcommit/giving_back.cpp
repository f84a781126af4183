#include "daemon/overcommit/giving_back.h"

#include <algorithm>
#include <deque>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

namespace ballast::overcommit {
namespace {

namespace asio = boost::asio;

/// Held by those that give back too: one that hangs comes back after everybody has left, or after its loop has ended.
struct GivingBack {
    std::deque<std::pair<HostId, std::shared_ptr<Keeper>>> waiting;
    std::vector<HostId> begun;  ///< and not through
    std::size_t workers = 0;
    asio::steady_timer* over = nullptr;  ///< the time is up, or all are through; null: nobody waits any more
};

asio::awaitable<void> work(std::shared_ptr<GivingBack> all) {
    while (!all->waiting.empty()) {
        const auto [host, keeper] = std::move(all->waiting.front());
        all->waiting.pop_front();
        all->begun.push_back(host);
        if (const auto given = co_await keeper->give_back(); !given)
            spdlog::warn("host={} its guests' memory can't be given back: {}", host, given.error().chain());
        std::erase(all->begun, host);
    }
}

}  // namespace

asio::awaitable<std::vector<HostId>> give_back_all(asio::any_io_executor loop,
                                                   std::vector<std::pair<HostId, std::shared_ptr<Keeper>>> keepers,
                                                   GiveBackLimits limits) {
    const auto all = std::make_shared<GivingBack>();
    asio::steady_timer over(loop, limits.time);
    all->over = &over;
    all->waiting.assign(keepers.begin(), keepers.end());
    all->workers = std::min(std::max<std::size_t>(limits.at_once, 1), keepers.size());
    for (std::size_t i = 0, workers = all->workers; i < workers; ++i)
        asio::co_spawn(loop, work(all), [all](const std::exception_ptr& thrown) {
            if (thrown) spdlog::error("giving memory back ended with an exception");
            if (--all->workers == 0 && all->over != nullptr) all->over->cancel();
        });
    boost::system::error_code ended;
    if (all->workers > 0) co_await over.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    all->over = nullptr;
    std::vector<HostId> left = all->begun;
    for (const auto& [host, keeper] : all->waiting) left.push_back(host);
    all->waiting.clear();  // nobody begins any more
    co_return left;
}

}  // namespace ballast::overcommit
