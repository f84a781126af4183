#include "memory/policy.h"

#include <algorithm>

#include "memory/arithmetic.h"

namespace ballast::memory {
namespace {

constexpr Policy none{
    .acts = false, .idle_tax = 0, .margin = 0.25, .reserve = 0.10, .counted_sharing = 0, .ksm_cpu = 0};
constexpr Policy gentle{.acts = true,
                        .ahead_of_need = false,
                        .idle_tax = 0.5,
                        .margin = 0.25,
                        .reserve = 0.12,
                        .step = 0.02,
                        .counted_sharing = 0,
                        .ksm_cpu = 0.05};
constexpr Policy balanced{.acts = true, .ahead_of_need = true};
constexpr Policy dense{.acts = true,
                       .ahead_of_need = true,
                       .may_suspend = true,
                       .idle_tax = 0.9,
                       .margin = 0.06,
                       .reserve = 0.05,
                       .step = 0.10,
                       .counted_sharing = 0.8,
                       .ksm_cpu = 0.2,
                       .risk = 0.005};

}  // namespace

const Policy& policy_of(MemoryPolicy policy) {
    switch (policy) {
        case MemoryPolicy::none:
            return none;
        case MemoryPolicy::gentle:
            return gentle;
        case MemoryPolicy::balanced:
            return balanced;
        case MemoryPolicy::dense:
            return dense;
    }
    return none;
}

Bytes reserve_of(const Policy& policy, Bytes total, bool sees_pressure) {
    return bytes_of(as_double(total) * policy.reserve * (sees_pressure ? 1 : policy.blind_reserve));
}

Bytes margin_of(const Policy& policy, Bytes working_set) {
    return std::max(bytes_of(as_double(working_set) * policy.margin), least_margin);
}

}  // namespace ballast::memory
