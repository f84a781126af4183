// Table: a value whose copies never see each other's changes. That it behaves like std::map is in tests/property.
#include "core/table.h"

#include <thread>

#include <gtest/gtest.h>

#include "core/ids.h"

namespace ballast {
namespace {

struct Row {
    VmId id;
    int value = 0;
};

VmId id(int n) {
    return VmId("vm" + std::to_string(n));
}

Table<Row> filled(int rows) {
    Table<Row> table;
    for (int i = 0; i < rows; ++i) table.put(Row{id(i), i});
    return table;
}

TEST(Table, FindsWhatWasPutAndReplacesByItsId) {
    Table<Row> table = filled(1000);
    EXPECT_EQ(table.size(), 1000U);
    EXPECT_EQ(table.find(id(517))->value, 517);
    table.put(Row{id(517), -1});
    EXPECT_EQ(table.size(), 1000U);
    EXPECT_EQ(table.find(id(517))->value, -1);
    EXPECT_EQ(table.find(id(1000)), nullptr);
}

TEST(Table, SaysWhatChangedSinceItWasCopied) {
    Table<Row> table = filled(1000);
    const Table<Row> before = table;
    table.put(Row{id(17), -1});
    table.erase(id(900));
    table.put(Row{id(2000), 7});  // takes the slot of 900
    for (int i = 3000; i < 3100; ++i) table.put(Row{id(i), i});
    int replaced = 0;
    int added = 0;
    int exchanged = 0;
    table.for_each_change(before, [&](const Table<Row>::Ptr& old, const Table<Row>::Ptr& now) {
        ASSERT_NE(now, nullptr);
        if (old == nullptr)
            ++added;
        else
            ++(old->id == now->id ? replaced : exchanged);
    });
    EXPECT_EQ(replaced, 1);
    EXPECT_EQ(exchanged, 1);
    EXPECT_EQ(added, 100);
    int gone = 0;
    before.for_each_change(table, [&](const auto&, const auto& now) { gone += now == nullptr ? 1 : 0; });
    EXPECT_EQ(gone, 100);
}

TEST(Table, SaysThatNothingChangedInACopy) {
    const Table<Row> table = filled(1000);
    const Table<Row> copy = table;
    copy.for_each_change(table, [](const auto&, const auto&) { FAIL() << "nothing was put"; });
}

TEST(Table, ReusesTheSlotsOfErasedRows) {
    Table<Row> table = filled(300);
    for (int i = 0; i < 300; i += 2) EXPECT_TRUE(table.erase(id(i)));
    EXPECT_FALSE(table.erase(id(0)));
    EXPECT_EQ(table.size(), 150U);
    for (int i = 1000; i < 1150; ++i) table.put(Row{id(i), i});
    EXPECT_EQ(table.size(), 300U);
    EXPECT_EQ(table.find(id(1149))->value, 1149);
    EXPECT_EQ(table.find(id(1))->value, 1);
}

TEST(Table, CopiesDoNotSeeEachOthersChanges) {
    Table<Row> table = filled(500);
    const Table<Row> copy = table;
    Table<Row> other = table;
    table.put(Row{id(3), -3});
    table.erase(id(4));
    other.put(Row{id(3), 99});
    EXPECT_EQ(copy.find(id(3))->value, 3);
    EXPECT_EQ(copy.find(id(4))->value, 4);
    EXPECT_EQ(other.find(id(3))->value, 99);
    EXPECT_EQ(other.find(id(4))->value, 4);
    EXPECT_EQ(table.find(id(3))->value, -3);
    EXPECT_EQ(copy.size(), 500U);
}

TEST(Table, ARowOutlivesItsTableInItsPointer) {
    Table<Row>::Ptr kept;
    {
        const Table<Row> table = filled(10);
        kept = table.find_ptr(id(7));
    }
    EXPECT_EQ(kept->value, 7);
}

TEST(Table, ReadersKeepTheirViewWhileTheWriterGoesOn) {
    Table<Row> table = filled(1000);
    for (int round = 0; round < 20; ++round) {
        const Table<Row> view = table;
        std::thread reader([view, round] {
            for (int i = 0; i < 1000; ++i) ASSERT_EQ(view.find(id(i))->value, i + round);
        });
        for (int i = 0; i < 1000; ++i) table.put(Row{id(i), i + round + 1});
        reader.join();
    }
}

TEST(Table, MovesLeaveAnEmptyTableThatCanBeUsed) {
    Table<Row> table = filled(10);
    Table<Row> moved = std::move(table);
    EXPECT_EQ(moved.size(), 10U);
    moved.put(Row{id(3), 33});
    EXPECT_EQ(moved.find(id(3))->value, 33);
}

}  // namespace
}  // namespace ballast
