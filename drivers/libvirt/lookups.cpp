#include "drivers/libvirt/lookups.h"

#include <array>

#include "core/try.h"
#include "drivers/libvirt/error.h"

namespace ballast::drivers::libvirt {

Result<Domain> find_domain(virConnectPtr connection, const VmId& vm) {
    Domain domain(virDomainLookupByUUIDString(connection, vm.str().c_str()));
    if (!domain) return refused("can't find domain {}", vm);
    return domain;
}

Result<Pool> find_pool(virConnectPtr connection, const std::string& name) {
    Pool pool(virStoragePoolLookupByName(connection, name.c_str()));
    if (!pool) return refused("can't find pool '{}'", name);
    return pool;
}

Result<Volume> find_volume(virConnectPtr connection, const std::string& pool, const std::string& name) {
    BALLAST_TRY(const auto owner, find_pool(connection, pool));
    Volume volume(virStorageVolLookupByName(owner.get(), name.c_str()));
    if (!volume) return refused("can't find volume '{}' in pool '{}'", name, pool);
    return volume;
}

std::string uuid_of(virDomainPtr domain) {
    std::array<char, VIR_UUID_STRING_BUFLEN> uuid{};
    virDomainGetUUIDString(domain, uuid.data());
    return uuid.data();
}

}  // namespace ballast::drivers::libvirt
