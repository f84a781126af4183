#include "daemon/store/open.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "core/try.h"
#include "daemon/store/entities.h"
#include "daemon/store/entity_store.h"
#include "daemon/store/event_log.h"

namespace ballast::store {
namespace {

constexpr int integrity_lines = 3;

/// Makes the file (and a missing last folder) for the owner alone: it holds token digests.
Result<void> make_private(const std::string& path) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (!folder.empty() && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(Code::failed_precondition, "the folder '{}' of the database can't be made: {}", folder.string(),
                    std::strerror(errno));
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return fail(Code::failed_precondition, "the database '{}' can't be opened: {}", path, std::strerror(errno));
    const int outcome = ::fchmod(descriptor, 0600);
    ::close(descriptor);
    if (outcome == 0) return {};
    return fail(Code::failed_precondition, "the database '{}' can't be made private: {}", path, std::strerror(errno));
}

/// What is wrong with the file, or empty. Looks through a read-only connection: nothing is changed.
std::string damage_of(const std::string& path) {
    try {
        Connection look(path, Connection::Mode::read_only);
        const std::string verdict = look.text(fmt::format("PRAGMA quick_check({})", integrity_lines));
        return verdict == "ok" ? std::string() : verdict;
    } catch (const SQLite::Exception& error) {
        return error.what();
    }
}

Result<void> load_rows(Connection& connection, Snapshot& snapshot) {
    Result<void> outcome;
    for_each_entity([&]<class Row>() {
        auto loaded = EntityStore<Row>::load(connection, table_of<Row>(snapshot));
        if (!loaded && outcome) outcome = std::move(loaded);
    });
    snapshot.seq =
        static_cast<std::uint64_t>(connection.integer("SELECT seq FROM sqlite_sequence WHERE name = 'events'"));
    snapshot.cluster = connection.text("SELECT value FROM meta WHERE key = 'cluster'");
    return outcome;
}

/// As much as can be read of a damaged database, for watching.
Opened open_damaged(const std::string& path, const std::string& damage) {
    Opened opened;
    opened.refused = fmt::format(
        "the database '{}' is damaged ({}); nothing was changed in it. Stop ballastd, keep a copy, then restore a "
        "backup "
        "or repair it with `sqlite3 {} .recover`",
        path, damage, path);
    try {
        Connection connection(path, Connection::Mode::read_only);
        static_cast<void>(load_rows(connection, opened.snapshot));
    } catch (const SQLite::Exception&) {  // NOLINT(bugprone-empty-catch): the reason is already known
    }
    return opened;
}

void configure(Connection& connection) {
    connection.exec("PRAGMA journal_mode = WAL");
    connection.exec("PRAGMA synchronous = FULL");
    connection.exec("PRAGMA journal_size_limit = 67108864");
    connection.exec("PRAGMA foreign_keys = OFF");  // see schema/0001_initial.sql
}

void write_meta(Connection& connection, Timestamp now, IdSource& ids) {
    const auto set = [&](const char* sql, const std::string& key, const std::string& value) {
        connection.cached(sql).bind(key).bind(value).run();
    };
    constexpr const char* once = "INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)";
    set(once, "cluster", ids.uuid());
    set(once, "created", to_string(now));
    set("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", "version", BALLAST_VERSION);
}

Result<Opened> open_sound(const std::string& path, std::span<const SchemaStep> steps, Timestamp now, IdSource& ids) {
    Opened opened;
    opened.connection = std::make_unique<Connection>(path, Connection::Mode::read_write);
    Connection& connection = *opened.connection;
    configure(connection);
    BALLAST_CHECK(upgrade(connection, path, steps));
    write_meta(connection, now, ids);
    drop_unfinished_bases(connection);
    if (auto loaded = load_rows(connection, opened.snapshot); !loaded)
        opened.refused = fmt::format(
            "the database '{}' holds a row that this ballastd can't read ({}); nothing is "
            "written so that nothing is lost. Restore a backup, or run the ballastd that wrote it",
            path, loaded.error().message());
    opened.newest_base = newest_base(connection);
    return opened;
}

}  // namespace

Result<Opened> open_database(const std::string& path, std::span<const SchemaStep> steps, Timestamp now, IdSource& ids) {
    BALLAST_CHECK(make_private(path));
    try {
        std::error_code ignored;
        const bool is_new = std::filesystem::file_size(path, ignored) == 0;
        if (!is_new)
            if (const std::string damage = damage_of(path); !damage.empty()) return open_damaged(path, damage);
        return open_sound(path, steps, now, ids);
    } catch (const SQLite::Exception& error) {
        return std::unexpected(error_of(error, fmt::format("the database '{}' can't be opened", path)));
    }
}

}  // namespace ballast::store
