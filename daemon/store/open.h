#pragma once
// Opens the database file: permissions, health check, upgrade, rows into a Snapshot. What can't be trusted is opened
// read-only with a reason and never changed.

#include <memory>
#include <string>

#include "daemon/store/connection.h"
#include "daemon/store/schema.h"
#include "daemon/store/store.h"

namespace ballast::store {

struct Opened {
    std::unique_ptr<Connection> connection;  ///< null: there is nothing that could be written to
    Snapshot snapshot;
    std::string refused;  ///< why nothing may be written; empty: writable
    std::uint64_t newest_base = 0;
};

/// Makes the folder of the database for the owner alone, if only the last one is missing. Errors: failed_precondition.
[[nodiscard]] Result<void> make_folder(const std::string& path);

/// Errors: failed_precondition (newer schema, not writable), internal.
[[nodiscard]] Result<Opened> open_database(const std::string& path, std::span<const SchemaStep> steps, Timestamp now,
                                           IdSource& ids);

}  // namespace ballast::store
