#include "drivers/libvirt/supervisor.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace ballast::drivers::libvirt {
namespace {

constexpr std::chrono::milliseconds beat{100};

class Beat {
  public:
    void add(std::weak_ptr<Supervised> who) {
        const std::scoped_lock lock(mutex_);
        if (!started_) std::thread([this] { run(); }).detach();
        started_ = true;
        all_.push_back(std::move(who));
        wake_ = true;
        changed_.notify_one();
    }

    void wake() {
        const std::scoped_lock lock(mutex_);
        wake_ = true;
        changed_.notify_one();
    }

  private:
    [[noreturn]] void run() {
        for (;;) {
            for (const auto& one : living())
                if (const auto alive = one.lock()) alive->tick();
            std::unique_lock lock(mutex_);
            if (all_.empty()) changed_.wait(lock, [this] { return wake_; });
            changed_.wait_for(lock, beat, [this] { return wake_; });
            wake_ = false;
        }
    }

    std::vector<std::weak_ptr<Supervised>> living() {
        const std::scoped_lock lock(mutex_);
        std::erase_if(all_, [](const auto& one) { return one.expired(); });
        return all_;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::weak_ptr<Supervised>> all_;
    bool wake_ = false;
    bool started_ = false;
};

/// Never destroyed: its thread runs until the process ends.
Beat& the_beat() {
    static auto* const one = new Beat();
    return *one;
}

}  // namespace

void Supervisor::add(std::weak_ptr<Supervised> who) {
    the_beat().add(std::move(who));
}

void Supervisor::wake() {
    the_beat().wake();
}

}  // namespace ballast::drivers::libvirt
