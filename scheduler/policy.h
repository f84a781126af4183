#pragma once
// A placement policy: how much each scorer (scorers/catalog.h) counts when hosts that may take a VM are compared.
// Decides nothing. Pure.

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>

#include "core/error.h"

namespace ballast::scheduler {

/// Weights by scorer; one that is not named does not count.
struct Policy {
    std::string name;
    std::map<std::string, double> weights;
    friend bool operator==(const Policy&, const Policy&) = default;
};
BOOST_DESCRIBE_STRUCT(Policy, (), (name, weights))

/// `spread`, `pack`, `latency`, `power`.
[[nodiscard]] const std::vector<Policy>& built_in_policies();

/// Errors: invalid_argument naming policy and scorer: a weight that is negative or no number, a scorer that does not
/// exist, a policy without any weight.
[[nodiscard]] Result<void> check(const Policy& policy);

/// The policies of a cluster: its own ones go before built-in ones of the same name.
struct Policies {
    std::vector<Policy> own;
    std::string standard = "spread";  ///< of VMs that name none

    /// Errors: invalid_argument, which lists those that there are.
    [[nodiscard]] Result<const Policy*> find(std::string_view name) const;
};

/// A checked policy, ready for counting: by place in the scorers' catalogue.
class Weights {
  public:
    static constexpr std::size_t most = 16;

    /// Those of `spread`.
    Weights();
    explicit Weights(const Policy& policy);

    [[nodiscard]] double at(std::size_t scorer) const { return of_[scorer]; }
    /// By what the sum of losses is divided: the weights of scorers that have an answer for every VM.
    [[nodiscard]] double scale() const { return scale_; }

  private:
    std::array<double, most> of_{};
    double scale_ = 1;
};

}  // namespace ballast::scheduler
