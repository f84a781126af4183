#pragma once
// Texts that outlive a restart and have no history. Thread rule: that of the connection.

#include <map>
#include <string>

#include "daemon/store/connection.h"

namespace ballast::store {

/// Empty: what was kept under the key goes.
void keep_text(Connection& connection, const std::string& key, const std::string& text);
/// By what follows `prefix` in their keys.
[[nodiscard]] std::map<std::string, std::string> read_kept(Connection& connection, const std::string& prefix);

}  // namespace ballast::store
