#pragma once
// The process's one thread that looks after all hosts' executors: deadlines, link states, reconnecting. It never calls
// libvirt and never waits for a host, so no host can delay another. Thread rule: call from any thread. The thread is
// never joined: it owns nothing that must be saved.

#include <memory>

namespace ballast::drivers::libvirt {

class Supervised {
  public:
    virtual ~Supervised() = default;
    /// Called about ten times a second, and soon after wake(). Must not block.
    virtual void tick() = 0;
};

class Supervisor {
  public:
    static void add(std::weak_ptr<Supervised> who);
    static void wake();
};

}  // namespace ballast::drivers::libvirt
