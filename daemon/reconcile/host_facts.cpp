#include "daemon/reconcile/host_facts.h"

#include <algorithm>

#include "daemon/reconcile/host_verdict.h"

namespace ballast::reconcile {
namespace {

std::string version(std::uint64_t number) {
    return fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000);
}

Pool pool_of(const HostId& host, const drivers::PoolView& view) {
    Pool pool;
    pool.id = pool_id(host, view.name);
    pool.host = host;
    pool.name = view.name;
    pool.type = view.type;
    pool.path = view.path;
    pool.active = view.active;
    pool.capacity = view.capacity;
    pool.available = view.available;
    return pool;
}

bool is_news(const Pool& before, Pool now) {
    const auto moved = std::abs(now.available.count() - before.available.count());
    if (moved * 50 < std::max<std::int64_t>(now.capacity.count(), 1)) now.available = before.available;
    now.revision = before.revision;
    return now != before;
}

}  // namespace

std::string put_facts(store::Transaction& transaction, const HostId& host, const HostFacts& facts) {
    const Host* row = transaction.snapshot().hosts.find(host);
    if (row == nullptr) return {};
    if (auto reason = duplicate_of(transaction.snapshot(), host, facts); !reason.empty()) return reason;
    if (row->facts == facts) return {};
    Host next = *row;
    next.facts = facts;
    const std::string message =
        fmt::format("host {} was read: {} cores, {}, libvirt {}, QEMU {}", row->name, facts.cpus, facts.memory,
                    version(facts.libvirt_version), version(facts.qemu_version));
    transaction.put(std::move(next), {"host.changed", message});
    return {};
}

void put_pools(store::Transaction& transaction, const HostId& host, const std::vector<drivers::PoolView>& pools) {
    const std::string name = host_name(transaction.snapshot(), host);
    for (const auto& view : pools) {
        Pool now = pool_of(host, view);
        const Pool* before = transaction.snapshot().pools.find(now.id);
        if (before != nullptr && !is_news(*before, now)) continue;
        const std::string message = fmt::format("pool {} on {}: {}, {} of {} free", view.name, name,
                                                view.active ? "active" : "inactive", view.available, view.capacity);
        transaction.put(std::move(now), {before == nullptr ? "pool.discovered" : "pool.changed", message});
    }
    const auto gone = transaction.snapshot().pools.select([&](const Pool& pool) {
        return pool.host == host && std::ranges::find(pools, pool.name, &drivers::PoolView::name) == pools.end();
    });
    for (const auto& pool : gone)
        transaction.erase(pool->id, {"pool.removed", fmt::format("pool {} is gone from {}", pool->name, name)});
}

void forget_storage(store::Transaction& transaction, const HostId& host) {
    put_pools(transaction, host, {});
    const auto pairs =
        transaction.snapshot().pairs.select([&](const HostPair& pair) { return pair.from == host || pair.to == host; });
    for (const auto& pair : pairs)
        transaction.erase(pair->id, {"pair.removed", fmt::format("{} is gone with its host", pair->id)});
}

}  // namespace ballast::reconcile
