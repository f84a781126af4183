// A guest's serial console: a connection of its own, and a non-blocking stream that only libvirt's event thread
// touches. The loop thread puts bytes into and takes bytes out of two bounded buffers.

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/roles.h"

namespace ballast::drivers::libvirt {
namespace {

constexpr std::size_t buffer_limit = std::size_t{256} << 10U;

class LibvirtConsole final : public Console, public std::enable_shared_from_this<LibvirtConsole> {
  public:
    LibvirtConsole(ConnectHandle connection, Stream stream)
        : connection_(std::move(connection)), stream_(std::move(stream)) {}
    LibvirtConsole(const LibvirtConsole&) = delete;
    LibvirtConsole& operator=(const LibvirtConsole&) = delete;
    ~LibvirtConsole() override;

    /// Begins to listen; the event thread holds its own share of the console until close().
    [[nodiscard]] Result<void> begin();

    Task<std::string> read() override {
        return await_settled<std::string>([self = shared_from_this()](std::shared_ptr<Waiter<std::string>> waiter) {
            self->take(std::move(waiter));
        });
    }
    Task<> write(std::string bytes) override {
        return await_settled<void>([self = shared_from_this(), bytes = std::move(bytes)](
                                       std::shared_ptr<Waiter<void>> waiter) { waiter->settle(self->put(bytes)); });
    }
    void close() override;

  private:
    static void on_stream(virStreamPtr stream, int events, void* opaque);
    void pump(int events);
    void receive();
    void send();
    void take(std::shared_ptr<Waiter<std::string>> waiter);
    [[nodiscard]] Result<void> put(const std::string& bytes);
    void listen();
    void end();
    void give();

    ConnectHandle connection_;
    Stream stream_;
    std::mutex mutex_;
    std::string in_;
    std::string out_;
    std::shared_ptr<Waiter<std::string>> reader_;
    bool registered_ = false;
    bool ended_ = false;
};

/// Closing a stream and a connection may wait for the host: never here.
LibvirtConsole::~LibvirtConsole() {
    std::thread([connection = connection_.release(), stream = stream_.release()] {
        virStreamAbort(stream);
        virStreamFree(stream);
        virConnectClose(connection);
    }).detach();
}

Result<void> LibvirtConsole::begin() {
    const auto release = [](void* opaque) { delete static_cast<std::shared_ptr<LibvirtConsole>*>(opaque); };
    auto* share = new std::shared_ptr<LibvirtConsole>(shared_from_this());
    if (virStreamEventAddCallback(stream_.get(), VIR_STREAM_EVENT_READABLE, on_stream, share, release) < 0) {
        Error error = last_error("can't listen to the console");
        delete share;
        return std::unexpected(std::move(error));
    }
    const std::scoped_lock lock(mutex_);
    registered_ = true;
    return {};
}

void LibvirtConsole::on_stream(virStreamPtr, int events, void* opaque) {
    const auto self = *static_cast<std::shared_ptr<LibvirtConsole>*>(opaque);
    self->pump(events);
}

void LibvirtConsole::pump(int events) {
    const std::scoped_lock lock(mutex_);
    if (ended_) return;
    if ((events & VIR_STREAM_EVENT_READABLE) != 0) receive();
    if ((events & VIR_STREAM_EVENT_WRITABLE) != 0) send();
    if ((events & (VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP)) != 0) end();
    give();
    listen();
}

void LibvirtConsole::receive() {
    constexpr int would_block = -2;
    std::array<char, 4096> bytes{};
    while (!ended_ && in_.size() < buffer_limit) {
        const int got = virStreamRecv(stream_.get(), bytes.data(), bytes.size());
        if (got == would_block) return;
        if (got <= 0) return end();
        in_.append(bytes.data(), static_cast<std::size_t>(got));
    }
}

void LibvirtConsole::send() {
    constexpr int would_block = -2;
    while (!ended_ && !out_.empty()) {
        const int sent = virStreamSend(stream_.get(), out_.data(), out_.size());
        if (sent == would_block) return;
        if (sent < 0) return end();
        out_.erase(0, static_cast<std::size_t>(sent));
    }
}

/// Asks for the events that can be used: nothing more is read while the reader does not take what is there.
void LibvirtConsole::listen() {
    if (!registered_ || ended_) return;
    int events = 0;
    if (in_.size() < buffer_limit) events |= VIR_STREAM_EVENT_READABLE;
    if (!out_.empty()) events |= VIR_STREAM_EVENT_WRITABLE;
    virStreamEventUpdateCallback(stream_.get(), events);
}

void LibvirtConsole::end() {
    if (ended_) return;
    ended_ = true;
    if (registered_) virStreamEventRemoveCallback(stream_.get());
    registered_ = false;
}

void LibvirtConsole::give() {
    if (!reader_ || (in_.empty() && !ended_)) return;
    reader_->settle(std::exchange(in_, {}));
    reader_.reset();
}

void LibvirtConsole::take(std::shared_ptr<Waiter<std::string>> waiter) {
    const std::scoped_lock lock(mutex_);
    if (reader_ && !reader_->is_settled())
        return waiter->settle(fail(Code::failed_precondition, "somebody reads this console already"));
    reader_ = std::move(waiter);
    give();
    listen();
}

Result<void> LibvirtConsole::put(const std::string& bytes) {
    const std::scoped_lock lock(mutex_);
    if (ended_) return fail(Code::unavailable, "the console has ended");
    if (out_.size() + bytes.size() > buffer_limit)
        return fail(Code::resource_exhausted, "the guest does not take what is typed: {} bytes wait already",
                    out_.size());
    out_ += bytes;
    listen();
    return {};
}

void LibvirtConsole::close() {
    const std::scoped_lock lock(mutex_);
    end();
    give();
}

/// Takes a share of the job's connection, which lives on as the console's own when the job has ended.
Result<std::shared_ptr<Console>> connect_console(virConnectPtr job, const VmId& vm) {
    if (virConnectRef(job) < 0) return refused("can't keep a connection for the console of domain {}", vm);
    ConnectHandle connection(job);
    Stream stream(virStreamNew(connection.get(), VIR_STREAM_NONBLOCK));
    if (!stream) return refused("can't open a stream for the console of domain {}", vm);
    BALLAST_TRY(const auto domain, find_domain(connection.get(), vm));
    if (virDomainOpenConsole(domain.get(), nullptr, stream.get(), 0) < 0)
        return refused("can't open the console of domain {}", vm);
    auto console = std::make_shared<LibvirtConsole>(std::move(connection), std::move(stream));
    BALLAST_CHECK(console->begin());
    return console;
}

}  // namespace

Task<std::shared_ptr<Console>> open_console(ExecutorPtr executor, VmId vm) {
    CallSpec spec{.what = fmt::format("open the console of domain {}", vm),
                  .deadline = executor->target().call_timeout};
    return Executor::job<std::shared_ptr<Console>>(
        executor, std::move(spec), [vm = std::move(vm)](virConnectPtr c) { return connect_console(c, vm); });
}

}  // namespace ballast::drivers::libvirt
