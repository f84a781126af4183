#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/transport.h"

namespace ballast::cli {
namespace {

std::vector<ServerEvent> fed(const std::vector<std::string>& pieces) {
    EventParser parser;
    std::vector<ServerEvent> events;
    for (const auto& piece : pieces)
        parser.feed(piece, [&](const ServerEvent& event) {
            events.push_back(event);
            return true;
        });
    return events;
}

TEST(EventParser, TakesEventsFromPiecesCutAnywhere) {
    const std::string stream = ": hello\n\nid: 7\nevent: progress\ndata: {\"a\":1}\n\nid: 8\ndata: x\ndata: y\n\n";
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        const auto events = fed({stream.substr(0, cut), stream.substr(cut)});
        ASSERT_EQ(events.size(), 2U) << cut;
        EXPECT_EQ(events[0].id, "7");
        EXPECT_EQ(events[0].kind, "progress");
        EXPECT_EQ(events[0].data, "{\"a\":1}");
        EXPECT_EQ(events[1].id, "8");
        EXPECT_EQ(events[1].kind, "");
        EXPECT_EQ(events[1].data, "x\ny");
    }
}

TEST(EventParser, AnUnfinishedEventIsNotAnEvent) {
    EXPECT_TRUE(fed({"data: x\n"}).empty());
    EXPECT_TRUE(fed({"event: x\n\n"}).empty());
}

TEST(EventParser, LinesMayEndWithCarriageReturns) {
    const auto events = fed({"id:9\r\ndata:x\r\n\r\n"});
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].id, "9");
    EXPECT_EQ(events[0].data, "x");
}

TEST(EventParser, StopsWhenTheListenerHasEnough) {
    EventParser parser;
    int seen = 0;
    EXPECT_FALSE(parser.feed("data: 1\n\ndata: 2\n\n", [&](const ServerEvent&) { return ++seen < 1; }));
    EXPECT_EQ(seen, 1);
}

TEST(Url, IsReadOrRefused) {
    EXPECT_EQ(parse_url("https://node1")->port, "8470");
    EXPECT_EQ(parse_url("https://node1:99/")->port, "99");
    EXPECT_EQ(parse_url("https://[::1]:8471")->host, "::1");
    EXPECT_EQ(parse_url("https://[::1]:8471")->port, "8471");
    for (const char* url :
         {"", "node1", "http://node1", "https://", "https://a:b", "https://a:123456", "https://a/b", "https://:8470"})
        EXPECT_FALSE(parse_url(url)) << url;
}

}  // namespace
}  // namespace ballast::cli
