#include "core/snapshot.h"

#include <algorithm>

namespace ballast {
namespace {

/// By id first, then by a unique name.
template <class Row>
Result<std::shared_ptr<const Row>> find_named(const Table<Row>& table, std::string_view what, std::string_view name) {
    if (auto row = table.find_ptr(typename Table<Row>::Key(std::string(name)))) return row;
    const auto named = table.select([&](const Row& row) { return row.name == name; });
    if (named.empty()) return fail(Code::not_found, "no {} is named '{}'; see `ballast {} list`", what, name, what);
    if (named.size() > 1) return fail(Code::conflict, "{} {}s are named '{}'; use the id", named.size(), what, name);
    return named.front();
}

std::string at_host(const Snapshot& snapshot, const Vm& vm) {
    return vm.name + "@" + (vm.host ? host_name(snapshot, *vm.host) : "nowhere");
}

std::string candidates(const Snapshot& snapshot, const std::vector<std::shared_ptr<const Vm>>& vms) {
    std::vector<std::string> names;
    for (const auto& vm : vms) names.push_back(fmt::format("{} ({})", at_host(snapshot, *vm), vm->id));
    std::ranges::sort(names);
    return fmt::format("{}", fmt::join(names, ", "));
}

bool is_at(const Snapshot& snapshot, const Vm& vm, std::string_view host) {
    if (vm.host && host_name(snapshot, *vm.host) == host) return true;
    return std::ranges::any_of(
        vm.definitions, [&](const Definition& definition) { return host_name(snapshot, definition.host) == host; });
}

}  // namespace

Result<std::shared_ptr<const Host>> find_host(const Snapshot& snapshot, std::string_view name_or_id) {
    return find_named(snapshot.hosts, "host", name_or_id);
}

Result<std::shared_ptr<const Image>> find_image(const Snapshot& snapshot, std::string_view name_or_id) {
    return find_named(snapshot.images, "image", name_or_id);
}

Result<std::shared_ptr<const Vm>> find_vm(const Snapshot& snapshot, std::string_view name_or_id) {
    if (auto vm = snapshot.vms.find_ptr(VmId(std::string(name_or_id)))) return vm;
    const auto at = name_or_id.rfind('@');
    const std::string_view name = name_or_id.substr(0, at);
    const std::string_view host = at == std::string_view::npos ? std::string_view{} : name_or_id.substr(at + 1);
    const auto found = snapshot.vms.select(
        [&](const Vm& vm) { return vm.name == name && (host.empty() || is_at(snapshot, vm, host)); });
    if (found.empty()) return fail(Code::not_found, "no VM is named '{}'; see `ballast vm list`", name_or_id);
    if (found.size() > 1)
        return fail(Code::conflict, "'{}' names {} VMs: {}; use name@host or the id", name_or_id, found.size(),
                    candidates(snapshot, found));
    return found.front();
}

const Pool* find_pool(const Snapshot& snapshot, const HostId& host, std::string_view name) {
    return snapshot.pools.find(pool_id(host, name));
}

const Pool* find_pool_holding(const Snapshot& snapshot, const HostId& host, std::string_view path) {
    const Pool* best = nullptr;
    snapshot.pools.for_each([&](const Pool& pool) {
        if (pool.host != host || pool.path.empty() || !path.starts_with(pool.path)) return;
        const bool inside = pool.path.ends_with('/') || path.substr(pool.path.size()).starts_with('/');
        if (inside && (best == nullptr || pool.path.size() > best->path.size())) best = &pool;
    });
    return best;
}

const HostPair* find_pair(const Snapshot& snapshot, const HostId& from, const HostId& to) {
    return snapshot.pairs.find(pair_id(from, to));
}

std::string host_name(const Snapshot& snapshot, const HostId& id) {
    const Host* host = snapshot.hosts.find(id);
    return host != nullptr ? host->name : id.str();
}

PairId pair_id(const HostId& from, const HostId& to) {
    return PairId(from.str() + ">" + to.str());
}
PoolId pool_id(const HostId& host, std::string_view name) {
    return PoolId(host.str() + "/" + std::string(name));
}

}  // namespace ballast
