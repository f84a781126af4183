#include "cli/commands/vm_flags.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

/// "10G", or "size=10G,pool=fast,format=raw,bus=scsi,image=debian".
Result<Json> disk_json(const std::string& text, const VmFlags& options) {
    constexpr std::array<const char*, 6> known{"size", "pool", "format", "bus", "image", "cache"};
    Json disk = Json::object();
    if (!options.pool.empty()) disk["pool"] = options.pool;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
        const auto equals = part.find('=');
        const std::string key = equals == std::string::npos ? "size" : part.substr(0, equals);
        const std::string value = equals == std::string::npos ? part : part.substr(equals + 1);
        if (std::ranges::find(known, key) == known.end())
            return fail(Code::invalid_argument, "--disk {}: unknown word '{}'; known are {}", text, key,
                        fmt::join(known, ", "));
        if (key == "size") {
            BALLAST_TRY(disk["size_bytes"], size_json("--disk", value));
        } else {
            disk[key] = value;
        }
    }
    return disk;
}

Result<Json> disks_json(const VmFlags& options) {
    Json disks = Json::array();
    if (!options.image.empty()) {
        Json first{{"image", options.image}};
        if (!options.pool.empty()) first["pool"] = options.pool;
        disks.push_back(std::move(first));
    }
    for (const auto& text : options.disks) {
        BALLAST_TRY(auto disk, disk_json(text, options));
        disks.push_back(std::move(disk));
    }
    return disks;
}

}  // namespace

Result<Json> spec_json(const VmFlags& options) {
    Json spec{{"vcpus", options.vcpus}};
    BALLAST_TRY(spec["memory_bytes"], size_json("--memory", options.memory));
    if (!options.memory_minimum.empty()) {
        BALLAST_TRY(spec["memory_minimum_bytes"], size_json("--memory-minimum", options.memory_minimum));
    }
    BALLAST_TRY(spec["disks"], disks_json(options));
    spec["nics"] = Json::array();
    for (const auto& network : options.networks) spec["nics"].push_back(Json{{"network", network}});
    for (const auto& bridge : options.bridges) spec["nics"].push_back(Json{{"bridge", bridge}});
    if (!options.kernel.empty() || !options.cmdline.empty())
        spec["boot"] = Json{{"kernel", options.kernel}, {"initrd", options.initrd}, {"cmdline", options.cmdline}};
    if (!options.serial_log.empty()) spec["serial"] = Json{{"log_path", options.serial_log}};
    BALLAST_TRY(spec["labels"], parse_labels(options.labels));
    BALLAST_TRY(spec["host_labels"], parse_labels(options.host_labels));
    if (!options.anti_affinity.empty()) spec["anti_affinity"] = options.anti_affinity;
    BALLAST_TRY(auto placement, placement_json(options.placement));
    if (!placement.empty()) spec["placement"] = std::move(placement);
    if (options.autostart) spec["autostart"] = true;
    add_memory_json(spec, options.overcommit);
    if (options.no_balloon) spec["balloon"] = Json{{"enabled", false}};
    return spec;
}

void add_memory_flags(CLI::App& command, MemoryFlags& flags) {
    command
        .add_option("--memory-policy", flags.policy, "How far its memory may be taken: none, gentle, balanced, dense")
        ->check(CLI::IsMember({"none", "gentle", "balanced", "dense"}))
        ->type_name("POLICY");
    command
        .add_option("--shares", flags.shares, "Of memory beyond working sets, against its neighbours' (1000 is usual)")
        ->check(CLI::Range(1, 1'000'000));
    command.add_option("--priority", flags.priority, "As the last resort the VM of the lowest is suspended first");
    command.add_flag_function(
        "--merge,!--no-merge", [&flags](std::int64_t count) { flags.merge = count > 0; },
        "Whether it may share pages with others; a change waits for its next start");
    command.add_flag_function(
        "--may-suspend,!--no-suspend", [&flags](std::int64_t count) { flags.may_suspend = count > 0; },
        "Whether it may go to disk as the last resort of a host in danger");
}

void add_memory_json(Json& spec, const MemoryFlags& flags) {
    if (!flags.policy.empty()) spec["memory_policy"] = flags.policy;
    if (flags.shares > 0) spec["overcommit"]["shares"] = flags.shares;
    if (flags.priority) spec["overcommit"]["priority"] = *flags.priority;
    if (flags.merge) spec["overcommit"]["merge"] = *flags.merge;
    if (flags.may_suspend) spec["overcommit"]["may_suspend"] = *flags.may_suspend;
}

void add_vm_flags(CLI::App& command, VmFlags& options) {
    command.add_option("--image", options.image, "Make its first disk a copy-on-write child of this image");
    command.add_option("--memory", options.memory, "Memory (256M, 4G)")->type_name("SIZE");
    command.add_option("--memory-minimum", options.memory_minimum, "Memory that it keeps under pressure; default: all")
        ->type_name("SIZE");
    command.add_option("--vcpus", options.vcpus, "Virtual CPUs")->check(CLI::Range(1, 1024));
    command.add_option("--disk", options.disks, "A further new disk: 10G, or size=10G,pool=fast,format=raw")
        ->allow_extra_args(false)
        ->type_name("DISK");
    command.add_option("--pool", options.pool, "Pool of its disks; default: that of the cluster");
    command.add_option("--network", options.networks, "A NIC on this libvirt network; may be repeated")
        ->allow_extra_args(false);
    command.add_option("--bridge", options.bridges, "A NIC on this bridge of the host; may be repeated")
        ->allow_extra_args(false);
    command.add_option("--kernel", options.kernel, "Boot this kernel (a path on the host)")->type_name("PATH");
    command.add_option("--initrd", options.initrd, "with this initrd")->type_name("PATH");
    command.add_option("--cmdline", options.cmdline, "and this command line");
    command.add_option("--serial-log", options.serial_log, "A file on the host that also receives the serial console")
        ->type_name("PATH");
    command.add_option("--label", options.labels, "key=value; may be repeated")
        ->allow_extra_args(false)
        ->type_name("K=V");
    command.add_option("--host-label", options.host_labels, "The host must carry key=value")
        ->allow_extra_args(false)
        ->type_name("K=V");
    command.add_option("--anti-affinity", options.anti_affinity, "VMs of one group never share a host")
        ->type_name("GROUP");
    add_placement_flags(command, options.placement);
    command.add_option("--host", options.host, "Put it there; default: the scheduler chooses");
    command.add_flag("--autostart", options.autostart, "Start it with its host");
    add_memory_flags(command, options.overcommit);
    command.add_flag("--no-balloon", options.no_balloon, "Give it no balloon: it keeps all its memory");
}

}  // namespace ballast::cli
