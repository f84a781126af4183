#pragma once
// Whether one more VM may come to a host: its guaranteed minimum must fit physically, and the risk that demand exceeds
// what the host can give within the next hour must stay below the policy's. Decides; reserves nothing. Pure.

#include <span>
#include <string>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include "memory/risk.h"

namespace ballast::memory {

struct AdmissionTerms {
    Bytes capacity;        ///< what VMs and their QEMU processes may have, physically: total - reserved - reserve
    Bytes sharing;         ///< saved by page sharing, as far as it may be promised; never backs a minimum
    Bytes held;            ///< kept meanwhile at its whole size: claims, both copies of VMs that move
    double risk = 0.001;   ///< the most
    RiskModel model = {};  ///< with the correlations of that host (correlation.h)
};

enum class AdmissionVerdict : std::uint8_t { admitted, minimums, risk };
BOOST_DESCRIBE_ENUM(AdmissionVerdict, admitted, minimums, risk)

struct Admission {
    AdmissionVerdict verdict = AdmissionVerdict::admitted;
    double risk = 0;  ///< with the new VM, within the horizon
    double risk_before = 0;
    Bytes p99;          ///< demand that is exceeded 1 % of the time
    Bytes left_at_p99;  ///< of what the host can give; negative: missing
    Bytes minimums;     ///< guaranteed, of all
    Bytes missing;      ///< what the host would need to have more; 0: nothing
    std::string words;  ///< "p99 demand leaves 3.8 GiB; 0.02 %", or what does not fit
    friend bool operator==(const Admission&, const Admission&) = default;
};
BOOST_DESCRIBE_STRUCT(Admission, (), (verdict, risk, risk_before, p99, left_at_p99, minimums, missing, words))

/// `fresh` is not among those that are there.
[[nodiscard]] Admission admit(std::span<const Demand> there, const Demand& fresh, const AdmissionTerms& terms);

/// The same figures of what is there already; a verdict other than `admitted` says that the host holds too much.
[[nodiscard]] Admission assess(std::span<const Demand> there, const AdmissionTerms& terms);

}  // namespace ballast::memory
