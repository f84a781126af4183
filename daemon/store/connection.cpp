#include "daemon/store/connection.h"

#include <cerrno>
#include <sqlite3.h>

namespace ballast::store {
namespace {

constexpr int busy_timeout_ms = 5000;

int flags_of(Connection::Mode mode) {
    return (mode == Connection::Mode::read_only ? SQLite::OPEN_READONLY : SQLite::OPEN_READWRITE) |
           SQLite::OPEN_NOMUTEX;
}

}  // namespace

Query::~Query() {
    statement_->tryReset();
    try {
        statement_->clearBindings();
    } catch (const SQLite::Exception&) {  // NOLINT(bugprone-empty-catch): nothing was bound, so nothing is held
    }
}

Query& Query::bind(std::int64_t value) {
    statement_->bind(++bound_, static_cast<int64_t>(value));
    return *this;
}

Query& Query::bind(const std::string& value) {
    statement_->bind(++bound_, value);
    return *this;
}

Query& Query::bind(const SqlValue& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) return bind(*number);
    return bind(std::get<std::string>(value));
}

Query& Query::bind_blob(const std::string& bytes) {
    statement_->bind(++bound_, static_cast<const void*>(bytes.data()), static_cast<int>(bytes.size()));
    return *this;
}

Query& Query::bind_borrowed(const std::string& text) {
    statement_->bindNoCopy(++bound_, text);
    return *this;
}

void Query::run() {
    while (statement_->executeStep()) continue;
}

SqlValue Query::value(int column) const {
    const SQLite::Column at = statement_->getColumn(column);
    if (at.isInteger()) return at.getInt64();
    return at.getString();
}

Connection::Connection(const std::string& path, Mode mode) : database_(path, flags_of(mode), busy_timeout_ms) {
    if (mode == Mode::read_write) return;
    // A look at a damaged database must leave it as it is, its write-ahead log included.
    sqlite3_db_config(database_.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    // Alone, the index of the write-ahead log is kept in memory: no file has to be made on a full disk.
    if (mode == Mode::read_alone) exec("PRAGMA query_only = ON; PRAGMA locking_mode = EXCLUSIVE");
}

Query Connection::cached(const std::string& sql) {
    auto& statement = statements_[sql];
    if (!statement) statement = std::make_unique<SQLite::Statement>(database_, sql);
    return Query(*statement);
}

std::int64_t Connection::integer(const std::string& sql) {
    SQLite::Statement statement(database_, sql);
    return statement.executeStep() ? statement.getColumn(0).getInt64() : 0;
}

std::string Connection::text(const std::string& sql) {
    SQLite::Statement statement(database_, sql);
    return statement.executeStep() ? statement.getColumn(0).getString() : std::string();
}

bool Connection::in_transaction() const {
    return sqlite3_get_autocommit(database_.getHandle()) == 0;
}

int Connection::system_error() const {
    return sqlite3_system_errno(database_.getHandle());
}

bool is_disk_full(const SQLite::Exception& error, const Connection& connection) {
    if ((error.getErrorCode() & 0xFF) == SQLITE_FULL) return true;
    if ((error.getErrorCode() & 0xFF) != SQLITE_IOERR) return false;
    if (error.getExtendedErrorCode() == SQLITE_IOERR_SHMSIZE) return true;  // sets no errno
    return connection.system_error() == ENOSPC || connection.system_error() == EDQUOT;
}

bool is_damage(const SQLite::Exception& error) {
    const int code = error.getErrorCode() & 0xFF;
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

bool is_about_the_file(const SQLite::Exception& error) {
    switch (error.getErrorCode() & 0xFF) {
        case SQLITE_FULL:
        case SQLITE_IOERR:
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_NOMEM:
        case SQLITE_PROTOCOL:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            return true;
        default:
            return false;
    }
}

Error error_of(const SQLite::Exception& error, std::string_view doing) {
    const int code = error.getErrorCode() & 0xFF;
    const bool later = code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_FULL;
    return Error(later ? Code::unavailable : Code::internal, fmt::format("{}: {}", doing, error.what()));
}

}  // namespace ballast::store
