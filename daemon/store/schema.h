#pragma once
// Schema upgrades: numbered SQL files (schema/NNNN_*.sql, embedded at build time), applied in one transaction after a
// backup copy. `PRAGMA user_version` holds the number of the last one applied.

#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "daemon/store/connection.h"

namespace ballast::store {

struct SchemaStep {
    int number = 0;
    std::string_view sql;
};

/// Those of this binary, in order.
[[nodiscard]] std::span<const SchemaStep> schema_steps();

/// Brings the database at `path` to the last of `steps`. Errors: failed_precondition (it is newer), internal.
[[nodiscard]] Result<void> upgrade(Connection& connection, const std::string& path, std::span<const SchemaStep> steps);

/// Where the copy goes that is made before step `number` is applied.
[[nodiscard]] std::string backup_path(const std::string& path, int number);

}  // namespace ballast::store
