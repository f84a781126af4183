// Dividing memory by shares: what revocation page by page comes to, for any claims. And what no sweep of the controller
// ever does, whatever it reads.
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "memory/budget.h"
#include "memory/control.h"
#include "memory/shares.h"

namespace ballast::memory {
namespace {

std::int64_t any(std::int64_t low, std::int64_t high) {
    return *rc::gen::inRange(low, high);
}

std::vector<ShareClaim> any_claims() {
    std::vector<ShareClaim> claims(static_cast<std::size_t>(any(1, 6)));
    for (ShareClaim& claim : claims) {
        claim.shares = static_cast<double>(any(1, 9));
        claim.least = Bytes(any(0, 60));
        claim.most = claim.least + Bytes(any(0, 200));
        claim.active = Bytes(any(0, 200));
        claim.tax = static_cast<double>(any(0, 10)) / 10;
    }
    return claims;
}

/// Min-funding revocation as the paper has it: all begin at their most; byte by byte the one with the least shares per
/// byte, of those that are above their least, gives one up.
std::vector<std::int64_t> revoked(const std::vector<ShareClaim>& claims, std::int64_t budget) {
    std::vector<std::int64_t> has;
    std::int64_t all = 0;
    for (const ShareClaim& claim : claims) has.push_back(claim.most.count()), all += has.back();
    for (; all > budget; --all) {
        std::size_t victim = claims.size();
        for (std::size_t i = 0; i < claims.size(); ++i) {
            if (has[i] <= claims[i].least.count()) continue;
            if (victim == claims.size() ||
                shares_per_byte(claims[i], Bytes(has[i])) < shares_per_byte(claims[victim], Bytes(has[victim])))
                victim = i;
        }
        if (victim == claims.size()) break;
        --has[victim];
    }
    return has;
}

RC_GTEST_PROP(SharesProperty, IsWhereMinFundingRevocationComesToRest, ()) {
    const auto claims = any_claims();
    const std::int64_t budget = any(0, 900);
    const auto sizes = divide(claims, Bytes(budget));
    const auto expected = revoked(claims, budget);
    for (std::size_t i = 0; i < claims.size(); ++i) RC_ASSERT(std::abs(sizes[i].count() - expected[i]) <= 2);
}

RC_GTEST_PROP(SharesProperty, KeepsTheLimitsAndTheBudget, ()) {
    const auto claims = any_claims();
    const std::int64_t budget = any(0, 900);
    const auto sizes = divide(claims, Bytes(budget));
    std::int64_t all = 0;
    std::int64_t least = 0;
    std::int64_t most = 0;
    for (std::size_t i = 0; i < claims.size(); ++i) {
        RC_ASSERT(sizes[i] >= claims[i].least && sizes[i] <= claims[i].most);
        all += sizes[i].count();
        least += claims[i].least.count();
        most += claims[i].most.count();
    }
    RC_ASSERT(all <= std::max(budget, least));
    RC_ASSERT(all + std::ssize(claims) >= std::min(std::max(budget, least), most));  // and nothing is wasted
}

const Timestamp noon = Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + std::chrono::hours(12);

Bytes any_mebibytes(std::int64_t low, std::int64_t high) {
    return mebibytes(any(low, high));
}
bool one_in(int times) {
    return any(0, times) == 0;
}

/// Some of its figures are nonsense, now and then.
VmMemory any_vm(int number, Timestamp now) {
    VmMemory vm;
    vm.id = VmId("vm" + std::to_string(number));
    vm.maximum = any_mebibytes(64, 4096);
    vm.minimum = any_mebibytes(0, one_in(8) ? 8192 : vm.maximum.count() / mebibytes(1).count());
    vm.overhead = any_mebibytes(0, 300);
    vm.shares = static_cast<double>(any(0, 3000));
    vm.priority = static_cast<int>(any(0, 3));
    vm.policy = static_cast<MemoryPolicy>(any(0, 4));
    vm.balloon = !one_in(8);
    vm.migrating = one_in(8);
    vm.may_suspend = one_in(2);
    if (one_in(2)) vm.group = "g" + std::to_string(any(0, 3));
    vm.reading.at = now - Seconds(any(0, 80));
    vm.reading.balloon = std::min(any_mebibytes(32, 4096), vm.maximum);
    vm.reading.unused = std::min(any_mebibytes(0, 4096), one_in(8) ? gibibytes(9) : vm.reading.balloon);
    vm.reading.usable = std::min(*vm.reading.unused + any_mebibytes(0, 512), vm.reading.balloon);
    vm.reading.swap_in = any_mebibytes(0, 4096);
    vm.reading.major_faults = static_cast<std::uint64_t>(any(0, 100'000));
    vm.reading.resident = any_mebibytes(0, 5000);
    return vm;
}

HostMemory any_host() {
    HostMemory host;
    host.total = any_mebibytes(0, 40'000);
    host.free = any_mebibytes(0, 40'000);
    host.cached = any_mebibytes(0, 4'000);
    host.reserved = any_mebibytes(0, 4'000);
    host.suspend_space = any_mebibytes(0, 4'000);
    if (one_in(2)) host.pressure = static_cast<double>(any(0, 100)) / 100;
    if (one_in(2))
        host.ksm = KsmReading{
            .pages_to_scan = any(0, 2000), .pages_shared = any(0, 100'000), .pages_sharing = any(0, 900'000)};
    return host;
}

/// No move breaks a promise to its VM, and what is given is there.
void check(const Decisions& made, const std::vector<VmMemory>& vms, const HostMemory& host, MemoryPolicy policy) {
    Bytes given;
    for (const BalloonMove& move : made.balloons) {
        const auto index = static_cast<std::size_t>(std::ranges::find(vms, move.vm, &VmMemory::id) - vms.begin());
        const VmMemory& vm = vms[index];
        RC_ASSERT(vm.balloon && !vm.migrating && vm.policy != MemoryPolicy::none && policy != MemoryPolicy::none);
        RC_ASSERT(move.from == vm.reading.balloon && move.to <= vm.maximum);
        if (move.to > move.from) given += move.to - move.from;
        if (move.to >= move.from) continue;
        RC_ASSERT(move.to >= guaranteed(vm));
        RC_ASSERT(made.vms[index].working_set.trust == Trust::trusted);
        if (made.level < Level::pressed) RC_ASSERT(move.to >= made.vms[index].working_set.size);
    }
    RC_ASSERT(given <= available_on(host));
    Bytes all;
    for (const LedgerRow& row : rows_of(made.ledger)) all += row.bytes;
    RC_ASSERT(all == host.total);
    RC_ASSERT(made.risk.risk >= 0 && made.risk.risk <= 1);
}

RC_GTEST_PROP(ControlProperty, BreaksNoPromiseWhateverItReads, ()) {
    const auto policy = static_cast<MemoryPolicy>(any(0, 4));
    const int count = static_cast<int>(any(0, 12));
    HostMemo memo;
    Timestamp now = noon;
    for (int sweep = 0; sweep < 4; ++sweep) {
        now += Seconds(any(0, 100));
        std::vector<VmMemory> vms;
        for (int i = 0; i < count; ++i) vms.push_back(any_vm(i, now));
        const HostMemory host = any_host();
        auto [made, next] = control(host, vms, memo, policy, now);
        check(made, vms, host, policy);
        memo = std::move(next);
    }
}

}  // namespace
}  // namespace ballast::memory
