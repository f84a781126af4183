// The calls of the Memory role that change something, and saving a running state.
#include "core/try.h"
#include "drivers/ksm_settings.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {

Result<void> State::set_balloon(const std::string& host, const VmId& vm, Bytes target) {
    BALLAST_TRY(SimDomain * found, domain(host, vm));
    if (!is_active(found->state))
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is not running", found->name, host);
    if (target > found->config.memory)
        return fail(Code::invalid_argument, "domain '{}' can have at most {}, not {}", found->name,
                    found->config.memory, target);
    if (target <= Bytes(0)) return fail(Code::invalid_argument, "a balloon of {} leaves nothing", target);
    if (!found->live.value_or(found->config).balloon.enabled)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' has no balloon", found->name, host);
    SimHost& at = *find_host(host);
    before_change(at);
    found->memory.target = static_cast<double>(target.count());
    const GuestFaults& faults = faults_of(vm);
    if (load_of(vm).memory || faults.sticks || faults.no_driver) return {};
    found->balloon = target;
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, fmt::format("balloon {}", target));
    return {};
}

Result<void> State::set_ksm(const std::string& host, const KsmSettings& settings) {
    SimHost& at = *find_host(host);
    BALLAST_CHECK(check_ksm(settings));
    before_change(at);
    Scanner& scanner = at.memory.scanner;
    if (scanner.advised && settings.pages_to_scan != scanner.settings.pages_to_scan)
        return fail(Code::failed_precondition,
                    "can't set pages_to_scan of host '{}' to {}: the kernel's advisor sets it (EINVAL)", host,
                    settings.pages_to_scan);
    if (settings.merge_across_nodes != scanner.settings.merge_across_nodes && at.memory.kept > 0)
        return fail(Code::failed_precondition,
                    "can't change merging across NUMA nodes of host '{}' while pages are merged (EBUSY)", host);
    scanner.settings = settings;
    return {};
}

void State::save(const std::string& host, const VmId& vm, std::function<void(Result<void>)> done) {
    if (const auto begun = begin_save(host, vm); !begun) return done(begun);
    const SimDomain& saved = **domain(host, vm);
    const double rate = static_cast<double>(std::max<std::int64_t>(find_host(host)->model.save_rate.count(), 1));
    const auto takes = Micros(static_cast<std::int64_t>(static_cast<double>(saved.image->size.count()) / rate * 1e6));
    time.after(takes, [this, host, vm, started = saved.started, done = std::move(done)] {
        const auto found = domain(host, vm);
        if (!found || !(*found)->saving || (*found)->started != started)
            return done(fail(Code::failed_precondition, "domain {} ended before its state was saved", vm));
        const SavedImage image = *(*found)->image;
        end_qemu(host, vm, "saved", DomainState::shut_off);
        SimDomain& off = **domain(host, vm);
        off.image = image;
        off.bound_by.emplace_back(managed_save);
        done({});
    });
}

/// The guest stands still while its memory is written.
Bytes State::save_room_left(const SimHost& host) {
    Bytes taken;
    for (const auto& [id, domain] : host.domains)
        if (domain.image) taken += domain.image->size;
    return saturating_sub(host.model.save_room, taken);
}

Result<void> State::begin_save(const std::string& host, const VmId& vm) {
    SimHost& at = *find_host(host);
    BALLAST_TRY(SimDomain * found, domain(host, vm));
    if (!is_active(found->state))
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is not running", found->name, host);
    BALLAST_CHECK(check_no_job(*this, *found));
    if (!found->persistent)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is transient", found->name, host);
    before_change(at);
    const Bytes size(static_cast<std::int64_t>(resident_of(*found)));
    const Bytes room = save_room_left(at);
    if (size > room)
        return fail(Code::resource_exhausted, "the state of domain '{}' takes {}, host '{}' has room for {}",
                    found->name, size, host, room);
    found->image = {.size = size, .balloon = found->balloon, .memory = found->memory, .started = found->started};
    found->saving = true;
    if (found->state != DomainState::running) return {};
    found->state = DomainState::paused;
    found->reason = "save";
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "suspended: paused");
    return {};
}

}  // namespace ballast::drivers::simulated
