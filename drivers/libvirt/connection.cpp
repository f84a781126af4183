#include "drivers/libvirt/connection.h"

#include <mutex>
#include <thread>

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/supervisor.h"
#include "drivers/libvirt/tcp_probe.h"

namespace ballast::drivers::libvirt {

struct Connection::End {
    std::atomic<int> reason{-1};

    static void arrived(virConnectPtr, int reason, void* opaque) {
        static_cast<End*>(opaque)->reason = reason;
        Supervisor::wake();
    }
};

namespace {

constexpr Milliseconds tcp_probe_limit{3'000};

std::string words_of_end(int reason) {
    switch (reason) {
        case VIR_CONNECT_CLOSE_REASON_ERROR:
            return "the connection broke";
        case VIR_CONNECT_CLOSE_REASON_EOF:
            return "libvirtd ended the connection";
        case VIR_CONNECT_CLOSE_REASON_KEEPALIVE:
            return "libvirtd no longer answers keepalive messages";
        default:
            return "the connection was closed";
    }
}

}  // namespace

void ensure_event_loop() {
    static std::once_flag once;
    std::call_once(once, [] {
        virInitialize();
        silence_libvirt();
        virEventRegisterDefaultImpl();
        std::thread([] {
            for (;;) virEventRunDefaultImpl();
        }).detach();
    });
}

Connection::Connection(ConnectHandle handle, std::unique_ptr<End> end)
    : end_(std::move(end)), handle_(std::move(handle)) {}

Connection::~Connection() {
    if (undo_) undo_(handle_.get());
}

Result<std::shared_ptr<Connection>> Connection::open(const std::string& text, const Uri& uri, KeepAlive keep_alive) {
    ensure_event_loop();
    if (is_remote(uri)) BALLAST_CHECK(probe_tcp(uri.host, tcp_port(uri), tcp_probe_limit));
    ConnectHandle handle(virConnectOpen(text.c_str()));
    if (!handle) {
        Error error = last_error("can't connect to " + text);
        const Code code = error.code() == Code::permission_denied ? Code::permission_denied : Code::unavailable;
        return std::unexpected(Error(code, error.message()));
    }
    // Local drivers (test) have no socket to keep alive and no end to report: their refusal is no error.
    static_cast<void>(virConnectSetKeepAlive(handle.get(), keep_alive.interval_s, keep_alive.count));
    // No free callback: drivers without a close event accept the registration and forget it, and would leak it.
    auto end = std::make_unique<End>();
    static_cast<void>(virConnectRegisterCloseCallback(handle.get(), End::arrived, end.get(), nullptr));
    return std::shared_ptr<Connection>(new Connection(std::move(handle), std::move(end)), [](Connection* connection) {
        std::thread([connection] {
            // The registration holds a share of libvirt's connection: without this it would never be closed.
            virConnectUnregisterCloseCallback(connection->get(), End::arrived);
            delete connection;
        }).detach();
    });
}

std::string Connection::end_reason() const {
    const int reason = end_->reason;
    if (reason >= 0) return words_of_end(reason);
    return is_alive() ? std::string() : std::string("the connection broke");
}

}  // namespace ballast::drivers::libvirt
