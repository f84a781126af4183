#pragma once
// The composition root: the one place that knows every part of the daemon and puts them together. It decides nothing.
// Loop thread.

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "core/error.h"
#include "daemon/config/config.h"
#include "daemon/simulation.h"

namespace ballast::daemon {

class Daemon {
  public:
    virtual ~Daemon() = default;
    /// "https://127.0.0.1:8470"
    [[nodiscard]] virtual std::string url() const = 0;
    /// What a client pins.
    [[nodiscard]] virtual std::string fingerprint() const = 0;
    /// Takes no more requests, begins no more work, lets requests finish, closes hosts and store. Migrations that run
    /// go on (SAFETY.md 6).
    virtual boost::asio::awaitable<void> stop() = 0;
};

/// Opens the store, connects the hosts, takes up the jobs that were left running, and serves. Errors: those of the
/// parts, each naming what is wrong with which setting. With `simulate` its hosts are in memory.
[[nodiscard]] Result<std::shared_ptr<Daemon>> start(boost::asio::io_context& loop, const config::Config& config,
                                                    const std::optional<SimulateOptions>& simulate = {});

/// Makes an admin token straight in the store of a daemon that is not running: the way back in (SAFETY.md 13). Returns
/// the secret.
[[nodiscard]] Result<std::string> recover_token(const config::Config& config, const std::string& name);

/// Where the first start leaves its admin token, mode 0600.
[[nodiscard]] std::string first_token_path(const config::Config& config);

}  // namespace ballast::daemon
