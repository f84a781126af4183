#pragma once
// What the tests of merge() share: views and words of hosts h1 to h3, and the fixture.

#include <gmock/gmock.h>

#include "daemon/reconcile/alerts.h"
#include "daemon/reconcile/merge.h"
#include "tests/support/builders.h"

namespace ballast::reconcile {

using ballast::test::a_host;
using ballast::test::a_vm;

inline const std::string ours = "this-cluster";
inline const Timestamp noon{std::chrono::hours(12)};

inline drivers::DomainView a_view(DomainState state, std::string name = "web1") {
    drivers::DomainView view;
    view.id = VmId(name);
    view.name = std::move(name);
    view.state = state;
    view.state_reason = "seen";
    view.spec = a_vm("web1").spec();
    if (is_active(state)) view.balloon = mebibytes(512);
    return view;
}

inline drivers::DomainView stamped(drivers::DomainView view, std::uint64_t epoch, std::string cluster = ours) {
    view.stamp = drivers::Stamp{std::move(cluster), HostId("h1"), epoch};
    return view;
}

inline HostSaid defined(std::string host, drivers::DomainView view) {
    return {HostId(std::move(host)), HostSaid::Kind::defined, std::move(view), noon};
}
inline HostSaid defined(std::string host, DomainState state) {
    return defined(std::move(host), a_view(state));
}
inline HostSaid absent(std::string host) {
    return {HostId(std::move(host)), HostSaid::Kind::absent, std::nullopt, noon};
}
inline HostSaid unreachable(std::string host) {
    return {HostId(std::move(host)), HostSaid::Kind::unreachable, std::nullopt, noon};
}
inline HostSaid removed(std::string host) {
    return {HostId(std::move(host)), HostSaid::Kind::removed, std::nullopt, noon};
}

class Merge : public ::testing::Test {
  protected:
    Merge() {
        for (const auto* name : {"h1", "h2", "h3"}) hosts.put(a_host(name).build());
    }
    MergeContext context() {
        return {.cluster = ours, .now = noon, .hosts = hosts, .proven = proven, .searched = searched};
    }
    Merged merged(std::optional<Vm> row, std::vector<HostSaid> said) { return merge(row, said, context()); }
    Vm after(const Vm& row, std::vector<HostSaid> said) {
        auto result = merged(row, std::move(said));
        EXPECT_FALSE(result.doubtful);
        EXPECT_TRUE(result.row);
        kinds.clear();
        for (const auto& note : result.notes) kinds.push_back(note.kind);
        if (!result.row) return {};
        return *result.row;
    }
    void confirm_dead(const std::string& host) { hosts.put(a_host(host).confirmed_dead().build()); }

    Table<Host> hosts;
    bool proven = false;
    bool searched = true;
    std::vector<std::string> kinds;
};

}  // namespace ballast::reconcile
