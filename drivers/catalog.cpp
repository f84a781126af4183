#include "drivers/catalog.h"

namespace ballast::drivers {

Result<std::shared_ptr<Driver>> Catalog::find(std::string_view uri) const {
    Result<void> refused = fail(Code::invalid_argument, "no driver speaks '{}'", uri);
    for (const auto& driver : drivers_) {
        refused = driver->check_uri(uri);
        if (refused) return driver;
    }
    return std::unexpected(std::move(refused).error());
}

}  // namespace ballast::drivers
