// Uploads: large bodies go to a file, whole or not at all.
#include <fstream>

#include "daemon/api/crypto.h"
#include "daemon/api/upload.h"
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using testing::HasSubstr;

class UploadsTest : public ApiTest {
  public:
    HttpAnswer upload(const std::string& name, const std::string& content) {
        return client().put("/api/v1/uploads/" + name, content, {{"Content-Type", "application/octet-stream"}});
    }
    std::string content(const std::string& name) {
        std::ifstream file(services.upload_folder + "/" + name);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::vector<std::string> files() {
        std::vector<std::string> names;
        std::error_code ignored;
        for (const auto& entry : std::filesystem::directory_iterator(services.upload_folder, ignored))
            names.push_back(entry.path().filename().string());
        return names;
    }
};

TEST_F(UploadsTest, KeepsAFileThatIsLargerThanAnyBodyMayBe) {
    start();
    const std::string content(5 * 1024 * 1024 + 17, 'x');
    const auto answer = upload("disk.qcow2", content);
    ASSERT_EQ(answer.status, 201) << answer.body;
    EXPECT_EQ(parsed(answer)["size_bytes"], content.size());
    EXPECT_EQ(parsed(answer)["sha256"], sha256_hex(content));
    EXPECT_EQ(this->content("disk.qcow2"), content);
    EXPECT_EQ(parsed(client().get("/api/v1/uploads"))["items"][0]["name"], "disk.qcow2");
}

TEST_F(UploadsTest, TakesAChunkedUploadAndOneByPost) {
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw("POST /api/v1/uploads?name=kernel HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin +
                         "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    const auto answer = connection->read_answer();
    ASSERT_EQ(answer.status, 201) << answer.body;
    EXPECT_EQ(parsed(answer)["size_bytes"], 11);
}

TEST_F(UploadsTest, SaysContinueOnlyToAnUploadThatIsLetIn) {
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw("PUT /api/v1/uploads/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin +
                         "\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(connection->read_answer().status, 100);
    connection->send_raw("abc");
    EXPECT_EQ(connection->read_answer().status, 201);
    const auto refused = client.connect();
    refused->send_raw(
        "PUT /api/v1/uploads/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(refused->read_answer().status, 401);
}

TEST_F(UploadsTest, RefusesMoreThanTheLimitAndLeavesNothing) {
    services.limits.upload = Bytes(1000);
    start();
    EXPECT_THAT(upload("big", std::string(2000, 'x')), IsProblem(507, "resource_exhausted"));
    EXPECT_TRUE(files().empty());
}

TEST_F(UploadsTest, RefusesAnUploadThatWouldFillTheDisk) {
    services.limits.upload_disk_reserve = Bytes(std::int64_t{1} << 60);
    start();
    const auto answer = upload("big", "x");
    EXPECT_THAT(answer, IsProblem(507, "resource_exhausted"));
    EXPECT_THAT(answer.body, HasSubstr("kept free"));
}

TEST_F(UploadsTest, RemovesThePartialFileOfAClientThatGoesAway) {
    start();
    {
        const auto connection = client().connect();
        connection->send_raw("PUT /api/v1/uploads/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin +
                             "\r\nContent-Length: 1000000\r\n\r\nhalf");
        eventually([&] { return !files().empty(); }, "the upload has begun");
    }
    eventually([&] { return files().empty(); }, "the partial file is gone");
}

TEST_F(UploadsTest, RefusesANameThatLeavesTheFolder) {
    start();
    EXPECT_THAT(upload("..%2Fetc", "x"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(upload(".hidden", "x"), IsProblem(400, "invalid_argument"));
}

TEST_F(UploadsTest, KeepsAnUploadThatIsBeingImported) {
    start();
    ASSERT_EQ(upload("disk", "x").status, 201);
    EXPECT_THAT(client().post("/api/v1/images", R"({"name":"tiny","disk_file":"nope"})"), IsProblem(404, "not_found"));
    const auto import = client().post("/api/v1/images", R"({"name":"tiny","disk_file":"disk"})");
    ASSERT_EQ(import.status, 202) << import.body;
    EXPECT_THAT(client().del("/api/v1/uploads/disk"), IsProblem(412, "failed_precondition"));
    EXPECT_THAT(upload("disk", "y"), IsProblem(412, "failed_precondition"));
}

TEST_F(UploadsTest, LeavesTheFileAsItIsWhereTheKeyWasUsedForAnother) {
    start();
    const auto put = [&](const std::string& content) {
        return client().put("/api/v1/uploads/disk", content,
                            {{"Content-Type", "application/octet-stream"}, {"Idempotency-Key", "k"}});
    };
    ASSERT_EQ(put("first").status, 201);
    EXPECT_THAT(put("other"), IsProblem(409, "conflict"));
    EXPECT_EQ(content("disk"), "first");
    const auto again = put("first");
    EXPECT_EQ(again.status, 201);
    EXPECT_EQ(again.header("idempotency-replayed"), "true");
    eventually([&] { return files() == std::vector<std::string>{"disk"}; }, "nothing but the file stays");
}

TEST_F(UploadsTest, RemovesWhatACrashLeftBehind) {
    std::filesystem::create_directories(services.upload_folder);
    std::ofstream(services.upload_folder + "/.disk.abc.partial") << "half";
    start();
    EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace ballast::api
