#pragma once
// Identifiers. An id is never a bare string: a HostId does not convert to a VmId. The text is opaque and stable; a VmId
// is the domain's UUID.

#include <compare>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"

namespace ballast {

template <class Tag>
class Id {
  public:
    Id() = default;
    explicit Id(std::string text) : text_(std::move(text)) {}

    [[nodiscard]] const std::string& str() const noexcept { return text_; }
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

    friend auto operator<=>(const Id&, const Id&) = default;
    friend bool operator==(const Id&, const Id&) = default;

  private:
    std::string text_;
};

using VmId = Id<struct VmTag>;      ///< the libvirt domain UUID, lower case with dashes (SAFETY.md 2)
using HostId = Id<struct HostTag>;  ///< made by Ballast when the host is added
using PoolId = Id<struct PoolTag>;  ///< one storage pool on one host
using VolumeId = Id<struct VolumeTag>;
using ImageId = Id<struct ImageTag>;
using JobId = Id<struct JobTag>;  ///< sorts by time of creation
using TokenId = Id<struct TokenTag>;
using ClaimId = Id<struct ClaimTag>;  ///< the job that claims, and what
using PairId = Id<struct PairTag>;    ///< "from>to"
using PlanId = Id<struct PlanTag>;    ///< sorts by time of creation

/// A UUID in its canonical form (lower case, dashes), or invalid_argument.
[[nodiscard]] Result<std::string> parse_uuid(std::string_view text);

/// Whether `name` may name a host, VM, volume or image: 1 to 63 of [A-Za-z0-9._-], beginning with a letter or digit.
[[nodiscard]] Result<void> check_name(std::string_view what, std::string_view name);

}  // namespace ballast

template <class Tag>
struct std::hash<ballast::Id<Tag>> {
    std::size_t operator()(const ballast::Id<Tag>& id) const noexcept { return std::hash<std::string>{}(id.str()); }
};

template <class Tag>
struct fmt::formatter<ballast::Id<Tag>> : fmt::formatter<std::string> {
    auto format(const ballast::Id<Tag>& id, fmt::format_context& context) const {
        return fmt::formatter<std::string>::format(id.str(), context);
    }
};
