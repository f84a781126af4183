// What a script says of the memory of hosts: who keeps it, which VMs give some, what happens to it, and what is so now.
#include <algorithm>

#include <boost/describe/enum_from_string.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <nlohmann/json.hpp>

#include "core/json_impl.h"
#include "daemon/reconcile/words.h"
#include "tests/golden/scenario/script.h"

namespace ballast::testing {
namespace {

Bytes bytes_of(double count) {
    return Bytes(static_cast<std::int64_t>(count));
}

MemoryPolicy policy_named(const std::string& word) {
    MemoryPolicy policy = MemoryPolicy::balanced;
    if (!boost::describe::enum_from_string(word.c_str(), policy))
        throw std::runtime_error("no memory policy is named '" + word + "'");
    return policy;
}

}  // namespace

void Script::add_memory() {
    acts_["keep-memory"] = [this](const Line& line) {
        overcommit::MemorySettings settings;
        settings.policy = policy_named(line.value_or("policy", "balanced"));
        stage_.keep_memory(std::move(settings));
    };
    acts_["overcommit"] = [this](const Line& line) {
        Json wishes = Json::object();
        for (const char* key : {"shares", "priority"})
            if (const auto at = line.values.find(key); at != line.values.end()) wishes[key] = std::stoi(at->second);
        if (line.values.contains("may_suspend")) wishes["may_suspend"] = line.values.at("may_suspend") == "yes";
        const Json spec{{"memory_policy", line.value_or("policy", "balanced")}, {"overcommit", wishes}};
        for (std::size_t i = 1; i < line.words.size(); ++i)
            request(line, api::Verb::patch, "/api/v1/vms/" + id_of(line.words[i]), {{"spec", spec}});
    };
    acts_["host-memory"] = [this](const Line& line) {
        stage_.world().faults().set_memory(line.word(1), parse_bytes(line.word(2)).value());
    };
    acts_["stop-ksm"] = [this](const Line& line) { stage_.world().faults().run_ksm(line.word(1), false); };
    acts_["run-ksm"] = [this](const Line& line) { stage_.world().faults().run_ksm(line.word(1), true); };
    acts_["memory"] = [this](const Line& line) { show_memory(line.word(1)); };
}

std::string Script::memory_level(const HostId& host) const {
    const auto picture = stage_.picture_of(host);
    return picture ? reconcile::words(picture->level) : std::string();
}

/// Why its balloon is not moved; empty: it may be, or nobody looked.
std::string Script::left_alone(const HostId& host, const VmId& vm) const {
    const auto picture = stage_.picture_of(host);
    if (!picture) return {};
    const auto at = std::ranges::find(picture->vms, vm, &overcommit::VmPicture::vm);
    return at == picture->vms.end() ? std::string() : at->left_alone;
}

/// The level by the last sweep, and what is really so in the guests.
void Script::show_memory(const std::string& name) {
    const auto now = stage_.snapshot();
    const auto host = find_host(*now, name);
    if (!host) return stage_.log(host.error().message());
    const auto pressure = stage_.world().pressure_of(name);
    int kills = pressure ? pressure->oom_kills : 0;
    std::vector<std::string> lines;
    for (const auto& row : now->vms.select([&](const Vm& one) { return one.host == (*host)->id; })) {
        const auto guest = stage_.world().memory_of(name, row->id);
        if (!guest) continue;
        kills += guest->oom_kills;
        const std::string lacks =
            guest->swapped >= 1 ? fmt::format(", of which {} are swapped out", bytes_of(guest->swapped)) : "";
        const std::string alone = left_alone((*host)->id, row->id);
        lines.push_back(fmt::format("  {} has {} of {}, its programs want {}{}{}", row->name, bytes_of(guest->balloon),
                                    bytes_of(guest->maximum), bytes_of(guest->wanted), lacks,
                                    alone.empty() ? "" : "; left alone: " + alone));
    }
    const auto picture = stage_.picture_of((*host)->id);
    const std::string level =
        picture ? fmt::format("{}: {}", reconcile::words(picture->level), picture->level_why) : "not looked at";
    stage_.log(fmt::format("{} is {}; kernels ended {} programs for lack of memory", name, level, kills));
    std::ranges::sort(lines);
    for (const auto& line : lines) stage_.log(line);
}

}  // namespace ballast::testing
