// Where every byte of a host is: the rows sum exactly to its memory.
#include "memory/ledger.h"

#include <gtest/gtest.h>

#include "tests/unit/memory/vms.h"

namespace ballast::memory {
namespace {

using namespace test;

HostLedger made(const HostMemory& host, const std::vector<VmMemory>& vms, Bytes reserve = gibibytes(1)) {
    std::vector<WorkingSet> sets;
    for (const VmMemory& vm : vms) sets.push_back(estimate(vm, {}, noon).working_set);
    return ledger_of(host, vms, sets, reserve);
}
Bytes sum(const HostLedger& ledger) {
    Bytes all;
    for (const LedgerRow& row : rows_of(ledger)) all += row.bytes;
    return all;
}

HostMemory a_host() {
    HostMemory host;
    host.total = gibibytes(16);
    host.free = gibibytes(4);
    host.cached = gibibytes(1);
    host.reserved = gibibytes(2);
    return host;
}
/// 2 GiB of its 4 GiB are ballooned; 1 GiB in use, 512 MiB page cache; 1.7 GiB resident with 200 MiB of QEMU's own.
VmMemory squeezed(const std::string& name) {
    VmMemory vm = has(a_vm(name), gibibytes(2));
    vm.reading.usable = gibibytes(1);
    vm.reading.unused = mebibytes(512);
    vm.overhead = mebibytes(200);
    vm.reading.resident = mebibytes(200 + 1700);
    return vm;
}

TEST(Ledger, SaysWhereEachPartIs) {
    const HostLedger ledger = made(a_host(), {squeezed("a"), squeezed("b")});
    EXPECT_EQ(ledger.guest_in_use, gibibytes(2));
    EXPECT_EQ(ledger.page_cache, gibibytes(1));
    EXPECT_EQ(ledger.guest_unused, mebibytes(2 * (1700 - 1536)));
    EXPECT_EQ(ledger.overhead, mebibytes(400));
    EXPECT_EQ(ledger.reserve, gibibytes(1));
    EXPECT_EQ(ledger.free, gibibytes(3));
    EXPECT_EQ(ledger.host_own, gibibytes(2));
    EXPECT_EQ(ledger.ballooned, gibibytes(4));
    EXPECT_EQ(ledger.promised, gibibytes(8));
    EXPECT_EQ(sum(ledger), gibibytes(16));
    EXPECT_EQ(ledger.promised, ledger.ballooned + ledger.never_touched + mebibytes(2 * 1700));
}

TEST(Ledger, SumsExactlyToTheCapacityWhateverIsRead) {
    HostMemory odd = a_host();
    odd.free = gibibytes(15);  // read at another moment than the rest
    odd.ksm = KsmReading{.pages_shared = 1'000, .pages_sharing = 5'000'000};
    VmMemory strange = squeezed("c");
    strange.reading.resident = Bytes(7);
    VmMemory liar = a_vm("d");
    liar.reading.unused = gibibytes(99);
    for (const HostMemory& host : {a_host(), odd})
        for (const auto& vms : {std::vector<VmMemory>{}, {squeezed("a")}, {squeezed("a"), strange, liar}})
            EXPECT_EQ(sum(made(host, vms)), gibibytes(16));
    EXPECT_LT(made(odd, {squeezed("a")}).unexplained, Bytes(0));
}

TEST(Ledger, OnAHostWhoseFiguresAgreeLittleIsUnexplained) {
    HostMemory host = a_host();
    host.free = gibibytes(16) - gibibytes(1) - mebibytes(2 * 1900) - mebibytes(1200);
    const HostLedger ledger = made(host, {squeezed("a"), squeezed("b")});
    EXPECT_EQ(ledger.host_own, mebibytes(1200));
    EXPECT_EQ(ledger.unexplained, Bytes(0));
}

TEST(Ledger, MergedPagesAreCountedOnce) {
    HostMemory host = a_host();
    host.ksm = KsmReading{.pages_shared = 25'600, .pages_sharing = 128'000};  // 100 MiB kept, 500 MiB saved
    const HostLedger ledger = made(host, {squeezed("a"), squeezed("b")});
    EXPECT_EQ(ledger.shared, mebibytes(100));
    EXPECT_EQ(ledger.saved, mebibytes(500));
    EXPECT_EQ(ledger.guest_in_use, gibibytes(2) - mebibytes(600));
    EXPECT_EQ(sum(ledger), gibibytes(16));
}

TEST(Ledger, AGuestThatIsNotBelievedIsInUseAsAWhole) {
    VmMemory silent = squeezed("a");
    silent.reading.at = Timestamp{};
    const HostLedger ledger = made(a_host(), {silent});
    EXPECT_EQ(ledger.guest_in_use, mebibytes(1700));
    EXPECT_EQ(ledger.page_cache, Bytes(0));
}

TEST(Ledger, AHostWithLittleFreeKeepsLessThanItsReserve) {
    HostMemory host = a_host();
    host.free = mebibytes(300);
    EXPECT_EQ(made(host, {}).reserve, mebibytes(300));
    EXPECT_EQ(made(host, {}).free, Bytes(0));
}

}  // namespace
}  // namespace ballast::memory
