#pragma once
// One SQLite connection with its prepared statements. Decides nothing; throws SQLite::Exception, which never leaves
// daemon/store. Thread rule: one thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>

#include "core/error.h"

namespace ballast::store {

using SqlValue = std::variant<std::int64_t, std::string>;

/// A prepared statement for one use: reset and unbound at the end of the scope, so that it holds no read transaction.
class Query {
  public:
    explicit Query(SQLite::Statement& statement) : statement_(&statement) {}
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;
    ~Query();

    Query& bind(std::int64_t value);
    Query& bind(const std::string& value);
    Query& bind(const SqlValue& value);
    Query& bind_blob(const std::string& bytes);
    /// `text` must outlive this use.
    Query& bind_borrowed(const std::string& text);

    /// Whether there is a (next) row.
    [[nodiscard]] bool step() { return statement_->executeStep(); }
    void run();

    [[nodiscard]] std::int64_t integer(int column) const { return statement_->getColumn(column).getInt64(); }
    [[nodiscard]] std::string text(int column) const { return statement_->getColumn(column).getString(); }
    [[nodiscard]] SqlValue value(int column) const;

  private:
    SQLite::Statement* statement_;
    int bound_ = 0;
};

class Connection {
  public:
    /// `read_alone`: reads while nobody else may, and without making any file.
    enum class Mode : std::uint8_t { read_write, read_only, read_alone };
    Connection(const std::string& path, Mode mode);

    /// A statement kept for the connection's life: for texts of which there are few.
    [[nodiscard]] Query cached(const std::string& sql);
    void exec(const std::string& sql) { database_.exec(sql); }
    [[nodiscard]] std::int64_t integer(const std::string& sql);
    [[nodiscard]] std::string text(const std::string& sql);
    [[nodiscard]] bool in_transaction() const;
    /// The operating system's error behind the last failure, or 0.
    [[nodiscard]] int system_error() const;
    [[nodiscard]] SQLite::Database& database() { return database_; }

  private:
    SQLite::Database database_;
    std::unordered_map<std::string, std::unique_ptr<SQLite::Statement>> statements_;
};

/// Whether the failure says that there is no room, rather than that something is broken.
[[nodiscard]] bool is_disk_full(const SQLite::Exception& error, const Connection& connection);
/// Whether it says that the file is not (or no longer) a sound database.
[[nodiscard]] bool is_damage(const SQLite::Exception& error);
/// Whether the failure is about the file or the disk, not about one statement: the whole transaction is in doubt.
[[nodiscard]] bool is_about_the_file(const SQLite::Exception& error);
/// An Error for it: unavailable when busy or full, else internal.
[[nodiscard]] Error error_of(const SQLite::Exception& error, std::string_view doing);

}  // namespace ballast::store
