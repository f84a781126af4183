#pragma once
// Which driver speaks which URI. A new driver is one folder and one line in catalog.cpp.

#include <memory>
#include <string_view>
#include <vector>

#include "drivers/driver.h"

namespace ballast::drivers {

class Catalog {
  public:
    explicit Catalog(std::vector<std::shared_ptr<Driver>> drivers) : drivers_(std::move(drivers)) {}

    /// The first driver that speaks the URI. Errors: invalid_argument naming the schemes that are known.
    [[nodiscard]] Result<std::shared_ptr<Driver>> find(std::string_view uri) const;

  private:
    std::vector<std::shared_ptr<Driver>> drivers_;
};

}  // namespace ballast::drivers
