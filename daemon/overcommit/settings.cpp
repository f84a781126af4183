#include "daemon/overcommit/settings.h"

#include <boost/describe/enum_from_string.hpp>

namespace ballast::overcommit {

Result<LabelPolicy> parse_label_policy(const std::string& text) {
    const auto equals = text.find('=');
    const auto colon = text.rfind(':');
    LabelPolicy parsed;
    if (equals == std::string::npos || equals == 0 || colon == std::string::npos || colon < equals)
        return fail(Code::invalid_argument, "'{}' is not LABEL=VALUE:POLICY, as in rack=r2:dense", text);
    parsed.key = text.substr(0, equals);
    parsed.value = text.substr(equals + 1, colon - equals - 1);
    const std::string policy = text.substr(colon + 1);
    if (!boost::describe::enum_from_string(policy.c_str(), parsed.policy))
        return fail(Code::invalid_argument, "'{}' names the policy '{}'; there are none, gentle, balanced and dense",
                    text, policy);
    return parsed;
}

MemoryPolicy policy_for(const Host& host, const MemorySettings& settings) {
    if (!host.managed || host.state == HostState::removed) return MemoryPolicy::none;
    if (host.settings.memory_policy) return *host.settings.memory_policy;
    for (const LabelPolicy& label : settings.labels) {
        const auto at = host.settings.labels.find(label.key);
        if (at != host.settings.labels.end() && at->second == label.value) return label.policy;
    }
    return settings.policy;
}

}  // namespace ballast::overcommit
