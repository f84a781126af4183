#pragma once
// An admission of memory whose answer a test can count on its fingers.

#include <string>
#include <vector>

#include <fmt/format.h>

#include "scheduler/memory_admission.h"

namespace ballast::scheduler {

/// Says that VMs want this share of their maximum, and writes down what it was asked.
class ShareOfMaximum final : public MemoryAdmission {
  public:
    explicit ShareOfMaximum(double share) : share_(share) {}

    [[nodiscard]] MemoryAnswer admits(const MemoryQuestion& question) const override {
        ++asked;
        held = question.held;
        there.clear();
        Bytes wanted = wanted_by(question.fresh) + question.held;
        for (const MemoryPart& part : question.there) {
            wanted += wanted_by(part);
            there.push_back(part.vm.str());
        }
        const Bytes missing = saturating_sub(wanted, usable_memory(question.host));
        return {.admitted = missing == Bytes(0),
                .about_minimums = false,
                .risk = 0,
                .missing = missing,
                .words = fmt::format("{} are wanted", wanted)};
    }
    [[nodiscard]] Bytes lost_sharing(const VmId&) const override { return shared; }

    mutable int asked = 0;
    mutable Bytes held;
    mutable std::vector<std::string> there;
    Bytes shared;  ///< of every VM

  private:
    [[nodiscard]] Bytes wanted_by(const MemoryPart& part) const {
        return Bytes(static_cast<std::int64_t>(static_cast<double>(part.demand.maximum.count()) * share_));
    }
    double share_;
};

}  // namespace ballast::scheduler
