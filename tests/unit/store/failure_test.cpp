// What happens when SQLite or the disk says no.
#include <fstream>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <gmock/gmock.h>

#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

using ballast::test::a_vm;
using ::testing::HasSubstr;

class Failing : public StoreTest {
  protected:
    void SetUp() override {
        options_.probe_every = std::chrono::milliseconds(5);
        open();
        ASSERT_TRUE(put(a_vm("web1").build()));
    }
    [[nodiscard]] Vm big_vm(std::string name) {
        Vm vm = a_vm(std::move(name)).build();
        vm.spec.labels["filler"] = std::string(100'000, 'x');
        return vm;
    }
    /// Writes until the disk has no room; the number of VMs acknowledged.
    [[nodiscard]] int fill() {
        for (int i = 0; i < 5000; ++i)
            if (const auto written = put(big_vm(fmt::format("big{}", i))); !written) {
                EXPECT_EQ(written.error().code(), Code::unavailable);
                return i;
            }
        ADD_FAILURE() << "the disk was never full";
        return 0;
    }
    [[nodiscard]] bool writes_again() {
        return ballast::testing::run_until(io_, [&] { return store_->health().writable; });
    }
};

TEST_F(Failing, CommitFailsItsBatchAndEndsWritingButNotWatching) {
    ASSERT_FALSE(raw([](Connection& connection) {
        sqlite3_commit_hook(connection.database().getHandle(), [](void*) { return 1; }, nullptr);
    }));
    EXPECT_FALSE(store_->health().writable);
    EXPECT_THAT(store_->health().reason, HasSubstr("writing failed"));
    const auto refused = put(a_vm("web2").build());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::unavailable);
    EXPECT_THAT(refused.error().message(), HasSubstr("writing failed"));
    EXPECT_NE(now().vms.find(VmId("web1")), nullptr);
    EXPECT_EQ(list({.entity = "vms"})->ids.size(), 1U);
    EXPECT_EQ(events().size(), 1U);
}

TEST_F(Failing, CommitTakesTheWholeBatchWithItAndReopeningHasWhatWasAcknowledged) {
    int failed = 0;
    const auto done = [&failed](std::exception_ptr, Result<Committed> result) { failed += result ? 0 : 1; };
    boost::asio::co_spawn(io_,
                          sqlite().run({},
                                       [](StoreTransaction& transaction) -> Result<void> {
                                           sqlite3_commit_hook(
                                               transaction.connection().database().getHandle(), [](void*) { return 1; },
                                               nullptr);
                                           transaction.put(a_vm("web2").build(), {"vm.created", ""});
                                           return {};
                                       }),
                          done);
    for (int i = 0; i < 10; ++i)
        boost::asio::co_spawn(io_,
                              store_->write({},
                                            [i](Transaction& transaction) -> Result<void> {
                                                transaction.put(a_vm(fmt::format("late{}", i)).build(),
                                                                {"vm.created", ""});
                                                return {};
                                            }),
                              done);
    ASSERT_TRUE(ballast::testing::run_until(io_, [&] { return failed == 11; }));
    EXPECT_EQ(now().vms.size(), 1U);
    reopen();
    EXPECT_TRUE(store_->health().writable);
    EXPECT_EQ(now().vms.size(), 1U);
    EXPECT_TRUE(put(a_vm("web3").build()));
    EXPECT_EQ(events().back().seq, 2U);
}

TEST_F(Failing, AFullDatabaseTurnsWritesOffAndStaysReadable) {
    ASSERT_TRUE(raw([](Connection& connection) { connection.exec("PRAGMA max_page_count = 400"); }));
    const int written = fill();
    EXPECT_THAT(store_->health().reason, HasSubstr("full"));
    EXPECT_EQ(now().vms.size(), static_cast<std::size_t>(written) + 1);
    EXPECT_EQ(list({.entity = "vms", .limit = 1000})->ids.size(), static_cast<std::size_t>(written) + 1);
    EXPECT_FALSE(put(big_vm("more")));
    EXPECT_FALSE(store_->health().writable);
}

/// A disk of 8 MiB that is really full, in a mount namespace of this process.
class OnATinyDisk : public Failing {
  protected:
    void SetUp() override {
        if (::unshare(CLONE_NEWNS) != 0) GTEST_SKIP() << "needs root for a mount of its own";
        ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        disk_ = folder_.file("disk");
        std::filesystem::create_directory(disk_);
        ASSERT_EQ(::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=8m"), 0);
        options_.path = disk_ + "/ballast.db";
        Failing::SetUp();
    }
    void TearDown() override {
        store_.reset();
        if (!disk_.empty()) ::umount2(disk_.c_str(), MNT_DETACH);
    }
    void take_all_room() {
        std::ofstream filler(disk_ + "/filler", std::ios::binary | std::ios::app);
        const std::string block(4096, 'f');
        while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) continue;
    }
    void make_room() { std::filesystem::remove(disk_ + "/filler"); }

    std::string disk_;
};

TEST_F(OnATinyDisk, WritingStopsWithAReasonAndGoesOnWhenThereIsRoom) {
    take_all_room();
    const int written = fill();
    EXPECT_THAT(store_->health().reason, HasSubstr("full"));
    EXPECT_EQ(now().vms.size(), static_cast<std::size_t>(written) + 1);
    EXPECT_TRUE(list({.entity = "vms"}));
    make_room();
    ASSERT_TRUE(writes_again());
    EXPECT_TRUE(put(a_vm("web2").build()));
    const std::uint64_t seq = now().seq;
    EXPECT_EQ(events().size(), seq);
    reopen();
    EXPECT_EQ(now().seq, seq);
    EXPECT_EQ(now().vms.size(), static_cast<std::size_t>(written) + 2);
}

TEST_F(OnATinyDisk, AStoreOpenedWithoutRoomStillShowsEverything) {
    store_->close();
    store_.reset();
    take_all_room();
    open();
    EXPECT_NE(now().vms.find(VmId("web1")), nullptr);
    const auto refused = put(big_vm("web2"));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("full"));
    make_room();
    reopen();
    EXPECT_TRUE(put(a_vm("web2").build()));
}

}  // namespace
}  // namespace ballast::store
