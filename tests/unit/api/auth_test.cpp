// Who may ask: tokens, rights, throttling, lock-out, the audit log.
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class AuthTest : public ApiTest {
  public:
    /// The audit events so far, oldest first.
    Json audit() { return parsed(client().get("/api/v1/audit?limit=1000"))["items"]; }
};

TEST_F(AuthTest, NeedsAToken) {
    start();
    auto nobody = client_with("");
    const auto answer = nobody.get("/api/v1/vms");
    EXPECT_THAT(answer, IsProblem(401, "unauthenticated"));
    EXPECT_THAT(answer.header("www-authenticate"), HasSubstr("Bearer"));
}

TEST_F(AuthTest, RefusesAWrongToken) {
    start();
    auto wrong = client_with("blt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    EXPECT_THAT(wrong.get("/api/v1/vms"), IsProblem(401, "unauthenticated"));
}

TEST_F(AuthTest, RefusesAnExpiredAndARevokedToken) {
    const auto brief = make_token("brief", Right::viewer, clock->now() + std::chrono::hours(1));
    const auto gone = make_token("gone", Right::viewer);
    start();
    EXPECT_EQ(client_with(brief).get("/api/v1").status, 200);
    clock->advance(std::chrono::hours(2));
    EXPECT_THAT(client_with(brief).get("/api/v1").body, HasSubstr("has expired"));
    EXPECT_EQ(client().del("/api/v1/tokens/gone").status, 200);
    EXPECT_THAT(client_with(gone).get("/api/v1"), IsProblem(401, "unauthenticated"));
}

TEST_F(AuthTest, RefusesAViewerThatWritesAndAuditsIt) {
    const auto viewer = make_token("watcher", Right::viewer);
    start();
    const auto answer = client_with(viewer).post("/api/v1/vms", R"({"name":"web1"})");
    EXPECT_THAT(answer, IsProblem(403, "permission_denied"));
    EXPECT_THAT(answer.body, HasSubstr("needs the right 'operator'"));
    eventually([&] { return audit().dump().find("watcher") != std::string::npos; }, "the refusal is in the audit log");
    const auto last = audit().back();
    EXPECT_EQ(last["kind"], "audit.post");
    EXPECT_EQ(last["after"]["code"], "permission_denied");
    EXPECT_EQ(last["after"]["path"], "/api/v1/vms");
}

TEST_F(AuthTest, RefusesAnOperatorWhatNeedsAnAdmin) {
    const auto worker = make_token("worker", Right::operator_);
    start();
    EXPECT_THAT(client_with(worker).get("/api/v1/tokens"), IsProblem(403, "permission_denied"));
    EXPECT_EQ(client_with(worker).get("/api/v1/uploads").status, 200);
}

TEST_F(AuthTest, AnswersTooManyWrongTokensWith429AndStillLetsAValidOneIn) {
    services.limits.auth_failures_per_minute = 3;
    start();
    auto wrong = client_with("blt_wrong");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(wrong.get("/api/v1").status, 401);
    const auto answer = wrong.get("/api/v1");
    EXPECT_THAT(answer, IsProblem(429, "resource_exhausted"));
    EXPECT_EQ(answer.header("retry-after"), "60");
    EXPECT_EQ(client().get("/api/v1").status, 200);
    clock->advance(std::chrono::minutes(2));
    EXPECT_EQ(wrong.get("/api/v1").status, 401);
}

TEST_F(AuthTest, ShowsANewTokensSecretOnceAndLetsItIn) {
    start();
    const auto answer =
        client().post("/api/v1/tokens", R"({"name":"portal","right":"operator"})", {{"Idempotency-Key", "k1"}});
    ASSERT_EQ(answer.status, 201) << answer.body;
    const auto secret = parsed(answer)["secret"].get<std::string>();
    EXPECT_TRUE(secret.starts_with("blt_"));
    EXPECT_EQ(secret.size(), 4U + 43U);
    EXPECT_EQ(client_with(secret).get("/api/v1/uploads").status, 200);
    const auto again =
        client().post("/api/v1/tokens", R"({"name":"portal","right":"operator"})", {{"Idempotency-Key", "k1"}});
    EXPECT_EQ(again.status, 201);
    EXPECT_TRUE(parsed(again)["secret"].is_null());
    for (const auto* path : {"/api/v1/tokens", "/api/v1/events", "/api/v1/audit"}) {
        EXPECT_THAT(client().get(path).body, Not(HasSubstr(secret)));
        EXPECT_THAT(client().get(path).body, Not(HasSubstr("sha256")));
    }
}

TEST_F(AuthTest, NeverRevokesTheLastAdminToken) {
    start();
    const auto answer = client().del("/api/v1/tokens/root");
    EXPECT_THAT(answer, IsProblem(412, "failed_precondition"));
    EXPECT_THAT(answer.body, HasSubstr("last admin token"));
    ASSERT_EQ(client().post("/api/v1/tokens", R"({"name":"second","right":"admin"})").status, 201);
    EXPECT_EQ(client().del("/api/v1/tokens/root").status, 200);
}

TEST_F(AuthTest, DoesNotCountAnExpiredAdminTokenAsAWayIn) {
    const auto soon = make_token("soon", Right::admin, clock->now() + std::chrono::hours(1));
    start();
    clock->advance(std::chrono::hours(2));
    EXPECT_THAT(client().del("/api/v1/tokens/root"), IsProblem(412, "failed_precondition"));
}

TEST_F(AuthTest, RefusesASecondActiveTokenOfOneName) {
    start();
    EXPECT_THAT(client().post("/api/v1/tokens", R"({"name":"root"})"), IsProblem(409, "already_exists"));
}

TEST_F(AuthTest, AuditsAnAcceptedWriteInItsOwnTransaction) {
    start();
    ASSERT_EQ(client().post("/api/v1/hosts", R"({"name":"h1","uri":"qemu+tcp://h1/system"})").status, 201);
    const auto last = audit().back();
    EXPECT_EQ(last["actor"], "root");
    EXPECT_EQ(last["after"]["operation"], "host_add");
    EXPECT_EQ(last["after"]["allowed"], true);
}

TEST_F(AuthTest, EndsAStreamWhoseTokenWasRevoked) {
    const auto viewer = make_token("watcher", Right::viewer);
    start();
    EventStream stream(client_with(viewer), "/api/v1/events");
    static_cast<void>(stream.next_block());
    ASSERT_EQ(client().del("/api/v1/tokens/watcher").status, 200);
    EXPECT_TRUE(stream.connection().closed_by_peer());
}

}  // namespace
}  // namespace ballast::api
