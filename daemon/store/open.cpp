#include "daemon/store/open.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/try.h"
#include "daemon/store/entities.h"
#include "daemon/store/entity_store.h"
#include "daemon/store/event_log.h"

namespace ballast::store {
namespace {

constexpr int integrity_lines = 3;

/// Makes the file for the owner alone: it holds token digests.
Result<void> make_private(const std::string& path) {
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
        std::string verdict = look.text(fmt::format("PRAGMA quick_check({})", integrity_lines));
        std::ranges::replace(verdict, '\n', ' ');
        return verdict == "ok" ? std::string() : verdict;
    } catch (const SQLite::Exception& error) {
        if (!is_damage(error)) throw;
        return error.what();
    }
}

bool is_without_room(const std::string& path) {
    constexpr std::uint64_t least = 1U << 20U;  // SQLite needs room for its index before it reads a byte
    struct statvfs disk{};
    return ::statvfs(path.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < least;
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

/// As much as can be read, for watching only.
Opened open_to_watch(const std::string& path, Connection::Mode mode, std::string refused) {
    Opened opened;
    opened.refused = std::move(refused);
    try {
        Connection connection(path, mode);
        static_cast<void>(load_rows(connection, opened.snapshot));
    } catch (const SQLite::Exception& error) {
        opened.refused += fmt::format(" (and not everything could be read: {})", error.what());
    }
    return opened;
}

Opened open_damaged(const std::string& path, const std::string& damage) {
    return open_to_watch(path, Connection::Mode::read_only,
                         fmt::format("the database '{0}' is damaged ({1}); nothing was changed in it. Stop ballastd, "
                                     "keep a copy, then restore a backup or repair it with `sqlite3 {0} .recover`",
                                     path, damage));
}

Opened open_without_room(const std::string& path) {
    return open_to_watch(
        path, Connection::Mode::read_alone,
        fmt::format("the disk under the database '{}' is full; make room, then restart ballastd", path));
}

void configure(Connection& connection) {
    connection.exec("PRAGMA journal_mode = WAL");
    connection.exec("PRAGMA synchronous = FULL");
    connection.exec("PRAGMA journal_size_limit = 67108864");
    connection.exec("PRAGMA cache_size = -65536");  // 64 MiB: a cluster's rows and the tail of the log
    connection.exec(
        "PRAGMA wal_autocheckpoint = 8000");       // 32 MiB: a page written often is copied once, not eight times
    connection.exec("PRAGMA foreign_keys = OFF");  // see schema/0001_initial.sql
}

void write_meta(Connection& connection, Timestamp now, IdSource& ids) {
    const auto set = [&](const char* sql, const std::string& key, const std::string& value) {
        connection.cached(sql).bind(key).bind(value).run();
    };
    constexpr const char* once = "INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)";
    set(once, "cluster", ids.uuid());
    set(once, "created", to_string(now));
    if (connection.text("SELECT value FROM meta WHERE key = 'version'") != BALLAST_VERSION)
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

Result<void> make_folder(const std::string& path) {
    const std::filesystem::path folder = std::filesystem::path(path).parent_path();
    if (folder.empty() || ::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
    return fail(Code::failed_precondition, "the folder '{}' of the database can't be made: {}", folder.string(),
                std::strerror(errno));
}

Result<Opened> open_database(const std::string& path, std::span<const SchemaStep> steps, Timestamp now, IdSource& ids) {
    BALLAST_CHECK(make_private(path));
    std::error_code ignored;
    const bool is_new = std::filesystem::file_size(path, ignored) == 0;
    try {
        if (const std::string damage = is_new ? std::string() : damage_of(path); !damage.empty())
            return open_damaged(path, damage);
        return open_sound(path, steps, now, ids);
    } catch (const SQLite::Exception& error) {
        if (is_damage(error)) return open_damaged(path, error.what());
        if (!is_new && is_about_the_file(error) && is_without_room(path)) return open_without_room(path);
        return std::unexpected(error_of(error, fmt::format("the database '{}' can't be opened", path)));
    }
}

}  // namespace ballast::store
