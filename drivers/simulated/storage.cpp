// What the calls of Storage do to the world. A pool knows the files that its host's libvirtd has seen; the store behind
// it has all of them.
#include <algorithm>

#include "core/try.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

constexpr Bytes qcow2_header = kibibytes(193);

Result<SimPool*> find_pool(State& state, const std::string& host, const std::string& pool) {
    SimHost& at = *state.find_host(host);
    const auto found = at.pools.find(pool);
    if (found == at.pools.end()) return fail(Code::not_found, "no pool '{}' on host '{}'", pool, host);
    return &found->second;
}

Result<SimVolume*> find_volume(State& state, const std::string& host, const std::string& pool,
                               const std::string& name) {
    BALLAST_TRY(const SimPool* in, find_pool(state, host, pool));
    SimStore& store = state.stores[in->model.store];
    const auto found = store.volumes.find(name);
    if (found == store.volumes.end() || !in->known.contains(name))
        return fail(Code::not_found, "no volume '{}' in pool '{}' on host '{}'", name, pool, host);
    return &found->second;
}

VolumeView view(const SimPool& pool, const SimVolume& volume) {
    return {volume.name,        pool.model.path + "/" + volume.name, volume.format, volume.capacity, volume.allocation,
            volume.backing_path};
}

void inventory_changed(State& state, const std::string& host, const std::string& pool) {
    state.emit_domain(host, VmId(), DriverEvent::Kind::inventory_changed, fmt::format("pool {} refreshed", pool));
}

}  // namespace

Bytes SimStore::available() const {
    Bytes used = foreign;
    for (const auto& [name, volume] : volumes) used += volume.allocation;
    return saturating_sub(capacity, used);
}

SimStore* State::store_of(const SimHost& host, const std::string& path, std::string* name, std::string* key) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return nullptr;
    for (const auto& [pool_name, pool] : host.pools) {
        if (path.substr(0, slash) != pool.model.path) continue;
        *name = path.substr(slash + 1);
        *key = pool.model.store;
        return &stores[pool.model.store];
    }
    return nullptr;
}

Result<std::vector<PoolView>> State::list_pools(const std::string& host) {
    std::vector<PoolView> views;
    for (const auto& [name, pool] : find_host(host)->pools) {
        const SimStore& store = stores[pool.model.store];
        views.push_back({name, pool.model.type, pool.model.path, true, store.capacity, store.available()});
    }
    return views;
}

Result<std::vector<VolumeView>> State::list_volumes(const std::string& host, const std::string& pool) {
    BALLAST_TRY(const SimPool* in, find_pool(*this, host, pool));
    std::vector<VolumeView> views;
    for (const auto& [name, volume] : stores[in->model.store].volumes)
        if (in->known.contains(name)) views.push_back(view(*in, volume));
    return views;
}

Result<VolumeView> State::read_volume(const std::string& host, const std::string& pool, const std::string& name) {
    BALLAST_TRY(const SimVolume* volume, find_volume(*this, host, pool, name));
    BALLAST_TRY(const SimPool* in, find_pool(*this, host, pool));
    return view(*in, *volume);
}

Result<VolumeView> State::create_volume(const std::string& host, const NewVolume& volume) {
    BALLAST_TRY(SimPool * in, find_pool(*this, host, volume.pool));
    SimHost& at = *find_host(host);
    SimStore& store = stores[in->model.store];
    if (store.volumes.contains(volume.name))
        return fail(Code::already_exists, "volume '{}' already exists in pool '{}' on host '{}'", volume.name,
                    volume.pool, host);
    Bytes capacity = volume.capacity;
    if (!volume.backing_path.empty()) {
        std::string name;
        std::string key;
        const SimStore* behind = store_of(at, volume.backing_path, &name, &key);
        if (behind == nullptr || !behind->volumes.contains(name))
            return fail(Code::not_found, "no backing file '{}' on host '{}'", volume.backing_path, host);
        if (capacity.count() == 0) capacity = behind->volumes.at(name).capacity;
    }
    SimVolume made{volume.name, volume.format, capacity, Bytes(0), volume.backing_path, ""};
    if (volume.format == "qcow2") {
        made.allocation = qcow2_header;
        made.head = std::string("QFI\xfb\0\0\0\x03", 8);
    }
    if (made.allocation > store.available() || store.available().count() == 0)
        return fail(Code::resource_exhausted, "no space left in pool '{}' on host '{}' for volume '{}'", volume.pool,
                    host, volume.name);
    in->known.insert(volume.name);
    store.volumes[volume.name] = made;
    return view(*in, made);
}

Result<void> State::check_upload(const std::string& host, const std::string& pool, const std::string& name,
                                 Bytes size) {
    BALLAST_TRY(const SimVolume* volume, find_volume(*this, host, pool, name));
    BALLAST_TRY(const SimPool* in, find_pool(*this, host, pool));
    const Bytes room = stores[in->model.store].available() + volume->allocation;
    if (size > room)
        return fail(Code::resource_exhausted, "no space left in pool '{}' on host '{}': '{}' needs {}, {} is free",
                    pool, host, name, size, room);
    return {};
}

Result<void> State::upload(const std::string& host, const std::string& pool, const std::string& name, Bytes size,
                           std::string head) {
    BALLAST_CHECK(check_upload(host, pool, name, size));
    BALLAST_TRY(SimVolume * volume, find_volume(*this, host, pool, name));
    volume->head = std::move(head);
    volume->allocation = size;
    volume->capacity = std::max(volume->capacity, size);
    return {};
}

Result<std::string> State::read_head(const std::string& host, const std::string& pool, const std::string& name,
                                     Bytes size) {
    if (size > mebibytes(1)) return fail(Code::invalid_argument, "a head is at most 1 MiB, not {}", size);
    BALLAST_TRY(const SimVolume* volume, find_volume(*this, host, pool, name));
    std::string head = volume->head.substr(0, static_cast<std::size_t>(size.count()));
    const Bytes content = volume->format == "qcow2" ? volume->allocation : volume->capacity;
    head.resize(static_cast<std::size_t>(std::min(size, content).count()), '\0');
    return head;
}

Result<void> State::delete_volume(const std::string& host, const std::string& pool, const std::string& name) {
    BALLAST_TRY(SimPool * in, find_pool(*this, host, pool));
    in->known.erase(name);
    stores[in->model.store].volumes.erase(name);
    return {};
}

Result<void> State::refresh(const std::string& host, const std::string& pool) {
    BALLAST_TRY(SimPool * in, find_pool(*this, host, pool));
    in->known.clear();
    for (const auto& [name, volume] : stores[in->model.store].volumes) in->known.insert(name);
    inventory_changed(*this, host, pool);
    return {};
}

}  // namespace ballast::drivers::simulated
