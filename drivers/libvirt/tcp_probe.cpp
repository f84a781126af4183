#include "drivers/libvirt/tcp_probe.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ballast::drivers::libvirt {
namespace {

class Socket {
  public:
    explicit Socket(int fd) : fd_(fd) {}
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

/// 0 when connected, otherwise the errno.
int try_connect(const addrinfo& address, int limit_ms) {
    const Socket socket(
        ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
    if (socket.get() < 0) return errno;
    if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    pollfd wait{.fd = socket.get(), .events = POLLOUT, .revents = 0};
    if (::poll(&wait, 1, limit_ms) <= 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

}  // namespace

Result<void> probe_tcp(const std::string& host, std::uint16_t port, Milliseconds limit) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* raw = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw); error != 0)
        return fail(Code::unavailable, "the name '{}' does not resolve: {}", host, ::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(raw, &::freeaddrinfo);
    int error = EHOSTUNREACH;
    for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
        error = try_connect(*at, static_cast<int>(limit.count()));
        if (error == 0) return {};
    }
    return fail(Code::unavailable, "{} port {} can't be reached: {}", host, port, std::strerror(error));
}

}  // namespace ballast::drivers::libvirt
