// Storage: what every driver promises of a host's pools and volumes.
#include "tests/contract/suite.h"

namespace ballast::testing {
namespace {

using ::testing::Contains;
using ::testing::Field;

drivers::ByteSource bytes_of(std::string content) {
    return [content = std::move(content), at = std::size_t{0}](std::span<char> into) mutable -> Result<std::size_t> {
        const std::size_t count = std::min(into.size(), content.size() - at);
        std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(at), count, into.begin());
        at += count;
        return count;
    };
}

std::string some_content(std::size_t size) {
    std::string content(size, '\0');
    for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>('a' + i * i % 23);
    return content;
}

}  // namespace

TEST_P(StorageContract, ListsItsPools) {
    const auto pools = call(host().storage().list_pools());
    ASSERT_THAT(pools, Succeeds());
    const auto found = std::ranges::find(*pools, harness().pool(), &drivers::PoolView::name);
    ASSERT_NE(found, pools->end());
    EXPECT_TRUE(found->active);
    EXPECT_EQ(found->type, "dir");
    EXPECT_FALSE(found->path.empty());
    EXPECT_GT(found->capacity, Bytes(0));
    EXPECT_GT(found->available, Bytes(0));
}

TEST_P(StorageContract, AnswersNotFoundForAPoolThatDoesNotExist) {
    auto volume = a_volume("a", mebibytes(1));
    volume.pool = "no-such-pool";
    EXPECT_THAT(call(host().storage().list_volumes(volume.pool)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().read_volume(volume.pool, "a")), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().create_volume(volume)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().read_head(volume.pool, "a", Bytes(1))), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().refresh(volume.pool)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().upload(volume.pool, "a", Bytes(1), bytes_of("x"))), FailsWith(Code::not_found));
}

TEST_P(StorageContract, AnswersNotFoundForAVolumeThatDoesNotExist) {
    EXPECT_THAT(call(host().storage().read_volume(harness().pool(), "no-such-volume")), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().read_head(harness().pool(), "no-such-volume", Bytes(1))),
                FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().upload(harness().pool(), "no-such-volume", Bytes(1), bytes_of("x"))),
                FailsWith(Code::not_found));
}

TEST_P(StorageContract, MakesListsAndReadsAVolume) {
    const auto name = a_volume_name();
    const auto made = call(host().storage().create_volume(a_volume(name, mebibytes(1))));
    ASSERT_THAT(made, Succeeds());
    EXPECT_EQ(made->name, name);
    EXPECT_EQ(made->capacity, mebibytes(1));
    EXPECT_THAT(made->path, ::testing::EndsWith("/" + name));
    const auto read = call(host().storage().read_volume(harness().pool(), name));
    ASSERT_THAT(read, Succeeds());
    EXPECT_EQ(read->path, made->path);
    EXPECT_EQ(read->capacity, made->capacity);
    EXPECT_EQ(read->format, made->format);
    const auto listed = call(host().storage().list_volumes(harness().pool()));
    ASSERT_THAT(listed, Succeeds());
    EXPECT_THAT(*listed, Contains(Field(&drivers::VolumeView::name, name)));
}

TEST_P(StorageContract, MakesAVolumeOfOneNameOnce) {
    const auto name = a_volume_name();
    ASSERT_THAT(call(host().storage().create_volume(a_volume(name, mebibytes(1)))), Succeeds());
    EXPECT_THAT(call(host().storage().create_volume(a_volume(name, mebibytes(1)))), FailsWith(Code::already_exists));
}

TEST_P(StorageContract, DeletesAVolumeAsOftenAsAsked) {
    const auto name = a_volume_name();
    ASSERT_THAT(call(host().storage().create_volume(a_volume(name, mebibytes(1)))), Succeeds());
    EXPECT_THAT(call(host().storage().delete_volume(harness().pool(), name)), Succeeds());
    EXPECT_THAT(call(host().storage().read_volume(harness().pool(), name)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().delete_volume(harness().pool(), name)), Succeeds());
}

TEST_P(StorageContract, MakesACopyOnWriteChild) {
    if (!harness().abilities().has_backing) GTEST_SKIP() << "no backing files behind this host";
    auto parent = a_volume(a_volume_name(), mebibytes(8));
    parent.format = "qcow2";
    const auto base = call(host().storage().create_volume(parent));
    ASSERT_THAT(base, Succeeds());
    auto child = a_volume(a_volume_name(), mebibytes(16));
    child.format = "qcow2";
    child.backing_path = base->path;
    child.backing_format = "qcow2";
    ASSERT_THAT(call(host().storage().create_volume(child)), Succeeds());
    const auto read = call(host().storage().read_volume(harness().pool(), child.name));
    ASSERT_THAT(read, Succeeds());
    EXPECT_EQ(read->backing_path, base->path);
    EXPECT_EQ(read->format, "qcow2");
    EXPECT_EQ(read->capacity, mebibytes(16));
}

TEST_P(StorageContract, RefusesAChildOfWhatIsNotThere) {
    if (!harness().abilities().has_backing) GTEST_SKIP() << "no backing files behind this host";
    auto child = a_volume(a_volume_name(), mebibytes(16));
    child.format = "qcow2";
    child.backing_path = "/var/lib/nowhere/base.qcow2";
    child.backing_format = "qcow2";
    EXPECT_THAT(call(host().storage().create_volume(child)), FailsWith(Code::not_found));
    EXPECT_THAT(call(host().storage().read_volume(harness().pool(), child.name)), FailsWith(Code::not_found));
}

TEST_P(StorageContract, UploadsBytesAndReadsTheirHead) {
    if (!harness().abilities().has_content) GTEST_SKIP() << "volumes hold no bytes on this host";
    const auto name = a_volume_name();
    const std::string content = some_content(300'000);
    const Bytes size(static_cast<std::int64_t>(content.size()));
    ASSERT_THAT(call(host().storage().create_volume(a_volume(name, size))), Succeeds());
    ASSERT_THAT(call(host().storage().upload(harness().pool(), name, size, bytes_of(content))), Succeeds());
    const auto head = call(host().storage().read_head(harness().pool(), name, Bytes(4096)));
    ASSERT_THAT(head, Succeeds());
    EXPECT_EQ(*head, content.substr(0, 4096));
    const auto all = call(host().storage().read_head(harness().pool(), name, mebibytes(1)));
    ASSERT_THAT(all, Succeeds());
    EXPECT_EQ(all->substr(0, content.size()), content);
}

TEST_P(StorageContract, LeavesAFailedUploadToItsCaller) {
    if (!harness().abilities().has_content) GTEST_SKIP() << "volumes hold no bytes on this host";
    const auto name = a_volume_name();
    ASSERT_THAT(call(host().storage().create_volume(a_volume(name, mebibytes(1)))), Succeeds());
    const auto broken = [](std::span<char>) -> Result<std::size_t> { return fail(Code::internal, "the file is gone"); };
    EXPECT_THAT(call(host().storage().upload(harness().pool(), name, mebibytes(1), broken)), FailsWith(Code::internal));
    EXPECT_THAT(call(host().storage().read_volume(harness().pool(), name)), Succeeds());
}

TEST_P(StorageContract, RefusesASourceThatEndsEarly) {
    if (!harness().abilities().has_content) GTEST_SKIP() << "volumes hold no bytes on this host";
    const auto name = a_volume_name();
    ASSERT_THAT(call(host().storage().create_volume(a_volume(name, mebibytes(1)))), Succeeds());
    EXPECT_FALSE(call(host().storage().upload(harness().pool(), name, mebibytes(1), bytes_of("short"))));
}

TEST_P(StorageContract, ReadsAHeadOfAMebibyteAtMost) {
    if (!harness().abilities().has_content) GTEST_SKIP() << "volumes hold no bytes on this host";
    const auto name = a_volume_name();
    ASSERT_THAT(call(host().storage().create_volume(a_volume(name, mebibytes(2)))), Succeeds());
    EXPECT_THAT(call(host().storage().read_head(harness().pool(), name, mebibytes(2))),
                FailsWith(Code::invalid_argument));
}

TEST_P(StorageContract, ReadsNoMoreThanThereIs) {
    if (!harness().abilities().has_content) GTEST_SKIP() << "volumes hold no bytes on this host";
    const auto name = a_volume_name();
    ASSERT_THAT(call(host().storage().create_volume(a_volume(name, Bytes(512)))), Succeeds());
    const auto head = call(host().storage().read_head(harness().pool(), name, Bytes(4096)));
    ASSERT_THAT(head, Succeeds());
    EXPECT_EQ(*head, std::string(512, '\0'));
}

TEST_P(StorageContract, ReadsTheContainerOfAFormatNotTheDiskInIt) {
    if (!harness().abilities().has_content) GTEST_SKIP() << "volumes hold no bytes on this host";
    auto volume = a_volume(a_volume_name(), mebibytes(8));
    volume.format = "qcow2";
    ASSERT_THAT(call(host().storage().create_volume(volume)), Succeeds());
    const auto head = call(host().storage().read_head(harness().pool(), volume.name, Bytes(4)));
    ASSERT_THAT(head, Succeeds());
    EXPECT_EQ(*head, "QFI\xfb");
}

TEST_P(StorageContract, SeesAnotherHostsVolumeAfterARefresh) {
    if (host_count() < 2) GTEST_SKIP() << "one host only";
    const auto name = a_volume_name();
    const std::string nonce = some_content(64);
    ASSERT_THAT(call(host(0).storage().create_volume(a_volume(name, Bytes(64)))), Succeeds());
    ASSERT_THAT(call(host(0).storage().upload(harness().pool(), name, Bytes(64), bytes_of(nonce))), Succeeds());
    ASSERT_THAT(call(host(1).storage().refresh(harness().pool())), Succeeds());
    const auto head = call(host(1).storage().read_head(harness().pool(), name, Bytes(64)));
    ASSERT_THAT(head, Succeeds());
    EXPECT_EQ(*head, nonce);
}

}  // namespace ballast::testing
