// The event stream: from the log, then live.
#include "tests/unit/api/fixture.h"

namespace ballast::api {
namespace {

using testing::HasSubstr;

Event note(const std::string& kind, const std::string& text) {
    Event event;
    event.kind = kind;
    event.subject_kind = "host";
    event.subject_id = "h1";
    event.message = text;
    return event;
}

class EventsTest : public ApiTest {
  public:
    void emit(const std::string& kind, const std::string& text) {
        write([=](store::Transaction& transaction) -> Result<void> {
            transaction.emit(note(kind, text));
            return {};
        });
    }
};

TEST_F(EventsTest, StreamsWhatHappensFromNowOn) {
    start();
    emit("host.added", "before");
    EventStream stream(client(), "/api/v1/events");
    static_cast<void>(stream.next_block());
    emit("host.up", "after");
    const auto event = stream.next();
    EXPECT_THAT(event.data, HasSubstr("after"));
    EXPECT_EQ(event.id, std::to_string(snapshot()->seq));
}

TEST_F(EventsTest, ResumesFromTheLogAndGoesOnLiveWithoutAGapOrADouble) {
    start();
    for (int i = 0; i < 1200; ++i) emit("host.up", fmt::format("number {}.", i));
    const auto from = snapshot()->seq - 1200;
    EventStream stream(client(), "/api/v1/events", {{"Last-Event-ID", std::to_string(from)}});
    for (int i = 1200; i < 1210; ++i) emit("host.up", fmt::format("number {}.", i));
    for (int i = 0; i < 1210; ++i) {
        const auto event = stream.next();
        ASSERT_EQ(event.id, std::to_string(from + 1 + static_cast<std::uint64_t>(i)));
        ASSERT_THAT(event.data, HasSubstr(fmt::format("number {}.", i)));
    }
}

TEST_F(EventsTest, FiltersByKind) {
    start();
    EventStream stream(client(), "/api/v1/events?kind=vm.");
    static_cast<void>(stream.next_block());
    emit("host.up", "not this");
    emit("vm.started", "this");
    EXPECT_THAT(stream.next().data, HasSubstr("\"message\":\"this\""));
}

TEST_F(EventsTest, SendsProgressWithoutAnId) {
    start();
    EventStream stream(client(), "/api/v1/events");
    static_cast<void>(stream.next_block());
    boost::asio::post(loop, [this] {
        services.progress->publish(
            {.job = JobId("j1"), .vm = VmId("v1"), .percent = 40, .text = "round 3", .data = {}, .time = {}});
    });
    const auto event = stream.next();
    EXPECT_EQ(event.event, "progress");
    EXPECT_EQ(event.id, "");
    EXPECT_EQ(Json::parse(event.data)["percent"], 40);
}

TEST_F(EventsTest, SendsAHeartbeatWhenNothingHappens) {
    services.limits.heartbeat = Milliseconds(50);
    start();
    EventStream stream(client(), "/api/v1/events");
    static_cast<void>(stream.next_block());
    EXPECT_EQ(stream.next_block(), ": heartbeat\n\n");
}

TEST_F(EventsTest, TellsAClientWhoseLastEventThisLogNeverHad) {
    start();
    EventStream stream(client(), "/api/v1/events", {{"Last-Event-ID", "999999"}});
    EXPECT_EQ(stream.next().event, "gap");
}

TEST_F(EventsTest, CutsAConsumerThatIsTooFarBehindAndSaysSo) {
    services.limits.stream_backlog = 10;
    start();
    EventStream stream(client(), "/api/v1/events");
    static_cast<void>(stream.next_block());
    emit("host.up", "seen");
    const auto seen = stream.next().id;
    write([](store::Transaction& transaction) -> Result<void> {
        for (int i = 0; i < 50; ++i) transaction.emit(note("host.up", "burst"));
        return {};
    });
    const auto last = stream.next();
    EXPECT_EQ(last.event, "cut");
    EXPECT_EQ(std::to_string(Json::parse(last.data)["last_event_id"].get<std::uint64_t>()), seen);
    EXPECT_TRUE(stream.connection().closed_by_peer());
}

TEST_F(EventsTest, ListsEventsAsJsonPages) {
    start();
    emit("host.up", "one");
    emit("host.up", "two");
    const auto answer = client().get("/api/v1/events?kind=host.&limit=1");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parsed(answer)["items"][0]["message"], "one");
    const auto next = parsed(answer)["next"].get<std::string>();
    EXPECT_EQ(parsed(client().get("/api/v1/events?kind=host.&limit=1&after=" + next))["items"][0]["message"], "two");
}

TEST_F(EventsTest, NeverShowsTheHashOfASecret) {
    start();
    const auto answer = client().get("/api/v1/events?kind=token.");
    EXPECT_THAT(answer.body, HasSubstr("token.created"));
    EXPECT_THAT(answer.body, testing::Not(HasSubstr("sha256")));
}

}  // namespace
}  // namespace ballast::api
