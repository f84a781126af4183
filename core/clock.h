#pragma once
// Time, ids and randomness come from outside: the daemon gives real ones, tests and the simulator their own.

#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "core/units.h"

namespace ballast {

class Clock {
  public:
    virtual ~Clock() = default;
    [[nodiscard]] virtual Timestamp now() const = 0;
};

class SystemClock final : public Clock {
  public:
    [[nodiscard]] Timestamp now() const override {
        return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
    }
};

/// Stands still until it is advanced. Thread-safe.
class ManualClock final : public Clock {
  public:
    explicit ManualClock(Timestamp start = Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)))
        : now_(start) {}
    [[nodiscard]] Timestamp now() const override {
        const std::scoped_lock lock(mutex_);
        return now_;
    }
    void advance(Milliseconds by) {
        const std::scoped_lock lock(mutex_);
        now_ += by;
    }

  private:
    mutable std::mutex mutex_;
    Timestamp now_;
};

/// Makes ids. Thread-safe.
class IdSource {
  public:
    virtual ~IdSource() = default;
    /// A random UUID (version 4).
    [[nodiscard]] virtual std::string uuid() = 0;
    /// 16 hexadecimal characters that sort by time, for jobs.
    [[nodiscard]] virtual std::string sortable(Timestamp now) = 0;
};

/// Seeded: the same seed gives the same ids.
class SeededIds final : public IdSource {
  public:
    explicit SeededIds(std::uint64_t seed) : random_(seed) {}
    [[nodiscard]] std::string uuid() override;
    [[nodiscard]] std::string sortable(Timestamp now) override;

  private:
    std::mutex mutex_;
    std::mt19937_64 random_;
    std::int64_t last_ = 0;
};

/// A SeededIds seeded by the operating system's randomness.
[[nodiscard]] std::unique_ptr<IdSource> make_random_ids();

}  // namespace ballast
