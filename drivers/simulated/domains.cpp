// What the calls of Compute do to the world.
#include <algorithm>

#include "core/try.h"
#include "drivers/simulated/state.h"

namespace ballast::drivers::simulated {
namespace {

std::string free_target(const VmSpec& spec, const std::string& bus) {
    const std::string prefix = bus == "virtio" ? "vd" : "sd";
    for (char letter = 'a'; letter <= 'z'; ++letter)
        if (std::ranges::find(spec.disks, prefix + letter, &DiskSpec::target) == spec.disks.end())
            return prefix + letter;
    return {};
}

/// A definition carries no more of the spec than domain XML does: labels, policies and the origin of disks stay in
/// Ballast's store. What the spec leaves open is chosen here, as the libvirt driver does.
VmSpec as_defined(const DomainDefinition& definition, const HostFacts& facts) {
    const VmSpec plain;
    VmSpec spec = definition.spec;
    spec.memory_minimum = plain.memory_minimum;
    spec.labels.clear();
    spec.host_labels.clear();
    spec.anti_affinity.clear();
    spec.placement = plain.placement;
    spec.autostart = plain.autostart;
    spec.moves = plain.moves;
    spec.memory_policy = plain.memory_policy;
    spec.overcommit = {.merge = spec.overcommit.merge};
    if (spec.machine.empty()) spec.machine = facts.machine_types.front();
    if (spec.cpu_model.empty() && definition.accelerator == Accelerator::tcg) spec.cpu_model = "qemu64";
    for (auto& disk : spec.disks) {
        if (disk.target.empty()) disk.target = free_target(spec, disk.bus);
        disk.size = Bytes(0);
        disk.image.clear();
        disk.pool.clear();
        disk.volume = VolumeId();
    }
    for (std::size_t i = 0; i < spec.nics.size(); ++i)
        if (spec.nics[i].mac.empty())
            spec.nics[i].mac = fmt::format("52:54:00:{}:{}:{:02x}", definition.id.str().substr(0, 2),
                                           definition.id.str().substr(2, 2), i);
    return spec;
}

Result<void> check(const DomainDefinition& definition) {
    BALLAST_CHECK(parse_uuid(definition.id.str()));
    if (definition.name.empty()) return fail(Code::invalid_argument, "a domain needs a name");
    for (const auto& disk : definition.spec.disks)
        if (disk.path.empty()) return fail(Code::invalid_argument, "disk '{}' has no path yet", disk.target);
    for (const auto& nic : definition.spec.nics)
        if (nic.network.empty() == nic.bridge.empty())
            return fail(Code::invalid_argument, "a NIC of '{}' needs either a network or a bridge", definition.name);
    return {};
}

Result<SimDomain*> active(State& state, const std::string& host, const VmId& vm) {
    BALLAST_TRY(SimDomain * domain, state.domain(host, vm));
    if (!is_active(domain->state))
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is not running", domain->name, host);
    return domain;
}

}  // namespace

Result<void> check_no_job(const State& state, const SimDomain& domain) {
    if (domain.saving) return fail(Code::failed_precondition, "domain '{}' is being saved", domain.name);
    if (!state.migrations.contains(domain.id)) return {};
    return fail(Code::failed_precondition, "domain '{}' is held by a migration", domain.name);
}

std::string text_of(const SimDomain& domain) {
    std::string text = fmt::format("<domain type='{}'><name>{}</name><uuid>{}</uuid><memory unit='b'>{}</memory>",
                                   domain.accelerator == Accelerator::tcg ? "qemu" : "kvm", domain.name, domain.id,
                                   domain.config.memory.count());
    text += fmt::format("<vcpu>{}</vcpu>", domain.config.vcpus);
    if (domain.stamp)
        text += fmt::format("<metadata><ballast cluster='{}' owner='{}' epoch='{}'/></metadata>", domain.stamp->cluster,
                            domain.stamp->owner, domain.stamp->epoch);
    for (const auto& disk : domain.config.disks)
        text += fmt::format("<disk><source file='{}'/><target dev='{}'/></disk>", disk.path, disk.target);
    for (const auto& nic : domain.config.nics)
        text += fmt::format("<interface><source network='{}' bridge='{}'/></interface>", nic.network, nic.bridge);
    return text + "</domain>";
}

DomainView view_of(const SimDomain& domain) {
    DomainView view;
    view.id = domain.id;
    view.name = domain.name;
    view.state = domain.state;
    view.state_reason = domain.reason;
    view.persistent = domain.persistent;
    view.autostart = domain.autostart;
    view.stamp = domain.stamp;
    view.bound_by = domain.bound_by;
    view.balloon = is_active(domain.state) ? domain.balloon : Bytes(0);
    view.spec = domain.persistent ? domain.config : domain.live.value_or(domain.config);
    view.xml = text_of(domain);
    return view;
}

Result<HostFacts> State::read_facts(const std::string& host) {
    return find_host(host)->model.facts;
}

Result<std::vector<DomainView>> State::list_domains(const std::string& host) {
    std::vector<DomainView> views;
    settle_memory(*find_host(host));
    for (const auto& [id, domain] : find_host(host)->domains) views.push_back(view_of(domain));
    return views;
}

Result<DomainView> State::read_domain(const std::string& host, const VmId& vm) {
    if (SimHost* at = find_host(host)) settle_memory(*at);
    BALLAST_TRY(const SimDomain* found, domain(host, vm));
    return view_of(*found);
}

Result<void> State::define(const std::string& host, const DomainDefinition& definition) {
    SimHost& at = *find_host(host);
    BALLAST_CHECK(check(definition));
    const auto named = at.names.find(definition.name);
    if (named != at.names.end() && named->second != definition.id)
        return fail(Code::already_exists, "domain '{}' already exists on host '{}' with UUID {}", definition.name, host,
                    named->second);
    auto& defined = at.domains[definition.id];
    const bool fresh = defined.id.empty();
    if (!fresh && defined.name != definition.name) at.names.erase(defined.name);
    defined.id = definition.id;
    known_vms.insert(definition.id);
    defined.name = definition.name;
    defined.config = as_defined(definition, at.model.facts);
    defined.stamp = definition.stamp;
    defined.accelerator = definition.accelerator;
    defined.persistent = true;
    at.names[definition.name] = definition.id;
    emit_domain(host, definition.id, DriverEvent::Kind::domain_changed, fresh ? "defined: added" : "defined: updated");
    return {};
}

Result<void> State::undefine(const std::string& host, const VmId& vm) {
    BALLAST_TRY(const SimDomain* found, domain(host, vm));
    if (is_active(found->state))
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is active: end it first", found->name, host);
    if (found->image)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' has a managed save: start it first",
                    found->name, host);
    forget_domain(host, vm);
    emit_domain(host, vm, DriverEvent::Kind::domain_removed, "undefined: removed");
    return {};
}

void State::forget_domain(const std::string& host, const VmId& vm) {
    SimHost& at = *find_host(host);
    const auto found = at.domains.find(vm);
    if (found == at.domains.end()) return;
    if (is_active(found->second.state)) before_change(at);
    const auto named = at.names.find(found->second.name);
    if (named != at.names.end() && named->second == vm) at.names.erase(named);
    at.domains.erase(found);
}

Result<void> State::start(const std::string& host, const VmId& vm) {
    SimHost& at = *find_host(host);
    BALLAST_TRY(SimDomain * found, domain(host, vm));
    if (is_active(found->state))
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is already running", found->name, host);
    found->disk_stores.clear();
    for (const auto& disk : found->config.disks) {
        std::string name;
        std::string key;
        const SimStore* store = store_of(at, disk.path, &name, &key);
        if (store == nullptr) continue;
        if (!store->volumes.contains(name))
            return fail(Code::not_found, "cannot start '{}': no file '{}' on host '{}'", found->name, disk.path, host);
        found->disk_stores[disk.path] = key;
    }
    before_change(at);
    const auto image = std::exchange(found->image, std::nullopt);
    found->state = DomainState::running;
    found->reason = image ? "restored" : "booted";
    found->cpu_seconds = 0;
    found->live = found->config;
    found->balloon = image ? image->balloon : found->config.memory;
    found->started = image ? image->started : time.now();
    found->completed.reset();
    begin_memory(at, *found);
    if (image) found->memory = image->memory;
    std::erase(found->bound_by, managed_save);
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "resumed: unpaused");
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "started: " + found->reason);
    return {};
}

Result<void> State::shutdown(const std::string& host, const VmId& vm) {
    BALLAST_TRY(const SimDomain* found, active(*this, host, vm));
    if (found->state != DomainState::running)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' does not run", found->name, host);
    const GuestLoad& load = load_of(vm);
    const Instant booted = found->started;
    if (!load.answers_acpi || time.now() < booted + load.boot_time) return {};
    time.after(load.shutdown_time, [this, host, vm, booted] {
        const auto now = domain(host, vm);
        if (now && (*now)->state == DomainState::running && (*now)->started == booted)
            end_qemu(host, vm, "shutdown", DomainState::shut_off);
    });
    return {};
}

Result<void> State::reboot(const std::string& host, const VmId& vm) {
    BALLAST_TRY(const SimDomain* found, active(*this, host, vm));
    BALLAST_CHECK(check_no_job(*this, *found));
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "rebooted");
    return {};
}

void State::end_qemu(const std::string& host, const VmId& vm, const std::string& reason, DomainState left) {
    const auto found = domain(host, vm);
    if (!found || !is_active((*found)->state)) return;
    SimDomain& ended = **found;
    before_change(*find_host(host));
    ended.state = left;
    ended.reason = reason;
    ended.live.reset();
    ended.balloon = Bytes(0);
    ended.memory = {};
    ended.equal = {};
    ended.said.reset();
    if (std::exchange(ended.saving, false)) ended.image.reset();
    ended.disk_stores.clear();
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "stopped: " + reason);
    if (!ended.persistent) forget_domain(host, vm);  // libvirt tells of the stop only
    qemu_gone(host, vm);
}

Result<void> State::destroy(const std::string& host, const VmId& vm) {
    BALLAST_CHECK(active(*this, host, vm));
    end_qemu(host, vm, "destroyed", DomainState::shut_off);
    return {};
}

Result<void> State::stamp(const std::string& host, const VmId& vm, const Stamp& stamp) {
    BALLAST_TRY(SimDomain * found, domain(host, vm));
    found->stamp = stamp;
    found->autostart = false;
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "metadata changed");
    return {};
}

Result<void> State::suspend(const std::string& host, const VmId& vm) {
    BALLAST_TRY(SimDomain * found, active(*this, host, vm));
    if (found->state == DomainState::paused && !found->saving) return {};
    if (found->state != DomainState::running)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is held by a migration", found->name, host);
    before_change(*find_host(host));
    found->state = DomainState::paused;
    // To libvirt a suspend during a move only hastens it: the target runs all the same.
    found->reason = migrations.contains(vm) ? "migration" : "user";
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "suspended: paused");
    return {};
}

Result<void> State::resume(const std::string& host, const VmId& vm) {
    BALLAST_TRY(SimDomain * found, active(*this, host, vm));
    if (found->state == DomainState::running)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is already running", found->name, host);
    const bool stopped_by_move = found->reason == "migration" && migrations.contains(vm);
    if (found->state != DomainState::paused || stopped_by_move || found->saving)
        return fail(Code::failed_precondition, "domain '{}' on host '{}' is held by another job", found->name, host);
    before_change(*find_host(host));
    found->state = DomainState::running;
    found->reason = "unpaused";
    emit_domain(host, vm, DriverEvent::Kind::domain_changed, "resumed: unpaused");
    return {};
}

}  // namespace ballast::drivers::simulated
