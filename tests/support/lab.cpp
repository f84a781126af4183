#include "tests/support/lab.h"

#include <array>
#include <cstdio>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace ballast::testing {
namespace {

struct Outcome {
    int status = 0;
    std::string output;
};

Outcome run_command(const std::string& command) {
    Outcome outcome;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("can't run: " + command);
    std::array<char, 4096> buffer{};
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
        outcome.output.append(buffer.data(), got);
    outcome.status = ::pclose(pipe);
    return outcome;
}

/// Standard error goes with the output: it holds the lab's reason when something fails.
std::string lab_command(const std::string& name, const std::string& words, bool with_errors = true) {
    const std::string command = std::string(BALLAST_SOURCE_DIR) + "/lab/lab --name " + name + " " + words +
                                (with_errors ? " 2>&1" : " 2>/dev/null");
    auto [status, output] = run_command(command);
    if (status != 0) throw std::runtime_error("`" + command + "` failed: " + output);
    return output;
}

LabHost read_host(const nlohmann::json& json) {
    const auto text = [&json](const char* key) { return json.value(key, std::string()); };
    LabHost host{.name = text("name"),
                 .uri = text("uri"),
                 .tcp_uri = text("tcp_uri"),
                 .peer_uri = text("peer_uri"),
                 .migration_address = text("migration_address"),
                 .host_uuid = text("host_uuid"),
                 .state = text("state"),
                 .netns = text("netns"),
                 .local_pool_backing = text("local_pool_backing"),
                 .libvirtd_pid = json["libvirtd_pid"].is_number() ? json["libvirtd_pid"].get<int>() : 0,
                 .qemu_pids = {}};
    for (const auto& pid : json["qemu_pids"]) host.qemu_pids.push_back(pid.get<int>());
    return host;
}

}  // namespace

std::unique_ptr<Lab> Lab::up(const std::string& name, int hosts) {
    std::unique_ptr<Lab> lab(new Lab(name));
    static_cast<void>(lab_command(name, "down"));
    static_cast<void>(lab_command(name, "up --hosts " + std::to_string(hosts)));
    lab->refresh();
    return lab;
}

Lab::~Lab() {
    try {
        static_cast<void>(lab_command(name_, "down"));
    } catch (const std::exception& thrown) {
        std::fprintf(stderr, "the lab could not be removed: %s\n", thrown.what());
    }
}

void Lab::refresh() {
    const auto json = nlohmann::json::parse(lab_command(name_ + " --json", "status", false));
    shared_dir_ = json.value("shared_dir", std::string());
    console_dir_ = json.value("console_dir", std::string());
    hosts_.clear();
    for (const auto& host : json["hosts"]) hosts_.push_back(read_host(host));
}

LabGuest Lab::guest() const {
    const auto json = nlohmann::json::parse(lab_command(name_, "guest info --json", false));
    return {.kernel = json["kernel"], .initrd = json["initrd"], .image = json["image"], .cmdline = json["cmdline"]};
}

void Lab::act(const std::string& verb, std::size_t host, const std::string& more) {
    static_cast<void>(lab_command(name_, verb + " " + hosts_.at(host).name + " " + more));
}

std::string Lab::virsh(std::size_t host, const std::string& words) const {
    return lab_command(name_, "virsh " + hosts_.at(host).name + " -- " + words);
}

}  // namespace ballast::testing
