#pragma once
// An admission of memory whose answer a test can count on its fingers.

#include <string>
#include <vector>

#include <fmt/format.h>

#include "scheduler/memory_admission.h"

namespace ballast::scheduler {

/// Says that VMs want this share of their maximum, and writes down what it was asked. Of a host that is dense it bears
/// twice the memory; a part of each other host may be kept from minimums.
class ShareOfMaximum final : public MemoryAdmission {
  public:
    explicit ShareOfMaximum(double share) : share_(share) {}

    [[nodiscard]] MemoryAnswer admits(const MemoryQuestion& question) const override {
        ++asked;
        held = question.held;
        fresh.push_back(question.fresh.vm.str());
        there.clear();
        Bytes wanted = wanted_by(question.fresh) + question.held;
        Bytes minimums = question.fresh.demand.minimum + question.held;
        for (const MemoryPart& part : question.there) {
            wanted += wanted_by(part);
            minimums += part.demand.minimum;
            there.push_back(part.vm.str());
        }
        const Bytes usable = usable_memory(question.host);
        if (const Bytes lacks = saturating_sub(minimums + kept, usable); lacks > Bytes(0))
            return {.admitted = false, .about_minimums = true, .risk = 1, .missing = lacks, .words = "minimums"};
        const int bears = question.host.memory_policy == MemoryPolicy::dense ? 2 : 1;
        const Bytes missing = saturating_sub(wanted, usable * bears);
        return {.admitted = missing == Bytes(0),
                .about_minimums = false,
                .risk = 0,
                .missing = missing,
                .words = fmt::format("{} are wanted", wanted)};
    }
    [[nodiscard]] Bytes lost_sharing(const VmId&) const override { return shared; }

    [[nodiscard]] std::optional<Bytes> free_now(const Host&) const override { return free; }

    mutable int asked = 0;
    mutable Bytes held;
    mutable std::vector<std::string> there;
    mutable std::vector<std::string> fresh;  ///< of every question
    Bytes shared;                            ///< of every VM
    Bytes kept;                              ///< of every host, from minimums
    std::optional<Bytes> free;               ///< of every host

  private:
    [[nodiscard]] Bytes wanted_by(const MemoryPart& part) const {
        return Bytes(static_cast<std::int64_t>(static_cast<double>(part.demand.maximum.count()) * share_));
    }
    double share_;
};

}  // namespace ballast::scheduler
