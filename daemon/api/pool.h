#pragma once
// Work that would hold up the loop (parsing, hashing, planning, disks), on the pool of threads.

#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemon/api/http.h"

namespace ballast::api {

/// Runs `work` (a Result<T>()) on `cpu` and comes back to the caller's executor. `work` owns what it touches.
template <class T, class Work>
Task<T> on_pool(boost::asio::any_io_executor cpu, Work work) {
    auto run = [](Work job) -> Task<T> { co_return job(); };
    auto outcome = co_await boost::asio::co_spawn(cpu, run(std::move(work)), boost::asio::use_awaitable);
    co_return outcome;
}

}  // namespace ballast::api
