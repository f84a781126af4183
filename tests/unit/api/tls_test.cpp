// The certificate: made, kept, renewed.
#include "daemon/api/tls.h"

#include <filesystem>
#include <fstream>
#include <stdlib.h>
#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::api {
namespace {

using testing::Contains;

class TlsTest : public testing::Test {
  public:
    TlsTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "ballast-tls-XXXXXX").string();
        folder = ::mkdtemp(pattern.data());
        files.certificate = folder / "tls" / "server.crt";
        files.key = folder / "tls" / "server.key";
    }
    ~TlsTest() override { std::filesystem::remove_all(folder); }

    std::filesystem::path folder;
    TlsFiles files;
    Timestamp now = std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
};

TEST_F(TlsTest, IsMadeAtTheFirstStartWithAKeyThatOnlyTheOwnerReads) {
    const auto identity = load_or_make_tls(files, now);
    ASSERT_TRUE(identity) << identity.error().chain();
    EXPECT_THAT(identity->names, Contains("localhost"));
    EXPECT_THAT(identity->names, Contains("127.0.0.1"));
    struct stat status{};
    ASSERT_EQ(::stat(files.key.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(TlsTest, IsKeptUntilItIsDue) {
    const auto first = load_or_make_tls(files, now);
    const auto later = load_or_make_tls(files, now + std::chrono::hours(24 * 300));
    ASSERT_TRUE(first && later);
    EXPECT_EQ(first->certificate_fingerprint, later->certificate_fingerprint);
}

TEST_F(TlsTest, IsRenewedBeforeItEndsWithTheSameKey) {
    const auto first = load_or_make_tls(files, now);
    ASSERT_TRUE(first);
    const auto due = first->not_after - tls_renew_before;
    const auto renewed = load_or_make_tls(files, due);
    ASSERT_TRUE(renewed);
    EXPECT_NE(first->certificate_fingerprint, renewed->certificate_fingerprint);
    EXPECT_EQ(first->key_fingerprint, renewed->key_fingerprint);
    EXPECT_GT(renewed->not_after, first->not_after);
}

TEST_F(TlsTest, IsMadeAgainForANewName) {
    ASSERT_TRUE(load_or_make_tls(files, now));
    files.names = {"ballast.example.org", "10.1.2.3"};
    const auto renamed = load_or_make_tls(files, now);
    ASSERT_TRUE(renamed);
    EXPECT_THAT(renamed->names, Contains("ballast.example.org"));
    EXPECT_THAT(renamed->names, Contains("10.1.2.3"));
}

TEST_F(TlsTest, NeverWritesACertificateThatTheOperatorBrought) {
    const auto own = load_or_make_tls(files, now);
    ASSERT_TRUE(own);
    files.own = false;
    const auto brought = load_or_make_tls(files, own->not_after);
    ASSERT_TRUE(brought);
    EXPECT_EQ(brought->certificate_fingerprint, own->certificate_fingerprint);
}

TEST_F(TlsTest, SaysWhatIsWrongWithAFile) {
    ASSERT_TRUE(load_or_make_tls(files, now));
    std::ofstream(files.key) << "no key";
    const auto broken = load_or_make_tls(files, now);
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().code(), Code::failed_precondition);
    EXPECT_THAT(broken.error().message(), testing::HasSubstr(files.key));
}

}  // namespace
}  // namespace ballast::api
