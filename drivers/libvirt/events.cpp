#include "drivers/libvirt/events.h"

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "drivers/libvirt/words.h"

namespace ballast::drivers::libvirt {
namespace {

using Kind = DriverEvent::Kind;

struct Target {
    HostId host;
    EventSink sink;
};

/// What libvirt hands to every callback; it frees it when the registration ends.
struct Opaque {
    std::shared_ptr<const Target> target;
};

void emit(void* opaque, virDomainPtr domain, Kind kind, std::string detail, int number = 0) {
    const auto& target = *static_cast<Opaque*>(opaque)->target;
    DriverEvent event{.kind = kind,
                      .host = target.host,
                      .vm = {},
                      .link = LinkState::up,
                      .number = number,
                      .detail = std::move(detail)};
    if (domain != nullptr) {
        if (is_probe_name(virDomainGetName(domain))) return;
        std::array<char, VIR_UUID_STRING_BUFLEN> uuid{};
        virDomainGetUUIDString(domain, uuid.data());
        event.vm = VmId(uuid.data());
    }
    target.sink(event);
}

int on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) {
    const bool removed = event == VIR_DOMAIN_EVENT_UNDEFINED;
    emit(opaque, domain, removed ? Kind::domain_removed : Kind::domain_changed, words_of_lifecycle(event, detail));
    return 0;
}

void on_reboot(virConnectPtr, virDomainPtr domain, void* opaque) {
    emit(opaque, domain, Kind::domain_changed, "rebooted");
}

void on_balloon(virConnectPtr, virDomainPtr domain, unsigned long long kibibytes_now, void* opaque) {
    const auto now = kibibytes(static_cast<std::int64_t>(kibibytes_now));
    emit(opaque, domain, Kind::domain_changed, fmt::format("balloon {}", now));
}

void on_device_added(virConnectPtr, virDomainPtr domain, const char* alias, void* opaque) {
    emit(opaque, domain, Kind::domain_changed, fmt::format("device added: {}", alias));
}

void on_device_removed(virConnectPtr, virDomainPtr domain, const char* alias, void* opaque) {
    emit(opaque, domain, Kind::domain_changed, fmt::format("device removed: {}", alias));
}

void on_metadata(virConnectPtr, virDomainPtr domain, int, const char*, void* opaque) {
    emit(opaque, domain, Kind::domain_changed, "metadata changed");
}

void on_iteration(virConnectPtr, virDomainPtr domain, int iteration, void* opaque) {
    emit(opaque, domain, Kind::migration_round, fmt::format("round {}", iteration), iteration);
}

void on_job_completed(virConnectPtr, virDomainPtr domain, virTypedParameterPtr, int, void* opaque) {
    emit(opaque, domain, Kind::job_completed, "job completed");
}

void on_pool(virConnectPtr, virStoragePoolPtr pool, int, int, void* opaque) {
    emit(opaque, nullptr, Kind::inventory_changed, fmt::format("pool {} changed", virStoragePoolGetName(pool)));
}

void on_pool_refresh(virConnectPtr, virStoragePoolPtr pool, void* opaque) {
    emit(opaque, nullptr, Kind::inventory_changed, fmt::format("pool {} was refreshed", virStoragePoolGetName(pool)));
}

void on_network(virConnectPtr, virNetworkPtr network, int, int, void* opaque) {
    emit(opaque, nullptr, Kind::inventory_changed, fmt::format("network {} changed", virNetworkGetName(network)));
}

void release(void* opaque) {
    delete static_cast<Opaque*>(opaque);
}

/// libvirt types every callback as one "generic" function and casts it back by the event's id.
template <class To, class Callback>
To generic(Callback* callback) {
    return reinterpret_cast<To>(reinterpret_cast<void (*)()>(callback));  // NOLINT(*-reinterpret-cast): libvirt's API
}

using Undo = std::function<void(virConnectPtr)>;

/// Collects what each registration needs to be undone; a host that lacks an event simply goes without.
class Registrations {
  public:
    explicit Registrations(std::shared_ptr<const Target> target) : target_(std::move(target)) {}

    template <class Register, class Deregister>
    void add(Register&& call, Deregister deregister) {
        auto* opaque = new Opaque{target_};
        const int id = call(opaque);
        if (id < 0) return delete opaque;
        undos_.emplace_back([deregister, id](virConnectPtr connection) { deregister(connection, id); });
    }

    template <class Callback>
    void domain(virConnectPtr connection, int event, Callback callback) {
        add(
            [&](void* opaque) {
                return virConnectDomainEventRegisterAny(connection, nullptr, event,
                                                        generic<virConnectDomainEventGenericCallback>(callback), opaque,
                                                        release);
            },
            virConnectDomainEventDeregisterAny);
    }

    template <class Callback>
    void pool(virConnectPtr connection, int event, Callback callback) {
        add(
            [&](void* opaque) {
                return virConnectStoragePoolEventRegisterAny(
                    connection, nullptr, event, generic<virConnectStoragePoolEventGenericCallback>(callback), opaque,
                    release);
            },
            virConnectStoragePoolEventDeregisterAny);
    }

    void network(virConnectPtr connection) {
        add(
            [&](void* opaque) {
                return virConnectNetworkEventRegisterAny(connection, nullptr, VIR_NETWORK_EVENT_ID_LIFECYCLE,
                                                         generic<virConnectNetworkEventGenericCallback>(on_network),
                                                         opaque, release);
            },
            virConnectNetworkEventDeregisterAny);
    }

    [[nodiscard]] std::vector<Undo> take() { return std::move(undos_); }

  private:
    std::shared_ptr<const Target> target_;
    std::vector<Undo> undos_;
};

}  // namespace

std::function<void(virConnectPtr)> watch_events(virConnectPtr connection, const HostId& host, const EventSink& sink) {
    Registrations all(std::make_shared<const Target>(Target{host, sink}));
    all.domain(connection, VIR_DOMAIN_EVENT_ID_LIFECYCLE, on_lifecycle);
    all.domain(connection, VIR_DOMAIN_EVENT_ID_REBOOT, on_reboot);
    all.domain(connection, VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, on_balloon);
    all.domain(connection, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, on_device_added);
    all.domain(connection, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, on_device_removed);
    all.domain(connection, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, on_metadata);
    all.domain(connection, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, on_iteration);
    all.domain(connection, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, on_job_completed);
    all.pool(connection, VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE, on_pool);
    all.pool(connection, VIR_STORAGE_POOL_EVENT_ID_REFRESH, on_pool_refresh);
    all.network(connection);
    return [undos = all.take()](virConnectPtr closing) {
        for (const auto& undo : undos) undo(closing);
    };
}

bool is_probe_name(std::string_view name) {
    return name.starts_with(probe_name_prefix);
}

}  // namespace ballast::drivers::libvirt
