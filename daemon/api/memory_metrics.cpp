#include "daemon/api/memory_metrics.h"

#include <algorithm>

#include "core/json_impl.h"
#include "daemon/api/metrics_text.h"

namespace ballast::api {
namespace {

using overcommit::HostPicture;
using overcommit::VmPicture;

template <class E>
std::string word(E value) {
    return to_json(value).template get<std::string>();
}

struct Shown {
    std::string labels;  ///< host="h1"
    std::shared_ptr<const HostPicture> picture;
};

/// Hosts that the inventory has, by name.
std::vector<Shown> shown(const Snapshot& snapshot, const overcommit::Pictures& pictures) {
    std::vector<Shown> all;
    for (const auto& [id, picture] : pictures)
        if (const Host* host = snapshot.hosts.find(id))
            all.push_back({fmt::format("host=\"{}\"", escaped(host->name)), picture});
    std::ranges::sort(all, {}, &Shown::labels);
    return all;
}

void add_parts(MetricsText& text, const std::vector<Shown>& hosts) {
    constexpr std::string_view name = "ballast_host_memory_part_bytes";
    text.family(name, "gauge", "Where the memory of a host is; the parts sum to its memory.");
    for (const auto& host : hosts) {
        for (auto row : memory::rows_of(host.picture->ledger)) {
            std::ranges::replace(row.name, ' ', '_');
            text.sample(name, fmt::format("{},part=\"{}\"", host.labels, row.name),
                        static_cast<double>(row.bytes.count()));
        }
    }
}

using Figure = double (*)(const HostPicture&);
struct Gauge {
    const char* name;
    const char* help;
    Figure figure;
};

double bytes(Bytes value) {
    return static_cast<double>(value.count());
}
double pages(Bytes value) {
    return static_cast<double>(value.count() / memory::page_size);
}

constexpr std::array host_gauges{
    Gauge{"ballast_host_memory_total_bytes", "Memory of the host.",
          [](const HostPicture& host) { return bytes(host.ledger.total); }},
    Gauge{"ballast_host_memory_reserve_bytes", "Kept free by the policy, as far as there is that much.",
          [](const HostPicture& host) { return bytes(host.ledger.reserve); }},
    Gauge{"ballast_host_memory_promised_bytes", "Maximums of all VMs.",
          [](const HostPicture& host) { return bytes(host.ledger.promised); }},
    Gauge{"ballast_host_memory_ballooned_bytes", "Taken back from guests.",
          [](const HostPicture& host) { return bytes(host.ledger.ballooned); }},
    Gauge{"ballast_host_memory_saved_bytes", "Saved by page sharing.",
          [](const HostPicture& host) { return bytes(host.ledger.saved); }},
    Gauge{"ballast_host_memory_unmet_bytes", "Missing to working sets and their margins.",
          [](const HostPicture& host) { return bytes(host.unmet); }},
    Gauge{"ballast_host_memory_level", "0 comfortable, 1 tight, 2 pressed, 3 critical.",
          [](const HostPicture& host) { return static_cast<double>(host.level); }},
    Gauge{"ballast_host_memory_risk", "Probability that VMs want more than there is within the next hour.",
          [](const HostPicture& host) { return host.risk.risk; }},
    Gauge{"ballast_host_memory_admits", "1 while the host takes more VMs.",
          [](const HostPicture& host) { return host.admits ? 1.0 : 0.0; }},
    Gauge{"ballast_host_memory_exporter_read", "1 while pressure and swapping of the host are read.",
          [](const HostPicture& host) { return host.sight == overcommit::Sight::full ? 1.0 : 0.0; }},
    Gauge{"ballast_host_memory_read_time_seconds", "Time of the last sweep.",
          [](const HostPicture& host) { return static_cast<double>(host.at.time_since_epoch().count()) / 1000; }},
    Gauge{"ballast_host_ksm_shared_pages", "Pages of 4 KiB that page sharing keeps.",
          [](const HostPicture& host) { return pages(host.ledger.shared); }},
    Gauge{"ballast_host_ksm_saved_pages", "Pages of 4 KiB that page sharing saves.",
          [](const HostPicture& host) { return pages(host.ledger.saved); }},
    Gauge{"ballast_host_ksm_estimated_cpu_share", "Estimated share of one core that scanning takes.",
          [](const HostPicture& host) { return host.ksm.cpu_share; }},
};

/// Every state appears, also those that it is not in: a rule on one needs its 0.
void add_ksm_states(MetricsText& text, const std::vector<Shown>& hosts) {
    constexpr std::string_view name = "ballast_host_ksm_state";
    text.family(name, "gauge", "1 for the state of page sharing that the host is in.");
    for (const auto& host : hosts)
        for (const auto& state : json_detail::enumerator_names<memory::KsmState>())
            text.sample(name, fmt::format("{},state=\"{}\"", host.labels, state),
                        std::uint64_t{state == word(host.picture->ksm.state)});
}

struct VmGauge {
    const char* name;
    const char* help;
    double (*figure)(const VmPicture&);
};
constexpr std::array vm_gauges{
    VmGauge{"ballast_vm_memory_balloon_bytes", "Memory that the guest has.",
            [](const VmPicture& vm) { return bytes(vm.balloon); }},
    VmGauge{"ballast_vm_memory_target_bytes", "Memory that the guest is to have.",
            [](const VmPicture& vm) { return bytes(vm.target); }},
    VmGauge{"ballast_vm_memory_working_set_bytes", "Memory that the guest needs.",
            [](const VmPicture& vm) { return bytes(vm.working_set.size); }},
    VmGauge{"ballast_vm_memory_idle_ratio", "Share of what it has that it does not need.",
            [](const VmPicture& vm) { return vm.working_set.idle; }},
    VmGauge{"ballast_vm_memory_trusted", "1 while the guest's figures are believed.",
            [](const VmPicture& vm) { return vm.working_set.trust == memory::Trust::trusted ? 1.0 : 0.0; }},
};

struct ShownVm {
    std::string labels;
    const VmPicture* vm;
};

void add_vms(MetricsText& text, const std::vector<Shown>& hosts, std::size_t most) {
    std::vector<ShownVm> vms;
    std::size_t left_out = 0;
    for (const auto& host : hosts) {
        for (const VmPicture& vm : host.picture->vms) {
            if (vms.size() == most)
                ++left_out;
            else
                vms.push_back({fmt::format("vm=\"{}\",id=\"{}\",{}", escaped(vm.name), vm.vm, host.labels), &vm});
        }
    }
    for (const auto& gauge : vm_gauges) {
        text.family(gauge.name, "gauge", gauge.help);
        for (const auto& vm : vms) text.sample(gauge.name, vm.labels, gauge.figure(*vm.vm));
    }
    text.gauge("ballast_vm_memory_left_out", "VMs without series of their own: there are too many.", left_out);
}

}  // namespace

std::string memory_metrics(const Snapshot& snapshot, const overcommit::Pictures& pictures, std::size_t most_vms) {
    MetricsText text;
    const auto hosts = shown(snapshot, pictures);
    add_parts(text, hosts);
    for (const auto& gauge : host_gauges) {
        text.family(gauge.name, "gauge", gauge.help);
        for (const auto& host : hosts) text.sample(gauge.name, host.labels, gauge.figure(*host.picture));
    }
    add_ksm_states(text, hosts);
    add_vms(text, hosts, most_vms);
    return text.take();
}

}  // namespace ballast::api
