#include "cli/profile.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/fake_server.h"

namespace ballast::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ProfileTest : public ::testing::Test {
  protected:
    ProfileTest() {
        fs::create_directories(folder_);
        world_.environment["BALLAST_CONFIG"] = path_;
    }
    ~ProfileTest() override { fs::remove_all(folder_); }

    void write(const std::string& text) { std::ofstream(path_) << text; }

    std::string folder_ = ::testing::TempDir() + "/ballast-profile-" + std::to_string(::getpid());
    std::string path_ = folder_ + "/config.toml";
    World world_;
};

TEST_F(ProfileTest, FlagsOverEnvironmentOverFileOverDefault) {
    EXPECT_EQ(resolve_access(world_, {})->endpoint.url, "https://127.0.0.1:8470");
    write("url = \"https://file\"\ntoken = \"t-file\"\n");
    EXPECT_EQ(resolve_access(world_, {})->endpoint.url, "https://file");
    EXPECT_EQ(resolve_access(world_, {})->token, "t-file");
    world_.environment["BALLAST_TOKEN"] = "t-env";
    EXPECT_EQ(resolve_access(world_, {})->token, "t-env");
    Globals flags;
    flags.token = "t-flag";
    EXPECT_EQ(resolve_access(world_, flags)->token, "t-flag");
}

TEST_F(ProfileTest, ATokenAndAPinGoOnlyToTheServerTheyAreFor) {
    write("url = \"https://file\"\ntoken = \"t-file\"\nfingerprint = \"sha256:aa\"\n");
    std::ofstream(folder_ + "/token") << "t-token-file\n";
    Globals flags;
    flags.url = "https://elsewhere";
    EXPECT_EQ(resolve_access(world_, flags)->token, "");
    EXPECT_EQ(resolve_access(world_, flags)->trust.fingerprint, "");
}

TEST_F(ProfileTest, ATokenFileIsTheLastResort) {
    std::ofstream(folder_ + "/token") << "t-token-file\n";
    EXPECT_EQ(resolve_access(world_, {})->token, "t-token-file");
}

TEST_F(ProfileTest, AFileThatIsWrongNamesTheLine) {
    write("url = \"https://a\"\ntokne = \"x\"\n");
    EXPECT_THAT(resolve_access(world_, {}).error().message(),
                HasSubstr(":2: unknown key 'tokne'; did you mean 'token'?"));
    write("url = 1\n");
    EXPECT_THAT(resolve_access(world_, {}).error().message(), HasSubstr(":1: url: expected a text"));
    write("url = \n");
    EXPECT_THAT(resolve_access(world_, {}).error().message(), HasSubstr("this is not TOML"));
}

TEST_F(ProfileTest, LoginKeepsWhatItCheckedForItsOwnerOnly) {
    testing::Script script;
    script.on("GET /api/v1", R"({"name":"lab","version":"0.1.0"})");
    testing::Terminal terminal;
    terminal.environment = world_.environment;
    const auto ran = testing::ballast(
        script, {"login", "https://node1:8470", "--token", "blt_\"x", "--fingerprint", "sha256:ab"}, terminal);
    ASSERT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("logged in to lab"));
    const auto kept = read_profile(world_);
    ASSERT_TRUE(kept) << kept.error().message();
    EXPECT_EQ(kept->url, "https://node1:8470");
    EXPECT_EQ(kept->token, "blt_\"x");
    EXPECT_EQ(kept->fingerprint, "sha256:ab");
    struct stat status{};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(ProfileTest, ALoginThatDoesNotWorkIsNotKept) {
    testing::Script script;
    script.refuses("GET /api/v1", 401, "unauthenticated", "unknown token");
    testing::Terminal terminal;
    terminal.environment = world_.environment;
    EXPECT_EQ(testing::ballast(script, {"login", "https://node1", "--token", "x"}, terminal).exit, 5);
    EXPECT_FALSE(fs::exists(path_));
}

}  // namespace
}  // namespace ballast::cli
