#pragma once
// What a placement rule is: a stateless type with a name and two answers about one candidate host: the cheap one
// (`fits`: no text is made) and the explained one (the call: numbers, and the smallest change that would turn a
// refusal). Both always agree (tests/property/pure/rules_property_test.cpp). A new rule is one .h/.cpp here and one
// line in catalog.cpp. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "scheduler/host_view.h"
#include "scheduler/memory_admission.h"
#include "scheduler/placement.h"
#include "scheduler/plan/load.h"
#include "scheduler/policy.h"

namespace ballast::scheduler {

/// What changes may change a rule's answer about a host. host: those of the host's own rows (it, its pools and pairs),
/// of its promises, and of the VM. zone: also what lies on the hosts of its zone. cluster: what lies anywhere.
enum class RuleScope : std::uint8_t { host, zone, cluster };

class Redundancy;

/// What lies around the candidates, the same for all of them. Made once for each decision.
struct Surroundings {
    Groups groups;                            ///< those of the VM
    const ClusterLoad* load = nullptr;        ///< what VMs use; null: not known
    Weights weights = {};                     ///< how hosts that fit are compared
    Redundancy* redundancy = nullptr;         ///< null: N+1 is not asked for
    const MemoryAdmission* memory = nullptr;  ///< null: nobody knows better than rules/working_set_fit.h
};

/// One host asked about one VM.
struct Candidate {
    const Snapshot& snapshot;
    const PlacementRequest& request;
    const HostView& view;
    const Surroundings& around;

    [[nodiscard]] const Host& host() const { return *view.host; }
    [[nodiscard]] const VmSpec& spec() const { return request.spec; }
};

/// By which id something may be known of the VM. One that lies nowhere has no past: all requests of its class must get
/// the same answer (fleet/request_class.h).
[[nodiscard]] inline VmId known_vm(const Candidate& candidate) {
    const Vm* row = candidate.snapshot.vms.find(candidate.request.vm);
    return row != nullptr && (row->host || !row->definitions.empty()) ? row->id : VmId();
}

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
