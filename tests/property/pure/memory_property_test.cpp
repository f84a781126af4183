// Dividing memory by shares: what revocation page by page comes to, for any claims.
#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

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

}  // namespace
}  // namespace ballast::memory
