#include "daemon/stats_json.h"

#include <nlohmann/json.hpp>

namespace ballast::daemon {
namespace {

void put(Json& json, const char* name, const std::optional<Bytes>& bytes) {
    if (bytes) json[name] = bytes->count();
}

Json vm_stats(const reconcile::HostSample& host, const reconcile::VmSample& sample) {
    Json json{{"time", to_string(host.time)}, {"host", host.host.str()}, {"vcpus", sample.stats.vcpus}};
    if (sample.cpus_used) json["cpus_used"] = *sample.cpus_used;
    json["balloon_bytes"] = sample.stats.balloon.count();
    json["resident_bytes"] = sample.stats.resident.count();
    put(json, "unused_bytes", sample.stats.unused);
    put(json, "usable_bytes", sample.stats.usable);
    put(json, "available_bytes", sample.stats.available);
    put(json, "disk_caches_bytes", sample.stats.disk_caches);
    return json;
}

Json host_stats(const reconcile::HostSample& sample) {
    Json json{{"time", to_string(sample.time)},
              {"memory_total_bytes", sample.stats.memory_total.count()},
              {"memory_free_bytes", sample.stats.memory_free.count()},
              {"memory_cached_bytes", sample.stats.memory_cached.count()},
              {"running_vms", sample.vms.size()}};
    if (sample.cpu_load) json["cpu_load"] = *sample.cpu_load;
    return json;
}

}  // namespace

std::optional<JsonText> stats_as_json(const reconcile::StatsTable& table, std::string_view kind,
                                      const std::string& id) {
    if (kind == "host") {
        const auto* sample = table.find(HostId(id));
        return sample != nullptr ? std::optional(JsonText{dump(host_stats(*sample))}) : std::nullopt;
    }
    for (const auto& [host, sample] : table.hosts) {
        const auto vm = sample->vms.find(VmId(id));
        if (vm != sample->vms.end()) return JsonText{dump(vm_stats(*sample, vm->second))};
    }
    return std::nullopt;
}

}  // namespace ballast::daemon
