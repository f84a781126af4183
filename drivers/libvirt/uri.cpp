#include "drivers/libvirt/uri.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/json.h"
#include "core/try.h"

namespace ballast::drivers::libvirt {
namespace {

constexpr std::array transports{"unix", "tcp", "tls", "ssh", "libssh", "libssh2"};
/// Parameters that choose sockets, names and keys; none of them runs a program.
constexpr std::array harmless{"socket",    "name",    "mode",         "keyfile",     "no_verify",
                              "no_sanity", "pkipath", "tls_priority", "known_hosts", "known_hosts_verify",
                              "sshauth",   "no_tty"};
constexpr std::array programs{"command", "netcat", "proxy"};
constexpr std::array foreign{"xen", "lxc", "vz", "bhyve", "esx", "vpx", "hyperv", "openvz", "vbox", "ch"};

bool is_one_of(const auto& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

/// What follows the first `mark`, cut off `text`; whether there was one.
bool cut(std::string_view& text, std::string_view mark, std::string_view& rest) {
    const auto at = text.find(mark);
    if (at == std::string_view::npos) return false;
    rest = text.substr(at + mark.size());
    text = text.substr(0, at);
    return true;
}

Result<void> check_scheme(Uri& uri, std::string_view scheme, std::string_view text) {
    std::string_view transport;
    cut(scheme, "+", transport);
    uri.driver = scheme;
    uri.transport = transport;
    if (is_one_of(foreign, scheme))
        return fail(Code::invalid_argument, "'{}': Ballast drives only qemu hosts yet, not {}", text, scheme);
    if (scheme != "qemu" && scheme != "test")
        return fail(Code::invalid_argument,
                    "'{}': the scheme '{}' is unknown; use qemu+tls, qemu+ssh, qemu+tcp, qemu+unix, "
                    "qemu or test",
                    text, scheme);
    if (transport == "ext")
        return fail(Code::invalid_argument, "'{}': the transport 'ext' runs a program and is refused; use tls or ssh",
                    text);
    if (!transport.empty() && !is_one_of(transports, transport))
        return fail(Code::invalid_argument,
                    "'{}': the transport '{}' is unknown; use unix, tcp, tls, ssh, libssh or libssh2", text, transport);
    return {};
}

Result<void> read_port(Uri& uri, std::string_view port, std::string_view text) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), uri.port);
    if (error != std::errc() || end != port.data() + port.size() || uri.port == 0)
        return fail(Code::invalid_argument, "'{}': '{}' is not a port (1 to 65535)", text, port);
    return {};
}

/// A name that a shell-like client (ssh) could take for an option, or that is no name at all, is refused.
Result<void> check_word(std::string_view what, std::string_view word, std::string_view text) {
    const bool fits = std::all_of(word.begin(), word.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
    });
    if (word.empty() || word.front() == '-' || !fits)
        return fail(Code::invalid_argument, "'{}': '{}' is not a {}", text, word, what);
    return {};
}

Result<void> read_authority(Uri& uri, std::string_view authority, std::string_view text) {
    std::string_view host = authority;
    if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
        uri.user = authority.substr(0, at);
        host = authority.substr(at + 1);
        BALLAST_CHECK(check_word("user name", uri.user, text));
    }
    std::string_view port;
    if (host.starts_with('[')) {
        std::string_view after;
        host.remove_prefix(1);
        if (!cut(host, "]", after) || (!after.empty() && after.front() != ':'))
            return fail(Code::invalid_argument, "'{}': an IPv6 address is written [address]:port", text);
        if (!after.empty()) BALLAST_CHECK(read_port(uri, after.substr(1), text));
    } else if (cut(host, ":", port)) {
        BALLAST_CHECK(read_port(uri, port, text));
    }
    uri.host = host;
    return uri.host.empty() && authority.empty() ? Result<void>{} : check_word("host name", uri.host, text);
}

Result<void> read_parameter(Uri& uri, std::string_view pair, std::string_view text) {
    std::string_view value;
    cut(pair, "=", value);
    if (is_one_of(programs, pair))
        return fail(Code::invalid_argument,
                    "'{}': the parameter '{}' names a program to run and is refused; set it up in "
                    "the SSH configuration of the daemon's user instead",
                    text, pair);
    if (!is_one_of(harmless, pair))
        return fail(Code::invalid_argument, "'{}': the parameter '{}' is not on the list of known ones ({})", text,
                    pair, fmt::join(harmless, ", "));
    if (!uri.parameters.emplace(pair, value).second)
        return fail(Code::invalid_argument, "'{}': the parameter '{}' is given twice", text, pair);
    return {};
}

Result<void> read_query(Uri& uri, std::string_view query, std::string_view text) {
    while (!query.empty()) {
        std::string_view rest;
        cut(query, "&", rest);
        // libvirt decodes %XX in names too: an encoded name could pass the list under another face.
        if (query.substr(0, query.find('=')).find('%') != std::string_view::npos)
            return fail(Code::invalid_argument, "'{}': parameter names are written without %-escapes", text);
        if (query.find(';') != std::string_view::npos)
            return fail(Code::invalid_argument, "'{}': parameters are separated by '&'", text);
        BALLAST_CHECK(read_parameter(uri, query, text));
        query = rest;
    }
    return {};
}

Result<void> check_whole(const Uri& uri, std::string_view text) {
    if (is_remote(uri) && uri.host.empty())
        return fail(Code::invalid_argument, "'{}': the transport '{}' needs a host: {}+{}://HOST/system", text,
                    uri.transport, uri.driver, uri.transport);
    if (uri.transport == "unix" && !uri.host.empty())
        return fail(Code::invalid_argument, "'{}': a Unix socket has no host: qemu+unix:///system?socket=PATH", text);
    if (uri.driver == "qemu" && uri.path != "/system" && uri.path != "/session")
        return fail(Code::invalid_argument, "'{}': the path is /system (or /session), not '{}'", text, uri.path);
    if (uri.driver == "test" && uri.path.size() < 2)
        return fail(Code::invalid_argument, "'{}': the path is /default or that of a test host's XML file", text);
    return {};
}

}  // namespace

Result<Uri> parse_uri(std::string_view text) {
    constexpr std::size_t longest = 1024;
    if (text.size() > longest) return fail(Code::invalid_argument, "a host URI has at most {} characters", longest);
    if (text.empty() || !is_printable(text))
        return fail(Code::invalid_argument,
                    "a host URI is printable text without spaces, such as qemu+tls://node1/system");
    Uri uri;
    std::string_view scheme = text;
    std::string_view rest;
    if (!cut(scheme, "://", rest))
        return fail(Code::invalid_argument, "'{}' is not a host URI; one looks like qemu+tls://node1/system", text);
    BALLAST_CHECK(check_scheme(uri, scheme, text));
    if (rest.find('#') != std::string_view::npos)
        return fail(Code::invalid_argument, "'{}': a host URI has no '#'", text);
    std::string_view query;
    cut(rest, "?", query);
    const auto slash = std::min(rest.find('/'), rest.size());
    BALLAST_CHECK(read_authority(uri, rest.substr(0, slash), text));
    uri.path = rest.substr(slash);
    BALLAST_CHECK(read_query(uri, query, text));
    BALLAST_CHECK(check_whole(uri, text));
    return uri;
}

bool is_remote(const Uri& uri) {
    if (uri.transport.empty()) return !uri.host.empty();  // libvirt takes TLS then
    return uri.transport != "unix";
}

std::uint16_t tcp_port(const Uri& uri) {
    if (!is_remote(uri)) return 0;
    if (uri.port != 0) return uri.port;
    if (uri.transport == "tcp") return 16509;
    if (uri.transport == "tls" || uri.transport.empty()) return 16514;
    return 22;
}

}  // namespace ballast::drivers::libvirt
