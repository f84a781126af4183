#pragma once
// Reads a host's Prometheus node exporter over HTTP: libvirt gives neither pressure nor swapping. Sends one GET, keeps
// no connection, and takes at most 8 MiB within the time. Loop thread.

#include <string>

#include <boost/asio/awaitable.hpp>

#include "core/error.h"
#include "core/units.h"
#include "daemon/overcommit/exporter_text.h"

namespace ballast::overcommit {

struct ExporterUrl {
    std::string host;
    std::string port;
    std::string path;
};
/// "http://host[:port][/path]"; without a port 9100, without a path /metrics. Errors: invalid_argument.
[[nodiscard]] Result<ExporterUrl> parse_exporter_url(std::string_view url);

/// Errors: unavailable (no answer within the time, another status than 200), those of read_exporter_text; each names
/// the URL.
[[nodiscard]] boost::asio::awaitable<Result<ExporterReading>> scrape(std::string url, Milliseconds within);

}  // namespace ballast::overcommit
