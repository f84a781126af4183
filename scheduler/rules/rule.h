#pragma once
// What a placement rule is: a stateless type with a name and one judgement of one candidate host. A new rule is one
// .h/.cpp here and one line in catalog.cpp. Pure.

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "scheduler/host_view.h"
#include "scheduler/placement.h"

namespace ballast::scheduler {

/// One host asked about one VM.
struct Candidate {
    const Snapshot& snapshot;
    const PlacementRequest& request;
    const HostView& view;

    [[nodiscard]] const Host& host() const { return *view.host; }
    [[nodiscard]] const VmSpec& spec() const { return request.spec; }
};

template <class... Args>
[[nodiscard]] RuleVerdict accept(fmt::format_string<Args...> text, Args&&... args) {
    return {.rule = {},
            .accepted = true,
            .about_room = false,
            .detail = fmt::format(text, std::forward<Args>(args)...),
            .fits_if = {}};
}

template <class... Args>
[[nodiscard]] RuleVerdict reject(fmt::format_string<Args...> text, Args&&... args) {
    return {.rule = {},
            .accepted = false,
            .about_room = false,
            .detail = fmt::format(text, std::forward<Args>(args)...),
            .fits_if = {}};
}

[[nodiscard]] inline RuleVerdict fits_if(RuleVerdict verdict, std::string change) {
    verdict.fits_if = std::move(change);
    return verdict;
}

[[nodiscard]] inline RuleVerdict lacks_room(RuleVerdict verdict, std::string change) {
    verdict.about_room = true;
    return fits_if(std::move(verdict), std::move(change));
}

}  // namespace ballast::scheduler
