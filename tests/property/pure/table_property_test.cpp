// Table behaves like std::map, and a copy like a copy of a map, whatever is done to either.
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "core/ids.h"
#include "core/table.h"

namespace ballast {
namespace {

struct Row {
    VmId id;
    int value = 0;
};
using Map = std::map<VmId, int>;

/// One operation on the n-th of several versions: 0 put, 1 erase, 2 copy.
struct Operation {
    int what;
    int key;
    int value;
    int version;
};

Map contents(const Table<Row>& table) {
    Map rows;
    table.for_each([&](const Row& row) { rows[row.id] = row.value; });
    return rows;
}

rc::Gen<Operation> an_operation() {
    return rc::gen::apply(
        [](int what, int key, int value, int version) { return Operation{what, key, value, version}; },
        rc::gen::weightedElement<int>({{6, 0}, {3, 1}, {1, 2}}), rc::gen::inRange(0, 400), rc::gen::arbitrary<int>(),
        rc::gen::inRange(0, 1000));
}

RC_GTEST_PROP(TableProperty, BehavesLikeAMapInEveryCopy, ()) {
    const auto operations = *rc::gen::container<std::vector<Operation>>(an_operation());
    std::vector<Table<Row>> tables(1);
    std::vector<Map> maps(1);
    for (const Operation& operation : operations) {
        const auto at = static_cast<std::size_t>(operation.version) % tables.size();
        const VmId id("vm" + std::to_string(operation.key));
        if (operation.what == 0) {
            tables[at].put(Row{id, operation.value});
            maps[at][id] = operation.value;
        } else if (operation.what == 1) {
            RC_ASSERT(tables[at].erase(id) == (maps[at].erase(id) == 1));
        } else if (tables.size() < 6) {
            tables.push_back(tables[at]);
            maps.push_back(maps[at]);
        } else {
            tables[at] = tables[(at + 1) % tables.size()];
            maps[at] = maps[(at + 1) % maps.size()];
        }
    }
    for (std::size_t i = 0; i < tables.size(); ++i) {
        RC_ASSERT(contents(tables[i]) == maps[i]);
        RC_ASSERT(tables[i].size() == maps[i].size());
        for (const auto& [id, value] : maps[i]) RC_ASSERT(tables[i].find(id)->value == value);
    }
}

}  // namespace
}  // namespace ballast
