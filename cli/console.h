#pragma once
// The serial console in the terminal: file descriptors 0 and 1 on one side, a WebSocket on the other. Raw mode while it
// lasts; whatever ends it (Ctrl-], the other side, a signal, an error), the terminal is restored.

#include <boost/asio/ssl/context.hpp>

#include "cli/transport.h"

namespace ballast::cli {

[[nodiscard]] Result<HttpResponse> run_console(const Endpoint& endpoint, const Trust& trust,
                                               boost::asio::ssl::context& tls, const HttpRequest& request);

}  // namespace ballast::cli
