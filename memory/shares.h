#pragma once
// How memory is divided: shares, an idle memory tax and limits (Waldspurger, OSDI 2002, 5.1 to 5.3). Decides sizes;
// moves nothing. Pure.
//
// A client with S shares and P bytes, of which the part f is active, has the shares-per-page ratio
//   rho = S / (P (f + k (1 - f))),  k = 1 / (1 - tax)
// so an idle page costs k times what an active one costs. Min-funding revocation takes memory from the client with the
// lowest rho. Where it comes to rest, all clients that are not at a limit have one rho. With an active set of A bytes,
// P (f + k (1 - f)) = cost(P) = P up to A, and A + k (P - A) beyond it; so with one price L = 1 / rho for all
//   cost_i(P_i) = L S_i,  least_i <= P_i <= most_i,  sum P_i = budget
// which is piecewise linear in L and solved exactly.

#include <span>
#include <vector>

#include "core/units.h"

namespace ballast::memory {

struct ShareClaim {
    double shares = 1000;
    Bytes active;    ///< the working set
    double tax = 0;  ///< 0 to below 1
    Bytes least;
    Bytes most;  ///< below `least`: counts as `least`
};

/// rho, in shares per byte; infinite for a client that has nothing.
[[nodiscard]] double shares_per_byte(const ShareClaim& claim, Bytes has);

/// Sizes in the order of the claims. Their sum is at most `budget`, unless the least of all is more: then each gets its
/// least.
[[nodiscard]] std::vector<Bytes> divide(std::span<const ShareClaim> claims, Bytes budget);

}  // namespace ballast::memory
