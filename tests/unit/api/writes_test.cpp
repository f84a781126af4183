// The conventions of writes: bodies, ETags, Idempotency-Key.
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using testing::HasSubstr;

constexpr const char* new_host = R"({"name":"h1","uri":"qemu+tcp://h1/system"})";

class WritesTest : public ApiTest {
  public:
    int hosts() { return static_cast<int>(snapshot()->hosts.size()); }
};

TEST_F(WritesTest, RefusesABodyThatIsTooLargeBeforeItIsSent) {
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw("POST /api/v1/vms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin +
                         "\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n");
    const auto answer = connection->read_answer();
    EXPECT_THAT(answer, IsProblem(413, "invalid_argument"));
    EXPECT_TRUE(connection->closed_by_peer());
}

TEST_F(WritesTest, RefusesAChunkedBodyThatGrowsTooLarge) {
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw("POST /api/v1/vms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin +
                         "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "40000\r\n" + std::string(0x40000, ' ') + "\r\n";
    for (int i = 0; i < 5; ++i) connection->send_raw(chunk);
    EXPECT_THAT(connection->read_answer(), IsProblem(413, "resource_exhausted"));
}

TEST_F(WritesTest, RefusesJsonThatIsTooDeep) {
    start();
    EXPECT_THAT(client().post("/api/v1/vms", std::string(10'000, '[') + std::string(10'000, ']')),
                IsProblem(400, "invalid_argument"));
}

TEST_F(WritesTest, RefusesADeepBodyOnThePoolToo) {
    start();
    const auto answer = client().post("/api/v1/vms", std::string(200'000, '['));
    EXPECT_THAT(answer, IsProblem(400, "invalid_argument"));
    EXPECT_THAT(answer.body, HasSubstr("levels deep"));
}

TEST_F(WritesTest, RefusesMalformedUtf8AndBrokenJson) {
    start();
    EXPECT_THAT(client().post("/api/v1/vms", "{\"name\":\"\xC3\x28\"}"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/vms", "{\"name\":"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().post("/api/v1/vms", "[1,2]"), IsProblem(400, "invalid_argument"));
}

TEST_F(WritesTest, NamesAnUnknownKeyAndTheOneThatWasMeant) {
    start();
    const auto answer = client().post("/api/v1/vms", R"({"name":"web1","spec":{"vcpu":2}})");
    EXPECT_THAT(answer, IsProblem(400, "invalid_argument"));
    EXPECT_THAT(answer.body, HasSubstr("did you mean 'vcpus'?"));
}

TEST_F(WritesTest, RefusesAMistypedQueryParameterInsteadOfIgnoringIt) {
    start();
    const auto answer = client().post("/api/v1/vms?dryrun=true", R"({"name":"web1"})");
    EXPECT_THAT(answer, IsProblem(400, "invalid_argument"));
    EXPECT_THAT(answer.body, HasSubstr("did you mean 'dry_run'?"));
    EXPECT_EQ(snapshot()->vms.size(), 0U);
}

TEST_F(WritesTest, RefusesAnotherMediaType) {
    start();
    EXPECT_THAT(client().post("/api/v1/hosts", new_host, {{"Content-Type", "text/xml"}}),
                IsProblem(415, "invalid_argument"));
    EXPECT_THAT(client().get("/api/v1", {{"Accept", "image/png"}}), IsProblem(406, "invalid_argument"));
}

TEST_F(WritesTest, CutsAClientThatSendsItsBodyTooSlowly) {
    services.limits.body_timeout = Milliseconds(150);
    start();
    const auto client = this->client();
    const auto connection = client.connect();
    connection->send_raw("POST /api/v1/vms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + admin +
                         "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    EXPECT_TRUE(connection->closed_by_peer());
}

TEST_F(WritesTest, GivesAReusedKeyItsFirstAnswerAgain) {
    start();
    const auto first = client().post("/api/v1/hosts", new_host, {{"Idempotency-Key", "abc"}});
    const auto second = client().post("/api/v1/hosts", new_host, {{"Idempotency-Key", "abc"}});
    ASSERT_EQ(first.status, 201) << first.body;
    EXPECT_EQ(second.status, 201);
    EXPECT_EQ(second.body, first.body);
    EXPECT_EQ(second.header("location"), first.header("location"));
    EXPECT_EQ(second.header("idempotency-replayed"), "true");
    EXPECT_EQ(hosts(), 1);
}

TEST_F(WritesTest, RefusesAReusedKeyWithAnotherBody) {
    start();
    ASSERT_EQ(client().post("/api/v1/hosts", new_host, {{"Idempotency-Key", "abc"}}).status, 201);
    const auto answer =
        client().post("/api/v1/hosts", R"({"name":"h2","uri":"qemu+tcp://h2/system"})", {{"Idempotency-Key", "abc"}});
    EXPECT_THAT(answer, IsProblem(409, "conflict"));
    EXPECT_EQ(hosts(), 1);
}

TEST_F(WritesTest, KeepsTheKeysOfTwoTokensApart) {
    const auto other = make_token("other", Right::admin);
    start();
    ASSERT_EQ(client().post("/api/v1/hosts", new_host, {{"Idempotency-Key", "abc"}}).status, 201);
    const auto answer = client_with(other).post("/api/v1/hosts", R"({"name":"h2","uri":"qemu+tcp://h2/system"})",
                                                {{"Idempotency-Key", "abc"}});
    EXPECT_EQ(answer.status, 201) << answer.body;
}

TEST_F(WritesTest, DoesNotRememberARefusal) {
    start();
    ASSERT_EQ(client().post("/api/v1/hosts", R"({"name":"h1","uri":"qemu+tcp://h9/system"})").status, 201);
    EXPECT_THAT(client().post("/api/v1/hosts", new_host, {{"Idempotency-Key", "abc"}}),
                IsProblem(409, "already_exists"));
    ASSERT_EQ(client().del("/api/v1/hosts/h1").status, 204);
    EXPECT_EQ(client().post("/api/v1/hosts", new_host, {{"Idempotency-Key", "abc"}}).status, 201);
}

TEST_F(WritesTest, RefusesAStaleEtagWithTheResourceAsItIs) {
    start();
    const auto made = client().post("/api/v1/hosts", new_host);
    const auto tag = made.header("etag");
    ASSERT_FALSE(tag.empty());
    const auto changed = client().patch("/api/v1/hosts/h1", R"({"settings":{"reserved_cpus":1}})", {{"If-Match", tag}});
    ASSERT_EQ(changed.status, 200) << changed.body;
    EXPECT_NE(changed.header("etag"), tag);
    const auto stale = client().patch("/api/v1/hosts/h1", R"({"settings":{"reserved_cpus":2}})", {{"If-Match", tag}});
    EXPECT_THAT(stale, IsProblem(412, "failed_precondition"));
    EXPECT_EQ(stale.header("etag"), changed.header("etag"));
    EXPECT_EQ(parsed(stale)["current"]["settings"]["reserved_cpus"], 1);
    EXPECT_EQ(client().get("/api/v1/hosts/h1", {{"If-None-Match", changed.header("etag")}}).status, 304);
}

TEST_F(WritesTest, PagesAndSortsAndFiltersLists) {
    start();
    for (const auto* name : {"h3", "h1", "h2"})
        ASSERT_EQ(client()
                      .post("/api/v1/hosts", fmt::format(R"({{"name":"{0}","uri":"qemu+tcp://{0}/system"}})", name))
                      .status,
                  201);
    auto page = parsed(client().get("/api/v1/hosts?sort=name&limit=2"));
    ASSERT_EQ(page["items"].size(), 2U);
    EXPECT_EQ(page["items"][0]["name"], "h1");
    page = parsed(client().get("/api/v1/hosts?sort=name&limit=2&after=" + page["next"].get<std::string>()));
    ASSERT_EQ(page["items"].size(), 1U);
    EXPECT_EQ(page["items"][0]["name"], "h3");
    EXPECT_TRUE(page["next"].is_null());
    EXPECT_EQ(parsed(client().get("/api/v1/hosts?name=h2"))["items"].size(), 1U);
    EXPECT_EQ(parsed(client().get("/api/v1/hosts?managed=true"))["items"].size(), 0U);
    EXPECT_THAT(client().get("/api/v1/hosts?limit=0"), IsProblem(400, "invalid_argument"));
    EXPECT_THAT(client().get("/api/v1/hosts?nam=h2"), IsProblem(400, "invalid_argument"));
}

}  // namespace
}  // namespace ballast::api
