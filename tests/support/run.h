#pragma once
// Runs coroutines in tests. `run(io, task)` gives the task's result, `run_until(io, condition)` turns the loop until
// something becomes true: no test sleeps. Both give up after a limit of real time, so that a test that waits for what
// never comes fails instead of hanging. Thread rule: the caller's thread runs the loop; nobody else does meanwhile.

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace ballast::testing {

inline constexpr std::chrono::seconds patience{30};

/// Turns the loop until the condition holds. `idle` is called whenever the loop has nothing ready: a virtual clock may
/// go on there. False when the patience ends first.
[[nodiscard]] inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& condition,
                                    std::chrono::milliseconds limit = patience,
                                    const std::function<void()>& idle = nullptr) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        if (io.stopped()) io.restart();
        if (io.poll_one() > 0) continue;
        if (idle) idle();
        if (io.stopped()) io.restart();
        if (!condition()) io.run_one_for(std::chrono::milliseconds(1));
    }
    return true;
}

/// Runs the coroutine on the loop to its end and gives its value. Throws what it throws, and std::runtime_error when it
/// has not ended after the limit.
template <class T>
[[nodiscard]] T run(boost::asio::io_context& io, boost::asio::awaitable<T> task,
                    std::chrono::milliseconds limit = patience, const std::function<void()>& idle = nullptr) {
    struct Outcome {
        bool done = false;
        std::exception_ptr thrown;
        std::optional<T> value;
    };
    const auto outcome = std::make_shared<Outcome>();
    boost::asio::co_spawn(io, std::move(task), [outcome](std::exception_ptr thrown, T value) {
        outcome->thrown = std::move(thrown);
        if (!outcome->thrown) outcome->value.emplace(std::move(value));
        outcome->done = true;
    });
    if (!run_until(io, [outcome] { return outcome->done; }, limit, idle))
        throw std::runtime_error("a coroutine of the test has not ended in time");
    if (outcome->thrown) std::rethrow_exception(outcome->thrown);
    return std::move(*outcome->value);
}

inline void run(boost::asio::io_context& io, boost::asio::awaitable<void> task,
                std::chrono::milliseconds limit = patience, const std::function<void()>& idle = nullptr) {
    struct Outcome {
        bool done = false;
        std::exception_ptr thrown;
    };
    const auto outcome = std::make_shared<Outcome>();
    boost::asio::co_spawn(io, std::move(task), [outcome](std::exception_ptr thrown) {
        outcome->thrown = std::move(thrown);
        outcome->done = true;
    });
    if (!run_until(io, [outcome] { return outcome->done; }, limit, idle))
        throw std::runtime_error("a coroutine of the test has not ended in time");
    if (outcome->thrown) std::rethrow_exception(outcome->thrown);
}

}  // namespace ballast::testing
