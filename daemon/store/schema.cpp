#include "daemon/store/schema.h"

#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Transaction.h>
#include <spdlog/spdlog.h>

#include "core/try.h"

namespace ballast::store {
namespace {

/// A descriptor that syncs what it is for.
Result<void> sync_path(const std::string& path, int flags) {
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
    const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
    if (descriptor >= 0) ::close(descriptor);
    if (synced) return {};
    return fail(Code::internal, "the backup copy '{}' could not be synced to disk", path);
}

/// Written under another name first: a copy under its final name is whole.
Result<void> back_up(Connection& connection, const std::string& target) {
    const std::string partial = target + ".partial";
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    ::close(::open(partial.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    {
        SQLite::Database copy(partial, SQLite::OPEN_READWRITE);
        SQLite::Backup backup(copy, connection.database());
        backup.executeStep(-1);
    }
    BALLAST_CHECK(sync_path(partial, O_RDONLY));
    std::error_code error;
    std::filesystem::rename(partial, target, error);
    if (error) return fail(Code::internal, "the backup copy could not be renamed to '{}': {}", target, error.message());
    return sync_path(std::filesystem::path(target).parent_path().string(), O_RDONLY | O_DIRECTORY);
}

Result<void> check_version(const std::string& path, std::int64_t version, int known) {
    if (version <= known) return {};
    return fail(Code::failed_precondition,
                "the database '{}' has schema {}, this ballastd knows schemas up to {}; run the newer ballastd, or "
                "restore the copy made before the upgrade ('{}')",
                path, version, known, backup_path(path, known + 1));
}

}  // namespace

std::string backup_path(const std::string& path, int number) {
    return fmt::format("{}.before-{:04}", path, number);
}

Result<void> upgrade(Connection& connection, const std::string& path, std::span<const SchemaStep> steps) {
    const std::int64_t version = connection.integer("PRAGMA user_version");
    const int last = steps.empty() ? 0 : steps.back().number;
    BALLAST_CHECK(check_version(path, version, last));
    if (version == last) return {};
    if (version > 0) {
        const std::string copy = backup_path(path, static_cast<int>(version) + 1);
        BALLAST_CHECK(back_up(connection, copy));
        spdlog::info("store: upgrading schema {} to {}; the copy from before is '{}'", version, last, copy);
    }
    try {
        SQLite::Transaction all(connection.database(), SQLite::TransactionBehavior::IMMEDIATE);
        for (const SchemaStep& step : steps)
            if (step.number > version) connection.exec(std::string(step.sql));
        connection.exec(fmt::format("PRAGMA user_version = {}", last));
        all.commit();
    } catch (const SQLite::Exception& error) {
        return std::unexpected(error_of(
            error, fmt::format("upgrading '{}' from schema {} to {} failed and was undone", path, version, last)));
    }
    return {};
}

}  // namespace ballast::store
