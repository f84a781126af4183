#include <gmock/gmock.h>

#include "daemon/store/cursor.h"
#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

using ballast::test::a_host;
using ballast::test::a_vm;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Listing : public StoreTest {
  protected:
    void SetUp() override {
        open();
        for (const std::string name : {"c", "a", "e", "b", "d"}) {
            Vm vm = a_vm(name).build();
            vm.name = name == "e" ? "same" : name == "d" ? "same" : name;
            vm.managed = name != "a";
            vm.spec.memory = mebibytes(name == "a" ? 2048 : 256);
            ASSERT_TRUE(put(vm));
        }
    }
    [[nodiscard]] std::vector<std::string> ids(ListQuery query) {
        auto page = list(std::move(query));
        EXPECT_TRUE(page) << page.error().chain();
        return page ? page->ids : std::vector<std::string>();
    }
    [[nodiscard]] Error refusal(ListQuery query) {
        auto page = list(std::move(query));
        EXPECT_FALSE(page);
        return page ? Error(Code::internal, "not refused") : page.error();
    }
};

TEST_F(Listing, IsInOrderOfTheIdByDefault) {
    EXPECT_THAT(ids({.entity = "vms"}), ElementsAre("a", "b", "c", "d", "e"));
}

TEST_F(Listing, SortsByAColumnAndThenByTheId) {
    EXPECT_THAT(ids({.entity = "vms", .sort = "name"}), ElementsAre("a", "b", "c", "d", "e"));
    EXPECT_THAT(ids({.entity = "vms", .sort = "memory_bytes", .descending = true}),
                ElementsAre("a", "e", "d", "c", "b"));
}

TEST_F(Listing, FiltersByEveryColumnGiven) {
    EXPECT_THAT(ids({.entity = "vms", .filters = {{"managed", "false"}}}), ElementsAre("a"));
    EXPECT_THAT(ids({.entity = "vms", .filters = {{"name", "same"}, {"managed", "true"}}}), ElementsAre("d", "e"));
    EXPECT_THAT(ids({.entity = "vms", .filters = {{"memory_bytes", "2147483648"}}}), ElementsAre("a"));
}

TEST_F(Listing, PagesThroughEverythingOnceWithEqualSortValues) {
    for (const bool descending : {false, true}) {
        std::vector<std::string> all;
        ListQuery query{.entity = "vms", .filters = {}, .sort = "memory_bytes", .descending = descending, .limit = 2};
        do {
            auto page = list(query);
            ASSERT_TRUE(page) << page.error().chain();
            EXPECT_LE(page->ids.size(), 2U);
            all.insert(all.end(), page->ids.begin(), page->ids.end());
            query.after = page->next;
        } while (!query.after.empty());
        EXPECT_THAT(all, ::testing::UnorderedElementsAre("a", "b", "c", "d", "e"));
    }
}

TEST_F(Listing, NamesTheNearestColumn) {
    EXPECT_THAT(refusal({.entity = "vms", .sort = "nmae"}).message(), HasSubstr("did you mean 'name'?"));
    EXPECT_THAT(refusal({.entity = "vms", .filters = {{"hots", "x"}}}).message(), HasSubstr("did you mean 'host'?"));
    EXPECT_THAT(refusal({.entity = "vms", .sort = "id; DROP TABLE vms"}).message(), HasSubstr("known are id, name"));
    EXPECT_EQ(now().vms.size(), 5U);
}

TEST_F(Listing, RefusesAnEntityItDoesNotKnow) {
    EXPECT_THAT(refusal({.entity = "sqlite_master"}).message(), HasSubstr("known are hosts, vms"));
}

TEST_F(Listing, RefusesValuesAndLimitsOutOfRange) {
    EXPECT_EQ(refusal({.entity = "vms", .filters = {{"managed", "yes"}}}).code(), Code::invalid_argument);
    EXPECT_EQ(refusal({.entity = "vms", .filters = {{"vcpus", "1x"}}}).code(), Code::invalid_argument);
    EXPECT_EQ(refusal({.entity = "vms", .limit = 0}).code(), Code::invalid_argument);
    EXPECT_EQ(refusal({.entity = "vms", .limit = 1001}).code(), Code::invalid_argument);
}

TEST_F(Listing, RefusesACursorOfAnotherOrder) {
    const auto page = list({.entity = "vms", .sort = "name", .limit = 1});
    ASSERT_TRUE(page);
    EXPECT_THAT(refusal({.entity = "vms", .after = page->next}).message(), HasSubstr("another order"));
    EXPECT_THAT(refusal({.entity = "vms", .after = "not a cursor"}).message(), HasSubstr("not a cursor"));
}

TEST_F(Listing, TextThatLooksLikeSqlIsOnlyText) {
    EXPECT_THAT(ids({.entity = "vms", .filters = {{"name", "' OR 1=1 --"}}}), ::testing::IsEmpty());
}

TEST(Cursor, CarriesTextAndNumbersBack) {
    const auto text = parse_cursor(make_cursor({std::string("ü x"), "id>1"}, "name", false), "name", false);
    ASSERT_TRUE(text);
    EXPECT_EQ(std::get<std::string>(text->value), "ü x");
    EXPECT_EQ(text->id, "id>1");
    const auto number = parse_cursor(make_cursor({std::int64_t{-5}, "a"}, "created", true), "created", true);
    ASSERT_TRUE(number);
    EXPECT_EQ(std::get<std::int64_t>(number->value), -5);
}

class ReadingEvents : public StoreTest {
  protected:
    void SetUp() override {
        open();
        ASSERT_TRUE(put(a_host("h1").build(), {"host.added", ""}));
        ASSERT_TRUE(put(a_vm("web1").build(), {"vm.created", ""}));
        ASSERT_TRUE(put(a_vm("web2").build(), {"vm.created", ""}));
        Vm started = a_vm("web1").build();
        started.state_reason = "started";
        ASSERT_TRUE(put(started, {"vm.started", ""}));
    }
    [[nodiscard]] std::vector<std::uint64_t> seqs(EventQuery query) {
        std::vector<std::uint64_t> all;
        for (const Event& event : events(std::move(query))) all.push_back(event.seq);
        return all;
    }
};

TEST_F(ReadingEvents, BeginsAfterTheNumberGiven) {
    EXPECT_THAT(seqs({}), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(seqs({.after = 2}), ElementsAre(3, 4));
    EXPECT_THAT(seqs({.after = 1, .limit = 1}), ElementsAre(2));
}

TEST_F(ReadingEvents, FiltersBySubjectAndKind) {
    EXPECT_THAT(seqs({.subject_kind = "vm", .subject_id = "web1"}), ElementsAre(2, 4));
    EXPECT_THAT(seqs({.kind_prefix = "vm.cr"}), ElementsAre(2, 3));
    EXPECT_THAT(seqs({.kind_prefix = "vm_"}), ::testing::IsEmpty());
}

TEST_F(ReadingEvents, RefusesALimitOutOfRange) {
    const auto read = ballast::testing::run(io_, store_->events({.limit = 0}));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), Code::invalid_argument);
}

}  // namespace
}  // namespace ballast::store
