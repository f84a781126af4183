#include "drivers/libvirt/domain_xml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "core/try.h"

namespace ballast::drivers::libvirt {
namespace {

pugi::xml_node add(pugi::xml_node parent, const char* name, const std::string& text) {
    auto node = parent.append_child(name);
    node.text().set(text.c_str());
    return node;
}

pugi::xml_node add(pugi::xml_node parent, const char* name,
                   std::initializer_list<std::pair<const char*, std::string>> attributes) {
    auto node = parent.append_child(name);
    for (const auto& [key, value] : attributes) node.append_attribute(key).set_value(value.c_str());
    return node;
}

std::string whole_kibibytes(Bytes bytes) {
    return fmt::to_string((bytes.count() + 1023) / 1024);
}

struct Choices {
    std::string virt_type;
    std::string machine;
};

Result<std::string> choose_virt_type(const DomainDefinition& d, const Platform& platform) {
    const bool wants_kvm = d.accelerator == Accelerator::kvm || (d.accelerator == Accelerator::auto_ && platform.kvm);
    if (wants_kvm && !platform.kvm)
        return fail(Code::failed_precondition,
                    "VM '{}' asks for KVM, which this host does not offer; set the host's accelerator to auto or tcg",
                    d.name);
    if (!wants_kvm && !platform.tcg)
        return fail(Code::failed_precondition, "VM '{}' asks for TCG, which this host's QEMU does not offer", d.name);
    return wants_kvm ? "kvm" : "qemu";
}

Result<Choices> choose(const DomainDefinition& d, const Platform& platform) {
    if (platform.mock) return Choices{.virt_type = "test", .machine = ""};
    Choices choices;
    BALLAST_TRY(choices.virt_type, choose_virt_type(d, platform));
    choices.machine = d.spec.machine.empty() ? newest_q35(platform.machine_types) : d.spec.machine;
    const auto& offered = platform.machine_types;
    if (choices.machine.empty())
        return fail(Code::failed_precondition,
                    "the host's QEMU offers no q35 machine type; name one in the spec of VM '{}'", d.name);
    if (!offered.empty() && std::find(offered.begin(), offered.end(), choices.machine) == offered.end())
        return fail(Code::failed_precondition, "the host's QEMU has no machine type '{}' (VM '{}')", choices.machine,
                    d.name);
    return choices;
}

void add_metadata(pugi::xml_node domain, const Stamp& stamp) {
    auto vm = domain.append_child("metadata").append_child("ballast:vm");
    vm.append_attribute("xmlns:ballast").set_value(metadata_uri);
    vm.append_attribute("cluster").set_value(stamp.cluster.c_str());
    vm.append_attribute("owner").set_value(stamp.owner.str().c_str());
    vm.append_attribute("epoch").set_value(static_cast<unsigned long long>(stamp.epoch));
}

void add_sizes(pugi::xml_node domain, const VmSpec& spec) {
    add(domain, "memory", whole_kibibytes(spec.memory)).append_attribute("unit").set_value("KiB");
    add(domain, "currentMemory", whole_kibibytes(spec.memory)).append_attribute("unit").set_value("KiB");
    if (!spec.overcommit.merge) domain.append_child("memoryBacking").append_child("nosharepages");
    add(domain, "vcpu", fmt::to_string(spec.vcpus));
}

void add_os(pugi::xml_node domain, const VmSpec& spec, const Choices& choices, const Platform& platform) {
    auto os = domain.append_child("os");
    auto type = add(os, "type", std::string("hvm"));
    type.append_attribute("arch").set_value(platform.architecture.c_str());
    if (!choices.machine.empty()) type.append_attribute("machine").set_value(choices.machine.c_str());
    if (spec.boot.kernel.empty()) {
        add(os, "boot", {{"dev", "hd"}});
        return;
    }
    add(os, "kernel", spec.boot.kernel);
    if (!spec.boot.initrd.empty()) add(os, "initrd", spec.boot.initrd);
    if (!spec.boot.cmdline.empty()) add(os, "cmdline", spec.boot.cmdline);
}

void add_features(pugi::xml_node domain, const Choices& choices, const Platform& platform) {
    auto features = domain.append_child("features");
    features.append_child("acpi");
    features.append_child("apic");
    // libvirt 8.0 knows tb-cache; without a bound each TCG guest may take a gibibyte for its translation cache.
    constexpr std::uint64_t tb_cache_since = 8'000'000;
    const bool knows = platform.libvirt_version == 0 || platform.libvirt_version >= tb_cache_since;
    if (choices.virt_type == "qemu" && knows)
        add(features.append_child("tcg"), "tb-cache", std::string("32")).append_attribute("unit").set_value("MiB");
}

void add_cpu(pugi::xml_node domain, const VmSpec& spec, const Choices& choices) {
    const bool tcg = choices.virt_type == "qemu";
    const auto require = [&spec](pugi::xml_node cpu) {
        for (const std::string& name : spec.cpu_features) add(cpu, "feature", {{"policy", "require"}, {"name", name}});
    };
    if (spec.cpu_model.empty() && !tcg) {
        require(add(domain, "cpu", {{"mode", "host-model"}, {"check", "partial"}}));
        return;
    }
    if (spec.cpu_model.starts_with("host-") || spec.cpu_model == "maximum") {
        const std::string check = spec.cpu_model == "host-model" ? "partial" : "none";
        require(add(domain, "cpu", {{"mode", spec.cpu_model}, {"check", check}}));
        return;
    }
    auto cpu = add(domain, "cpu", {{"mode", "custom"}, {"match", "exact"}, {"check", tcg ? "none" : "partial"}});
    auto model = add(cpu, "model", spec.cpu_model.empty() ? std::string("qemu64") : spec.cpu_model);
    model.append_attribute("fallback").set_value("forbid");
    require(cpu);
}

void add_policy(pugi::xml_node domain) {
    add(domain, "clock", {{"offset", "utc"}});
    add(domain, "on_poweroff", std::string("destroy"));
    add(domain, "on_reboot", std::string("restart"));
    add(domain, "on_crash", std::string("destroy"));
}

/// vda, vdb … for virtio; sda … for the others: the first that no disk has claimed.
std::string free_target(const std::vector<std::string>& taken, const std::string& bus) {
    const std::string prefix = bus == "virtio" ? "vd" : "sd";
    for (char letter = 'a'; letter <= 'z'; ++letter) {
        const std::string target = prefix + letter;
        if (std::find(taken.begin(), taken.end(), target) == taken.end()) return target;
    }
    return {};
}

Result<void> add_disk(pugi::xml_node devices, const DiskSpec& disk, std::vector<std::string>& taken) {
    if (disk.path.empty())
        return fail(Code::invalid_argument, "disk '{}' has no path yet: its volume must exist before the VM is defined",
                    disk.target);
    const std::string target = disk.target.empty() ? free_target(taken, disk.bus) : disk.target;
    if (target.empty()) return fail(Code::invalid_argument, "a VM has at most 26 disks of bus {}", disk.bus);
    taken.push_back(target);
    const bool block = disk.path.starts_with("/dev/");
    auto node = add(devices, "disk", {{"type", block ? "block" : "file"}, {"device", "disk"}});
    add(node, "driver", {{"name", "qemu"}, {"type", disk.format}, {"cache", disk.cache}, {"discard", "unmap"}});
    add(node, "source", {{block ? "dev" : "file", disk.path}});
    add(node, "target", {{"dev", target}, {"bus", disk.bus}});
    if (disk.read_only) node.append_child("readonly");
    return {};
}

Result<void> add_disks(pugi::xml_node devices, const VmSpec& spec) {
    std::vector<std::string> taken;
    for (const auto& disk : spec.disks)
        if (!disk.target.empty()) taken.push_back(disk.target);
    const auto uses_scsi = [](const DiskSpec& disk) { return disk.bus == "scsi"; };
    if (std::any_of(spec.disks.begin(), spec.disks.end(), uses_scsi))
        add(devices, "controller", {{"type", "scsi"}, {"index", "0"}, {"model", "virtio-scsi"}});
    for (const auto& disk : spec.disks) BALLAST_CHECK(add_disk(devices, disk, taken));
    return {};
}

Result<void> add_nics(pugi::xml_node devices, const DomainDefinition& d) {
    for (std::size_t i = 0; i < d.spec.nics.size(); ++i) {
        const auto& nic = d.spec.nics[i];
        if (nic.network.empty() == nic.bridge.empty())
            return fail(Code::invalid_argument, "NIC {} of VM '{}' needs either a network or a bridge", i, d.name);
        const bool on_network = !nic.network.empty();
        auto node = add(devices, "interface", {{"type", on_network ? "network" : "bridge"}});
        add(node, "mac", {{"address", nic.mac.empty() ? mac_of(d.id, i) : nic.mac}});
        add(node, "source", {{on_network ? "network" : "bridge", on_network ? nic.network : nic.bridge}});
        add(node, "model", {{"type", nic.model}});
    }
    return {};
}

void add_log(pugi::xml_node device, const SerialSpec& serial) {
    if (!serial.log_path.empty()) add(device, "log", {{"file", serial.log_path}, {"append", "on"}});
}

void add_serial(pugi::xml_node devices, const SerialSpec& spec) {
    auto serial = add(devices, "serial", {{"type", "pty"}});
    add_log(serial, spec);
    add(serial, "target", {{"port", "0"}});
    auto console = add(devices, "console", {{"type", "pty"}});
    add_log(console, spec);
    add(console, "target", {{"type", "serial"}, {"port", "0"}});
}

void add_balloon(pugi::xml_node devices, const BalloonSpec& spec) {
    if (!spec.enabled) {
        add(devices, "memballoon", {{"model", "none"}});
        return;
    }
    auto balloon = add(devices, "memballoon",
                       {{"model", "virtio"},
                        {"autodeflate", spec.autodeflate ? "on" : "off"},
                        {"freePageReporting", spec.free_page_reporting ? "on" : "off"}});
    if (spec.stats_period_s > 0) add(balloon, "stats", {{"period", fmt::to_string(spec.stats_period_s)}});
}

Result<void> add_devices(pugi::xml_node domain, const DomainDefinition& d) {
    auto devices = domain.append_child("devices");
    BALLAST_CHECK(add_disks(devices, d.spec));
    BALLAST_CHECK(add_nics(devices, d));
    add_serial(devices, d.spec.serial);
    add_balloon(devices, d.spec.balloon);
    auto rng = add(devices, "rng", {{"model", "virtio"}});
    add(rng, "backend", std::string("/dev/urandom")).append_attribute("model").set_value("random");
    return {};
}

/// XML 1.0 has no way to write control characters, not even escaped: libvirt would refuse the whole document.
Result<void> check_text(const std::string& what, const std::string& text) {
    const bool bad = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 && c != '\t'; });
    if (bad) return fail(Code::invalid_argument, "{} contains a control character", what);
    return {};
}

Result<void> check_texts(const DomainDefinition& d) {
    BALLAST_CHECK(check_text("the name", d.name));
    BALLAST_CHECK(check_text("the kernel command line", d.spec.boot.cmdline));
    BALLAST_CHECK(check_text("the kernel path", d.spec.boot.kernel));
    BALLAST_CHECK(check_text("the initrd path", d.spec.boot.initrd));
    BALLAST_CHECK(check_text("the serial log path", d.spec.serial.log_path));
    for (const auto& disk : d.spec.disks) BALLAST_CHECK(check_text("a disk's path", disk.path));
    return {};
}

std::string text_of(const pugi::xml_node& node) {
    std::ostringstream out;
    node.print(out, "  ");
    return out.str();
}

/// "pc-q35-7.2" -> 7002; -1 for anything else.
int q35_version(std::string_view machine) {
    constexpr std::string_view prefix = "pc-q35-";
    if (!machine.starts_with(prefix)) return -1;
    const char* end = machine.data() + machine.size();
    int major = 0;
    int minor = 0;
    const auto [dot, error] = std::from_chars(machine.data() + prefix.size(), end, major);
    if (error != std::errc() || dot == end || *dot != '.') return -1;
    const auto [rest, minor_error] = std::from_chars(dot + 1, end, minor);
    constexpr int step = 1'000;
    return minor_error == std::errc() && rest == end ? major * step + minor : -1;
}

}  // namespace

std::string newest_q35(const std::vector<std::string>& machine_types) {
    const auto newest = std::max_element(machine_types.begin(), machine_types.end(),
                                         [](const auto& a, const auto& b) { return q35_version(a) < q35_version(b); });
    return newest == machine_types.end() || q35_version(*newest) < 0 ? std::string() : *newest;
}

std::string mac_of(const VmId& vm, std::size_t index) {
    // FNV-1a over the id: the middle of a random UUID would do as well, but adopted ids need not be random.
    std::uint32_t hash = 2'166'136'261U;
    for (const char c : vm.str()) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
    hash += static_cast<std::uint32_t>(index);
    return fmt::format("52:54:00:{:02x}:{:02x}:{:02x}", (hash >> 16U) & 0xffU, (hash >> 8U) & 0xffU, hash & 0xffU);
}

std::string make_stamp_xml(const Stamp& stamp) {
    pugi::xml_document document;
    auto vm = document.append_child("vm");
    vm.append_attribute("cluster").set_value(stamp.cluster.c_str());
    vm.append_attribute("owner").set_value(stamp.owner.str().c_str());
    vm.append_attribute("epoch").set_value(static_cast<unsigned long long>(stamp.epoch));
    return text_of(vm);
}

Result<std::string> make_domain_xml(const DomainDefinition& definition, const Platform& platform) {
    BALLAST_CHECK(check_texts(definition));
    BALLAST_TRY(const auto choices, choose(definition, platform));
    pugi::xml_document document;
    auto domain = add(document, "domain", {{"type", choices.virt_type}});
    add(domain, "name", definition.name);
    add(domain, "uuid", definition.id.str());
    add_metadata(domain, definition.stamp);
    add_sizes(domain, definition.spec);
    add_os(domain, definition.spec, choices, platform);
    add_features(domain, choices, platform);
    if (!platform.mock) add_cpu(domain, definition.spec, choices);
    add_policy(domain);
    BALLAST_CHECK(add_devices(domain, definition));
    return text_of(domain);
}

}  // namespace ballast::drivers::libvirt
