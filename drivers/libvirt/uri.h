#pragma once
// Which libvirt URIs Ballast opens. Decides by an allow-list: schemes, transports and parameters that are not known to
// be harmless are refused, because some make the client run programs (`command=`, `netcat=`, the `ext` transport).
// Never opens anything. Pure.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/error.h"

namespace ballast::drivers::libvirt {

struct Uri {
    std::string driver;     ///< qemu | test
    std::string transport;  ///< unix, tcp, tls, ssh, libssh, libssh2; empty: libvirt's choice
    std::string user;
    std::string host;        ///< without the brackets of an IPv6 address
    std::uint16_t port = 0;  ///< 0: the transport's own
    std::string path;
    std::map<std::string, std::string> parameters;
    friend bool operator==(const Uri&, const Uri&) = default;
};

/// Errors: invalid_argument naming the part and what would be accepted.
[[nodiscard]] Result<Uri> parse_uri(std::string_view text);

/// Whether a connection goes over TCP, so that a probe can tell a dead host from a slow one.
[[nodiscard]] bool is_remote(const Uri& uri);

/// The port that a connection goes to, 0 when it is not over TCP.
[[nodiscard]] std::uint16_t tcp_port(const Uri& uri);

}  // namespace ballast::drivers::libvirt
