// Before a start or a move: a guest that boots may fill all its memory before its balloon can be moved, and one that
// comes brings what it has.
#include <algorithm>

#include "core/try.h"
#include "daemon/overcommit/keeper.h"

namespace ballast::overcommit {
namespace {

/// Who does not ask any more has given up; who was let and is not seen yet starts slowly, or failed.
constexpr Milliseconds gives_up{15'000};
constexpr Milliseconds is_not_coming{60'000};

}  // namespace

void Keeper::forget_those_who_came(const Sweep& sweep) {
    std::erase_if(coming_, [&](const auto& one) {
        const auto& [vm, coming] = one;
        const bool came = std::ranges::find(sweep.vms, vm, &memory::VmMemory::id) != sweep.vms.end();
        const Milliseconds since = sweep.now - coming.last;
        return came || (coming.asking == 0 && since > (coming.let ? is_not_coming : gives_up));
    });
}

Bytes Keeper::coming() const {
    Bytes all;
    for (const auto& [vm, coming] : coming_) all += coming.needed;
    return all;
}

/// Also before the first look, by what the host's row says.
bool Keeper::keeps_balloons() const {
    const auto row = around_->store->snapshot()->hosts.find_ptr(host_);
    return row && row->managed && memory::policy_of(row->memory_policy).acts && around_->store->health().writable;
}

store::Task<std::string> Keeper::room_for(VmId vm, Bytes needed) {
    const auto self = shared_from_this();
    const Timestamp now = around_->clock->now();
    Coming& asked = coming_.try_emplace(vm, Coming{.needed = needed, .first = now, .last = now}).first->second;
    asked.last = now;
    asked.needed = needed;  // one that moves is at work meanwhile
    ++asked.asking;
    co_await await_look();
    const auto looked = co_await look();
    const auto mine = coming_.find(vm);
    if (mine == coming_.end()) co_return std::string();  // it is there
    --mine->second.asking;
    const bool tells_nothing = !looked && looked.error().code() == Code::unimplemented;
    if (tells_nothing || !keeps_balloons()) {
        coming_.erase(mine);
        co_return std::string();
    }
    if (!looked) co_return std::unexpected(looked.error());
    if (decided_ < now) co_return std::string("the host's memory is still being looked at");
    Bytes before_it;
    for (const auto& [other, coming] : coming_)
        if (other != vm && (coming.let || std::pair(coming.first, other) < std::pair(mine->second.first, vm)))
            before_it += coming.needed;
    const Bytes room = saturating_sub(start_room_, before_it);
    if (room < needed)
        co_return fmt::format(
            "{} are there for VMs that come, without danger to others, and it may fill {} before its "
            "balloon can be moved",
            room, needed);
    mine->second.let = true;
    co_return std::string();
}

}  // namespace ballast::overcommit
