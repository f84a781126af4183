// Before a move: a smaller VM is sent sooner.
#include <algorithm>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/try.h"
#include "daemon/overcommit/keeper.h"
#include "daemon/overcommit/telling.h"

namespace ballast::overcommit {
namespace {

namespace asio = boost::asio;

/// At which balloons inflate: QEMU gives back page by page. Slower than what was seen under TCG (some 400 MiB/s).
constexpr BytesPerSecond follow_rate{200LL << 20U};
constexpr Milliseconds look_again{200};
constexpr Milliseconds longest{15'000};
constexpr Bytes near_enough = mebibytes(8);

/// What is not sent in any case: memory that the guest never touched, or has reported free.
Bytes not_sent_of(const VmPicture& vm) {
    return saturating_sub(vm.balloon, saturating_sub(vm.resident, vm.overhead));
}

/// What the guest has now; 0 when it is not there.
Bytes balloon_in(const drivers::MemoryStats& stats, const VmId& vm) {
    const auto at = std::ranges::find(stats.domains, vm, &drivers::DomainStats::id);
    return at != stats.domains.end() ? at->balloon : Bytes(0);
}

}  // namespace

store::Task<> Keeper::shrink(VmId vm, BytesPerSecond bandwidth) {
    const auto self = shared_from_this();
    const auto picture = around_->board->find(host_);
    const auto row = around_->store->snapshot()->vms.find_ptr(vm);
    if (!picture || !row || !memory::policy_of(picture->policy).acts) co_return Result<void>{};
    const auto at = std::ranges::find(picture->vms, vm, &VmPicture::vm);
    if (at == picture->vms.end() || !at->left_alone.empty() || at->working_set.trust != memory::Trust::trusted)
        co_return Result<void>{};
    const memory::BalloonVm sized{.id = vm,
                                  .balloon = at->balloon,
                                  .maximum = at->maximum,
                                  .minimum = at->minimum,
                                  .working_set = at->working_set.size,
                                  .lacks = at->working_set.lacks,
                                  .policy = &memory::policy_of(at->policy)};
    const Bytes size = memory::size_before_move(sized, not_sent_of(*at), bandwidth, follow_rate);
    if (size >= at->balloon || at->working_set.lacks) co_return Result<void>{};
    BALLAST_CO_TRY(const auto driver, around_->hosts->reachable(host_));
    shrunk_[vm] = around_->clock->now();
    BALLAST_CO_CHECK(co_await driver->memory().set_balloon(vm, size));
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (Milliseconds waited{0}; waited < longest; waited += look_again) {
        BALLAST_CO_TRY(const auto stats, co_await driver->memory().read());
        if (balloon_in(stats, vm) <= size + near_enough) break;
        timer.expires_after(look_again);
        co_await timer.async_wait(asio::use_awaitable);
    }
    const std::string message = fmt::format("is made smaller before it moves: {} -> {}", at->balloon, size);
    BALLAST_CO_CHECK(co_await around_->store->write({}, [vm, message](store::Transaction& transaction) -> Result<void> {
        transaction.emit(about_vm(transaction.snapshot(), vm, "vm.shrunk_before_move", message));
        return {};
    }));
    co_return Result<void>{};
}

}  // namespace ballast::overcommit
