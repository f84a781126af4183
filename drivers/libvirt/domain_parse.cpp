#include "drivers/libvirt/domain_parse.h"

#include <algorithm>
#include <sstream>
#include <string_view>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "core/try.h"

namespace ballast::drivers::libvirt {
namespace {

/// pugixml expands the five predefined entities and character references only; a DTD has no business here at all.
Result<void> load(pugi::xml_document& document, const std::string& xml, std::string_view what) {
    constexpr std::size_t longest = std::size_t{8} << 20U;
    if (xml.size() > longest) return fail(Code::invalid_argument, "{} has more than {} bytes", what, longest);
    const auto outcome = document.load_buffer(xml.data(), xml.size(), pugi::parse_default | pugi::parse_doctype);
    if (!outcome)
        return fail(Code::invalid_argument, "{} is not XML: {} at byte {}", what, outcome.description(),
                    outcome.offset);
    for (const auto& node : document.children())
        if (node.type() == pugi::node_doctype)
            return fail(Code::invalid_argument, "{} has a document type definition, which is refused", what);
    return {};
}

std::string_view without_prefix(std::string_view name) {
    const auto colon = name.find(':');
    return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

/// Memory sizes carry their unit as an attribute; KiB where there is none.
Bytes read_size(const pugi::xml_node& node) {
    const std::int64_t count = node.text().as_llong();
    const std::string_view unit = node.attribute("unit").as_string("KiB");
    if (unit == "b" || unit == "bytes") return Bytes(count);
    if (unit == "KB") return Bytes(count * 1'000);
    if (unit == "MB") return Bytes(count * 1'000'000);
    if (unit == "GB") return Bytes(count * 1'000'000'000);
    if (unit == "MiB" || unit == "M") return mebibytes(count);
    if (unit == "GiB" || unit == "G") return gibibytes(count);
    if (unit == "TiB" || unit == "T") return gibibytes(count * 1'024);
    return kibibytes(count);
}

/// The path, device or name that a source points to.
std::string read_source(const pugi::xml_node& source) {
    for (const char* key : {"file", "dev", "dir", "name", "volume"})
        if (const auto attribute = source.attribute(key)) return attribute.as_string();
    return {};
}

DiskSpec read_disk(const pugi::xml_node& node) {
    DiskSpec disk;
    disk.target = node.child("target").attribute("dev").as_string();
    disk.bus = node.child("target").attribute("bus").as_string("virtio");
    disk.format = node.child("driver").attribute("type").as_string("raw");
    disk.cache = node.child("driver").attribute("cache").as_string("default");
    disk.read_only = static_cast<bool>(node.child("readonly"));
    disk.path = read_source(node.child("source"));
    disk.pool = node.child("source").attribute("pool").as_string();
    return disk;
}

NicSpec read_nic(const pugi::xml_node& node) {
    NicSpec nic;
    nic.network = node.child("source").attribute("network").as_string();
    nic.bridge = nic.network.empty() ? node.child("source").attribute("bridge").as_string() : "";
    nic.mac = node.child("mac").attribute("address").as_string();
    nic.model = node.child("model").attribute("type").as_string();
    return nic;
}

BalloonSpec read_balloon(const pugi::xml_node& node) {
    const std::string_view model = node.attribute("model").as_string("none");
    BalloonSpec balloon;
    balloon.enabled = model != "none";
    balloon.autodeflate = std::string_view(node.attribute("autodeflate").as_string()) == "on";
    balloon.free_page_reporting = std::string_view(node.attribute("freePageReporting").as_string()) == "on";
    balloon.stats_period_s = node.child("stats").attribute("period").as_int(0);
    return balloon;
}

/// A model by its name, or the mode that takes the host's own CPU: host-model, host-passthrough, maximum.
std::string read_cpu(const pugi::xml_node& cpu) {
    const std::string_view mode = cpu.attribute("mode").as_string("custom");
    return mode == "custom" ? cpu.child("model").text().as_string() : std::string(mode);
}

/// What the guest is promised beyond the model: without it there, QEMU would not start on another host.
std::vector<std::string> read_cpu_features(const pugi::xml_node& cpu) {
    std::vector<std::string> features;
    for (const auto& feature : cpu.children("feature")) {
        const std::string_view policy = feature.attribute("policy").as_string("require");
        if (policy == "require" || policy == "force") features.emplace_back(feature.attribute("name").as_string());
    }
    std::sort(features.begin(), features.end());
    return features;
}

VmSpec read_spec(const pugi::xml_node& domain) {
    VmSpec spec;
    spec.memory = read_size(domain.child("memory"));
    const auto vcpu = domain.child("vcpu");
    spec.vcpus = vcpu.attribute("current").as_int(vcpu.text().as_int(1));
    const auto os = domain.child("os");
    spec.machine = os.child("type").attribute("machine").as_string();
    spec.cpu_model = read_cpu(domain.child("cpu"));
    spec.cpu_features = read_cpu_features(domain.child("cpu"));
    spec.boot.kernel = os.child("kernel").text().as_string();
    spec.boot.initrd = os.child("initrd").text().as_string();
    spec.boot.cmdline = os.child("cmdline").text().as_string();
    const auto devices = domain.child("devices");
    for (const auto& disk : devices.children("disk"))
        if (std::string_view(disk.attribute("device").as_string("disk")) == "disk")
            spec.disks.push_back(read_disk(disk));
    for (const auto& nic : devices.children("interface")) spec.nics.push_back(read_nic(nic));
    spec.balloon = read_balloon(devices.child("memballoon"));
    spec.overcommit.merge = !domain.child("memoryBacking").child("nosharepages");
    spec.serial.log_path = devices.child("serial").child("log").attribute("file").as_string();
    return spec;
}

Stamp read_stamp(const pugi::xml_node& vm) {
    return {.cluster = vm.attribute("cluster").as_string(),
            .owner = HostId(vm.attribute("owner").as_string()),
            .epoch = vm.attribute("epoch").as_ullong()};
}

std::optional<Stamp> find_stamp(const pugi::xml_node& domain) {
    for (const auto& node : domain.child("metadata").children()) {
        const std::string_view name = node.name();
        if (without_prefix(name) != "vm") continue;
        const std::string_view prefix =
            name.substr(0, name.size() - std::min(name.size(), std::string_view("vm").size()));
        const std::string declared =
            prefix.empty() ? "xmlns" : fmt::format("xmlns:{}", prefix.substr(0, prefix.size() - 1));
        if (std::string_view(node.attribute(declared.c_str()).as_string()) == metadata_uri) return read_stamp(node);
    }
    return std::nullopt;
}

/// A NIC that hangs on something of this very host: empty for one on a network or a bridge, which the target may have
/// too.
std::string bond_of_nic(const pugi::xml_node& nic) {
    const std::string_view type = nic.attribute("type").as_string("network");
    const std::string mac = nic.child("mac").attribute("address").as_string("without a MAC");
    if (type == "network" || type == "bridge") return {};
    if (type == "hostdev") return "passthrough NIC";
    if (type == "direct")
        return fmt::format("NIC {} (macvtap on {})", mac, nic.child("source").attribute("dev").as_string("a device"));
    return fmt::format("NIC {} (of type {})", mac, type);
}

/// A folder of the host that the guest mounts: libvirt can't migrate virtiofs, nor QEMU a mounted 9p.
std::string bond_of_folder(const pugi::xml_node& folder) {
    const std::string_view driver = folder.child("driver").attribute("type").as_string("path");
    const auto source = folder.child("source");
    const char* socket = source.attribute("socket").as_string();
    return fmt::format("shared folder {} ({})", source.attribute("dir").as_string(socket),
                       driver == "virtiofs" ? "virtiofs" : "9p");
}

/// What of the devices ties the VM to its host (SAFETY.md 11).
std::vector<std::string> read_bonds(const pugi::xml_node& domain) {
    std::vector<std::string> bonds;
    const auto devices = domain.child("devices");
    for (const auto& device : devices.children("hostdev"))
        bonds.push_back(fmt::format("passthrough device ({})", device.attribute("type").as_string("unknown")));
    for (const auto& nic : devices.children("interface"))
        if (auto bond = bond_of_nic(nic); !bond.empty()) bonds.push_back(std::move(bond));
    for (const auto& folder : devices.children("filesystem")) bonds.push_back(bond_of_folder(folder));
    for (const auto& memory : devices.children("shmem"))
        bonds.push_back(fmt::format("shared memory {}", memory.attribute("name").as_string()));
    for (const auto& disk : devices.children("disk")) {
        const std::string_view device = disk.attribute("device").as_string("disk");
        if (device != "cdrom" && device != "floppy") continue;
        if (const auto path = read_source(disk.child("source")); !path.empty())
            bonds.push_back(fmt::format("local media {}", path));
    }
    return bonds;
}

pugi::xml_node find_guest(const pugi::xml_document& document, const std::string& architecture) {
    for (const auto& guest : document.child("capabilities").children("guest"))
        if (architecture == guest.child("arch").attribute("name").as_string()) return guest;
    return {};
}

}  // namespace

Result<DomainView> parse_domain(const std::string& xml) {
    pugi::xml_document document;
    BALLAST_CHECK(load(document, xml, "a domain definition"));
    const auto domain = document.child("domain");
    if (!domain) return fail(Code::invalid_argument, "a domain definition must have <domain> at its root");
    DomainView view;
    BALLAST_TRY(auto uuid, parse_uuid(domain.child("uuid").text().as_string()));
    view.id = VmId(std::move(uuid));
    view.name = domain.child("name").text().as_string();
    view.spec = read_spec(domain);
    view.stamp = find_stamp(domain);
    view.bound_by = read_bonds(domain);
    view.xml = xml;
    return view;
}

Result<Stamp> parse_stamp(const std::string& xml) {
    pugi::xml_document document;
    BALLAST_CHECK(load(document, xml, "a domain's metadata"));
    return read_stamp(document.document_element());
}

namespace {

/// The pages of each size above the base one that the cell has set aside.
std::vector<HugePages> read_huge_pages(const pugi::xml_node& cell) {
    constexpr std::int64_t base_kib = 64;  // no architecture's base page is larger
    std::vector<HugePages> all;
    for (const auto& pages : cell.children("pages"))
        if (const std::int64_t kib = pages.attribute("size").as_llong(); kib > base_kib)
            all.push_back({.size = kibibytes(kib), .count = pages.text().as_llong()});
    return all;
}

}  // namespace

Result<void> read_capabilities(const std::string& xml, HostFacts& facts) {
    pugi::xml_document document;
    BALLAST_CHECK(load(document, xml, "the host's capabilities"));
    const auto host = document.child("capabilities").child("host");
    facts.host_uuid = host.child("uuid").text().as_string();
    facts.architecture = host.child("cpu").child("arch").text().as_string("x86_64");
    facts.cpu_model = host.child("cpu").child("model").text().as_string();
    facts.numa.clear();
    for (const auto& cell : host.child("topology").child("cells").children("cell"))
        facts.numa.push_back({.cell = cell.attribute("id").as_int(),
                              .memory = read_size(cell.child("memory")),
                              .cpus = cell.child("cpus").attribute("num").as_int(),
                              .pages = read_huge_pages(cell)});
    return {};
}

Result<DomainCapabilities> parse_domain_capabilities(const std::string& xml) {
    pugi::xml_document document;
    BALLAST_CHECK(load(document, xml, "the host's domain capabilities"));
    const auto root = document.child("domainCapabilities");
    DomainCapabilities found;
    found.virt_type = root.child("domain").text().as_string();
    for (const auto& mode : root.child("cpu").children("mode")) {
        if (std::string_view(mode.attribute("name").as_string()) != "custom") continue;
        for (const auto& model : mode.children("model"))
            if (std::string_view(model.attribute("usable").as_string()) != "no")
                found.cpu_models.emplace_back(model.text().as_string());
    }
    for (const auto& choice : root.child("os").child("enum").children("value"))
        found.firmware.emplace_back(choice.text().as_string());
    return found;
}

std::string parse_host_model(const std::string& xml) {
    pugi::xml_document document;
    if (!load(document, xml, "the host's domain capabilities")) return {};
    const auto modes = document.child("domainCapabilities").child("cpu");
    const auto mode = modes.find_child_by_attribute("mode", "name", "host-model");
    if (!mode.child("model")) return {};
    pugi::xml_document made;
    auto cpu = made.append_child("cpu");
    cpu.append_attribute("mode").set_value("custom");
    cpu.append_attribute("match").set_value("exact");
    for (const auto& part : mode.children()) cpu.append_copy(part);
    std::ostringstream out;
    made.print(out, "", pugi::format_raw | pugi::format_no_declaration);
    return out.str();
}

std::vector<std::string> parse_features(const std::string& cpu) {
    pugi::xml_document document;
    if (!load(document, cpu, "a CPU")) return {};
    return read_cpu_features(document.child("cpu"));
}

std::vector<std::string> parse_machine_types(const std::string& capabilities, const std::string& architecture) {
    pugi::xml_document document;
    std::vector<std::string> types;
    if (!load(document, capabilities, "the host's capabilities")) return types;
    for (const auto& machine : find_guest(document, architecture).child("arch").children("machine"))
        types.emplace_back(machine.text().as_string());
    std::sort(types.begin(), types.end());
    types.erase(std::unique(types.begin(), types.end()), types.end());
    return types;
}

std::vector<std::string> parse_virt_types(const std::string& capabilities, const std::string& architecture) {
    pugi::xml_document document;
    std::vector<std::string> types;
    if (!load(document, capabilities, "the host's capabilities")) return types;
    for (const auto& domain : find_guest(document, architecture).child("arch").children("domain"))
        types.emplace_back(domain.attribute("type").as_string());
    return types;
}

VolumeXml parse_volume(const std::string& xml) {
    pugi::xml_document document;
    if (!load(document, xml, "a volume")) return {};
    const auto volume = document.child("volume");
    return {.format = volume.child("target").child("format").attribute("type").as_string("raw"),
            .backing_path = volume.child("backingStore").child("path").text().as_string()};
}

PoolXml parse_pool(const std::string& xml) {
    pugi::xml_document document;
    if (!load(document, xml, "a pool")) return {};
    const auto pool = document.child("pool");
    return {.type = pool.attribute("type").as_string(), .path = pool.child("target").child("path").text().as_string()};
}

std::string parse_network_bridge(const std::string& xml) {
    pugi::xml_document document;
    if (!load(document, xml, "a network")) return {};
    return document.child("network").child("bridge").attribute("name").as_string();
}

}  // namespace ballast::drivers::libvirt
