#include "scheduler/plan/contention.h"

#include <algorithm>
#include <numbers>

namespace ballast::scheduler::plan {

double normal_loss(double z) {
    const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
    const double above = std::erfc(z / std::numbers::sqrt2) / 2;
    return std::max(0.0, density - z * above);
}

LossTable::LossTable() {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = normal_loss(static_cast<double>(i) / steps - end);
}

const LossTable& loss_table() {
    static const LossTable table;
    return table;
}

}  // namespace ballast::scheduler::plan
