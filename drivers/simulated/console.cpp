#include "drivers/simulated/console.h"

#include <algorithm>
#include <utility>

#include "core/try.h"
#include "drivers/simulated/call.h"

namespace ballast::drivers::simulated {
namespace {

/// Everything is guarded by World's mutex.
class EchoConsole final : public Console, public std::enable_shared_from_this<EchoConsole> {
  public:
    EchoConsole(std::shared_ptr<World> world, std::string greeting)
        : world_(std::move(world)), text_(std::move(greeting)) {}

    Task<std::string> read() override {
        return await_end<std::string>(
            world_, [self = shared_from_this()](State&, std::shared_ptr<Pending<std::string>> pending) {
                if (!self->text_.empty() || self->closed_) return pending->complete(std::exchange(self->text_, {}));
                self->reader_ = std::move(pending);
            });
    }

    Task<> write(std::string bytes) override {
        return await_end<void>(
            world_, [self = shared_from_this(), bytes](State&, const std::shared_ptr<Pending<void>>& pending) {
                if (self->closed_) return pending->complete(fail(Code::unavailable, "the console is closed"));
                self->text_ += bytes;
                self->wake();
                pending->complete({});
            });
    }

    void close() override {
        world_->with([this](State&) {
            closed_ = true;
            wake();
        });
    }

  private:
    void wake() {
        if (const auto reader = std::exchange(reader_, nullptr)) reader->complete(std::exchange(text_, {}));
    }

    std::shared_ptr<World> world_;
    std::string text_;
    bool closed_ = false;
    std::shared_ptr<Pending<std::string>> reader_;
};

}  // namespace

Result<std::shared_ptr<Console>> make_console(std::shared_ptr<World> world, State& state, const std::string& host,
                                              const VmId& vm) {
    BALLAST_TRY(const SimDomain* found, state.domain(host, vm));
    if (!is_active(found->state))
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is not running", found->name, host);
    return std::make_shared<EchoConsole>(std::move(world), fmt::format("{} login: ", found->name));
}

}  // namespace ballast::drivers::simulated
