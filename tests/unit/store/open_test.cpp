#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

using ballast::test::a_vm;
using ::testing::HasSubstr;

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Opening : public StoreTest {
  protected:
    /// SQL on the closed database, as somebody else would.
    void tamper(const std::string& sql) {
        store_->close();
        store_.reset();
        SQLite::Database database(options_.path, SQLite::OPEN_READWRITE);
        database.exec(sql);
    }
    [[nodiscard]] unsigned mode_of(const std::string& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0);
        return status.st_mode & 0777U;
    }
};

TEST_F(Opening, MakesAClusterIdOnceAndKeepsIt) {
    open();
    const std::string cluster = now().cluster;
    EXPECT_TRUE(parse_uuid(cluster));
    reopen();
    EXPECT_EQ(now().cluster, cluster);
}

TEST_F(Opening, MakesEverythingForTheOwnerAlone) {
    options_.path = folder_.file("new/ballast.db");
    open();
    ASSERT_TRUE(put(a_vm("web1").build()));
    EXPECT_EQ(mode_of(folder_.file("new")), 0700U);
    for (const char* suffix : {"", "-wal", "-shm", ".lock"})
        EXPECT_EQ(mode_of(options_.path + suffix), 0600U) << suffix;
}

TEST_F(Opening, AnotherHolderIsNamedByItsPid) {
    open();
    const auto second = try_open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Code::unavailable);
    EXPECT_THAT(second.error().message(), HasSubstr(fmt::format("process {}", ::getpid())));
}

TEST_F(Opening, ANewerSchemaIsRefusedWithBothVersionsAndTheWayOut) {
    open();
    tamper("PRAGMA user_version = 7");
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::failed_precondition);
    EXPECT_THAT(opened.error().message(), HasSubstr("schema 7"));
    const int known = schema_steps().back().number;
    EXPECT_THAT(opened.error().message(), HasSubstr(fmt::format("up to {}", known)));
    EXPECT_THAT(opened.error().message(), HasSubstr(fmt::format("ballast.db.before-{:04}", known + 1)));
}

TEST_F(Opening, AFileThatIsNoDatabaseIsLeftAsItIs) {
    const std::string text(5000, 'x');
    std::ofstream(options_.path) << text;
    open();
    EXPECT_FALSE(store_->health().writable);
    EXPECT_THAT(store_->health().reason, HasSubstr("not a database"));
    const auto refused = put(a_vm("web1").build());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::unavailable);
    EXPECT_FALSE(list({.entity = "vms"}));
    store_->close();
    EXPECT_EQ(bytes_of(options_.path), text);
}

TEST_F(Opening, ADamagedDatabaseIsReadOnlyAndLeftAsItIs) {
    open();
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(put(a_vm(fmt::format("vm{}", i)).build()));
    store_->close();
    store_.reset();
    const auto size = std::filesystem::file_size(options_.path);
    {
        std::fstream file(options_.path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(size / 2));
        file << std::string(20000, '\xA5');
    }
    const std::string damaged = bytes_of(options_.path);
    open();
    EXPECT_FALSE(store_->health().writable);
    EXPECT_THAT(store_->health().reason, HasSubstr("damaged"));
    EXPECT_FALSE(put(a_vm("web1").build()));
    store_->close();
    EXPECT_EQ(bytes_of(options_.path), damaged);
}

TEST_F(Opening, ARowThatCanNotBeReadIsNamedAndNothingIsWritten) {
    open();
    ASSERT_TRUE(put(a_vm("web1").build()));
    ASSERT_TRUE(put(a_vm("web2").build()));
    tamper("UPDATE vms SET doc = json_set(doc, '$.state', 'dreaming') WHERE id = 'web1'");
    open();
    EXPECT_FALSE(store_->health().writable);
    EXPECT_THAT(store_->health().reason, HasSubstr("vm row 'web1'"));
    EXPECT_THAT(store_->health().reason, HasSubstr("dreaming"));
    EXPECT_NE(now().vms.find(VmId("web2")), nullptr);
    EXPECT_FALSE(put(a_vm("web3").build()));
    EXPECT_TRUE(list({.entity = "vms"}));
}

TEST_F(Opening, AFolderThatCanNotBeMadeIsAClearError) {
    options_.path = folder_.file("no/such/ballast.db");
    const auto opened = try_open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::failed_precondition);
}

class Upgrading : public StoreTest {
  protected:
    void SetUp() override {
        open();
        ASSERT_TRUE(put(a_vm("web1").build()));
        store_->close();
        store_.reset();
    }
    [[nodiscard]] Result<Opened> open_with(std::string_view sql) {
        std::vector<SchemaStep> steps(schema_steps().begin(), schema_steps().end());
        steps.push_back(SchemaStep{steps.back().number + 1, sql});
        return open_database(options_.path, steps, clock_->now(), *ids_);
    }
    /// What this binary makes.
    [[nodiscard]] static int known() { return schema_steps().back().number; }
    [[nodiscard]] std::int64_t version_of(const std::string& path) {
        return Connection(path, Connection::Mode::read_only).integer("PRAGMA user_version");
    }
};

TEST_F(Upgrading, IsDoneOnceAfterABackupCopy) {
    const auto opened = open_with("ALTER TABLE vms ADD COLUMN owner TEXT NOT NULL DEFAULT ''");
    ASSERT_TRUE(opened) << opened.error().chain();
    EXPECT_EQ(opened->connection->integer("PRAGMA user_version"), known() + 1);
    EXPECT_NE(opened->snapshot.vms.find(VmId("web1")), nullptr);
    const std::string copy = backup_path(options_.path, known() + 1);
    EXPECT_EQ(version_of(copy), known());
    EXPECT_EQ(Connection(copy, Connection::Mode::read_only).integer("SELECT count(*) FROM vms"), 1);
    struct stat status{};
    ASSERT_EQ(::stat(copy.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(Upgrading, ThatFailsIsUndoneWhole) {
    const auto opened = open_with("CREATE TABLE half (a); INSERT INTO no_such_table VALUES (1)");
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message(),
                HasSubstr(fmt::format("from schema {} to {} failed and was undone", known(), known() + 1)));
    EXPECT_EQ(version_of(options_.path), known());
    open();
    EXPECT_TRUE(store_->health().writable);
    EXPECT_NE(now().vms.find(VmId("web1")), nullptr);
}

}  // namespace
}  // namespace ballast::store
