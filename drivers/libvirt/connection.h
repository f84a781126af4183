#pragma once
// One connection to one host's libvirtd: opened (with a TCP probe where there is TCP), kept alive, watched, closed.
// Decides nothing about when to open; that is the executor's. Thread rule: open() and the last release may block for
// as long as the host likes, so open() runs on a thread of its own, and the deleter of the shared pointer hands the
// closing to another. Everything else may be called from any thread.

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/units.h"
#include "drivers/libvirt/handle.h"
#include "drivers/libvirt/uri.h"

namespace ballast::drivers::libvirt {

struct KeepAlive {
    int interval_s = 3;
    unsigned int count = 3;
};

class Connection {
  public:
    /// Blocks. Errors: unavailable (nobody listens, no answer), permission_denied.
    [[nodiscard]] static Result<std::shared_ptr<Connection>> open(const std::string& text, const Uri& uri,
                                                                  KeepAlive keep_alive = {});
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] virConnectPtr get() const { return handle_.get(); }
    /// Whether libvirt's client still has its socket. Local: asks nobody.
    [[nodiscard]] bool is_alive() const { return virConnectIsAlive(handle_.get()) == 1; }
    /// Empty while it is open, then why it ended ("keepalive: no answer", …).
    [[nodiscard]] std::string end_reason() const;
    /// Runs before the connection is closed, on the closing thread: undoes event registrations.
    void before_close(std::function<void(virConnectPtr)> undo) { undo_ = std::move(undo); }

  private:
    struct End;
    Connection(ConnectHandle handle, std::unique_ptr<End> end);
    ~Connection();

    std::unique_ptr<End> end_;  ///< libvirt's close callback writes to it: outlives the handle
    ConnectHandle handle_;
    std::function<void(virConnectPtr)> undo_;
};

/// Starts libvirt's event loop on a thread of its own, once per process; before the first connection.
void ensure_event_loop();

}  // namespace ballast::drivers::libvirt
