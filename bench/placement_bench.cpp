// How fast placement decides, in process and on one core: a cluster filled to 70 %, ten VMs on each host, flavours that
// come in turn, every rule on; each decision's claim is held, and an older one released so that the fill stays. What a
// full why-not answer, the guard of a claim and N+1 cost beside it. Times are CPU time of this thread, so
// that a machine which others use too does not decide.
// placement_bench [--quick] [--check] [decide|why_not|overcommit|guard|absorb|capacity]: JSON lines (ARCHITECTURE.md
// 6). `scripts/bench placement` runs it together with what is measured beside peers (placement_bench.py).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/placement_cluster.h"
#include "bench/report.h"
#include "daemon/overcommit/admission.h"
#include "scheduler/absorb.h"
#include "scheduler/capacity.h"
#include "scheduler/fleet/fleet.h"
#include "scheduler/placement.h"

namespace {

using namespace ballast;
using namespace ballast::scheduler;

using bench::cpu_seconds;
using bench::flavour;
using bench::group_size;
using bench::make_cluster;
using Options = bench::Cases;

constexpr int flavours = 16;

bool all_met = true;

void line(const std::string& name, const std::string& metric, double value, const std::string& unit,
          const std::string& target = "null", const std::string& met = "null") {
    if (met == "false") all_met = false;
    bench::print_line("placement", name, metric, value, unit, target, met);
}

void at_least(const std::string& name, const std::string& metric, double value, const std::string& unit,
              double target) {
    line(name, metric, value, unit, fmt::format(R"(">= {:g}")", target), value >= target ? "true" : "false");
}

PlacementRequest request_of(int number) {
    PlacementRequest request;
    request.spec = flavour(number % flavours);
    request.spec.anti_affinity = fmt::format("new-{}", number / group_size);
    request.vm = VmId(fmt::format("new-{}", number));
    return request;
}

double percentile(std::vector<double> values, double share) {
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

double bench_decide(int hosts, const Options& options) {
    const auto snapshot = make_cluster(hosts);
    const double begin_build = cpu_seconds();
    Fleet fleet(snapshot);
    const std::string name = fmt::format("decide/{}", hosts);
    line(name, "fleet_build", (cpu_seconds() - begin_build) * 1e3, "ms");
    const int count = options.quick ? 2'000 : 40'000;
    const int kept = std::max(hosts / 2, 1);
    std::deque<ClaimId> claims;
    std::vector<double> times;
    times.reserve(static_cast<std::size_t>(count));
    int chosen = 0;
    const double begin = cpu_seconds();
    for (int i = 0; i < count; ++i) {
        const auto started = std::chrono::steady_clock::now();
        const PlacementRequest request = request_of(i);
        const auto host = fleet.choose(request, static_cast<std::uint64_t>(i));
        if (host) {
            ++chosen;
            claims.emplace_back(request.vm.str());
            fleet.hold(make_claim(*snapshot, *host, request, JobId(request.vm.str()), {}));
        }
        if (std::ssize(claims) > kept) {
            fleet.release(claims.front());
            claims.pop_front();
        }
        times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started).count());
    }
    const double rate = count / (cpu_seconds() - begin);
    line(name, "placed", 100.0 * chosen / count, "%");
    if (hosts >= 1000)
        at_least(name, "decisions_per_cpu_second", rate, "1/s", hosts >= 10'000 ? 2'000 : 20'000);
    else
        line(name, "decisions_per_cpu_second", rate, "1/s");
    line(name, "p50", percentile(times, 0.5), "us");
    line(name, "p99", percentile(times, 0.99), "us");
    line(name, "max", percentile(times, 1.0), "us");
    return rate;
}

/// Every host overcommits: VMs have a quarter of their memory guaranteed, and use half of it.
std::shared_ptr<const Snapshot> overcommitted(const Snapshot& plain) {
    auto snapshot = std::make_shared<Snapshot>(plain);
    for (const auto& row : plain.hosts.rows()) {
        Host host = *row;
        host.memory_policy = MemoryPolicy::balanced;
        snapshot->hosts.put(std::move(host));
    }
    for (const auto& row : plain.vms.rows()) {
        Vm vm = *row;
        vm.spec.memory_minimum = vm.spec.memory / 4;
        snapshot->vms.put(std::move(vm));
    }
    return snapshot;
}

std::shared_ptr<const MemoryAdmission> half_used(const Snapshot& snapshot) {
    std::map<HostId, overcommit::HostPicture> seen;
    snapshot.vms.for_each([&](const Vm& row) {
        overcommit::VmPicture vm;
        vm.vm = row.id;
        vm.maximum = row.spec.memory;
        vm.working_set.trust = memory::Trust::trusted;
        vm.working_set.mean = row.spec.memory / 2;
        vm.working_set.deviation = row.spec.memory / 10;
        seen[*row.host].vms.push_back(std::move(vm));
    });
    auto pictures = std::make_shared<overcommit::Pictures>();
    for (auto& [id, picture] : seen) {
        picture.host = id;
        picture.ledger.total = snapshot.hosts.find(id)->facts.memory;
        (*pictures)[id] = std::make_shared<const overcommit::HostPicture>(std::move(picture));
    }
    return std::make_shared<const overcommit::Admissions>(std::move(pictures));
}

/// What asking the memory controllers costs: of every host once per flavour, then of those that changed.
void bench_overcommit(int hosts, const Options& options) {
    const auto snapshot = overcommitted(*make_cluster(hosts));
    Fleet fleet(snapshot);
    Preferences preferences;
    preferences.memory = half_used(*snapshot);
    fleet.prefer(preferences);
    const std::string name = fmt::format("overcommit/{}", hosts);
    const auto ask = [&](int i) {
        PlacementRequest request = request_of(i);
        request.spec.memory_minimum = request.spec.memory / 4;
        const auto host = fleet.choose(request, static_cast<std::uint64_t>(i));
        if (host) fleet.hold(make_claim(*snapshot, *host, request, JobId(request.vm.str()), {}));
    };
    const double begin = cpu_seconds();
    for (int i = 0; i < flavours; ++i) ask(i);
    line(name, "first_of_a_flavour", (cpu_seconds() - begin) / flavours * 1e3, "ms");
    const int count = options.quick ? 500 : 5'000;
    const double begin_again = cpu_seconds();
    for (int i = 0; i < count; ++i) ask(flavours + i);
    line(name, "decisions_per_cpu_second", count / (cpu_seconds() - begin_again), "1/s");
}

void bench_why_not(int hosts, const Options& options) {
    const auto snapshot = make_cluster(hosts);
    const int count = options.quick ? 2 : std::max(3, 20'000 / hosts);
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
        const double begin = cpu_seconds();
        const Decision decision = decide(*snapshot, request_of(i), 1);
        times.push_back((cpu_seconds() - begin) * 1e3);
        if (decision.hosts.size() != static_cast<std::size_t>(hosts)) std::abort();
    }
    line(fmt::format("why_not/{}", hosts), "full_answer", percentile(times, 0.5), "ms");
}

void bench_guard(int hosts, const Options& options) {
    const auto snapshot = make_cluster(hosts);
    Fleet fleet(snapshot);
    Snapshot now = *snapshot;
    const int count = options.quick ? 200 : 5'000;
    const PlacementRequest request = request_of(1);
    const HostId host = fleet.choose(request, 1).value();
    const Basis basis = fleet.basis_of(host, request.spec);
    for (int i = 0; i < 32; ++i)  // others were faster
        now.claims.put(
            make_claim(now, HostId(fmt::format("host-{:05}", i)), request_of(i), JobId(fmt::format("j{}", i)), {}));
    const double begin = cpu_seconds();
    int accepted = 0;
    for (int i = 0; i < count; ++i) accepted += check_claim(now, basis, request).has_value() ? 1 : 0;
    const double quick = (cpu_seconds() - begin) / count * 1e6;
    const double begin_whole = cpu_seconds();
    const int few = std::max(1, count / 100);
    for (int i = 0; i < few; ++i) accepted += check_claim(now, host, request).has_value() ? 1 : 0;
    if (accepted != count + few) std::abort();
    line(fmt::format("guard/{}", hosts), "by_what_changed", quick, "us");
    line(fmt::format("guard/{}", hosts), "by_everything", (cpu_seconds() - begin_whole) / few * 1e6, "us");
}

void bench_absorb(int hosts, const Options& options) {
    const auto snapshot = make_cluster(hosts);
    Absorber absorber;
    std::vector<Absorber::HostState> states;
    for (const HostView& view : view_hosts(*snapshot, VmId("nobody")))
        states.push_back({.takes = true,
                          .counts = true,
                          .free_memory = view.free_memory().count(),
                          .free_vcpus = view.free_vcpus(),
                          .guests = {}});
    snapshot->vms.for_each([&](const Vm& vm) {
        const auto host = static_cast<std::size_t>(std::stoi(vm.host->str().substr(5)));
        states[host].guests.push_back({.memory = vm.spec.memory.count(), .vcpus = vm.spec.vcpus});
    });
    const double begin = cpu_seconds();
    for (std::size_t i = 0; i < states.size(); ++i) absorber.set(static_cast<Absorber::Index>(i), states[i]);
    const auto exposed = absorber.exposed();
    const std::string name = fmt::format("absorb/{}", hosts);
    line(name, "whole_cluster", (cpu_seconds() - begin) * 1e3, "ms");
    line(name, "exposed_hosts", static_cast<double>(exposed.size()), "hosts");
    const int count = options.quick ? 500 : 20'000;
    const double begin_checks = cpu_seconds();
    int refused = 0;
    for (int i = 0; i < count; ++i) {
        const auto host = static_cast<Absorber::Index>(static_cast<std::size_t>(i) * 7919U % states.size());
        const Absorber::Guest guest{.memory = gibibytes(1 + i % 4).count(), .vcpus = 1};
        if (absorber.exposed_by(host, guest)) {
            ++refused;
            continue;
        }
        if (i % 2 == 0) continue;  // half of them come, and go again
        auto state = states[host];
        state.free_memory -= guest.memory;
        state.guests.push_back(guest);
        absorber.set(host, state);
        absorber.set(host, states[host]);
    }
    line(name, "check_and_change", (cpu_seconds() - begin_checks) / count * 1e6, "us");
    line(name, "refused", 100.0 * refused / count, "%");
}

void bench_capacity(int hosts) {
    const auto snapshot = make_cluster(hosts);
    const double begin = cpu_seconds();
    PlacementRequest request;
    request.spec = flavour(3);
    const auto capacity = find_capacity(snapshot, request, most_capacity, 1);
    if (!capacity) std::abort();
    line(fmt::format("capacity/{}", hosts), "more", static_cast<double>(capacity->more), "vms");
    line(fmt::format("capacity/{}", hosts), "whole_query", (cpu_seconds() - begin) * 1e3, "ms");
}

Options parse(int count, char** arguments) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        if (argument == "--quick")
            options.quick = true;
        else if (argument == "--check")
            options.check = true;
        else
            options.cases.push_back(argument);
    }
    return options;
}

}  // namespace

int main(int count, char** arguments) {
    const Options options = parse(count, arguments);
    const std::vector<int> sizes = options.quick ? std::vector{100, 1000} : std::vector{100, 1000, 10'000};
    double last_rate = 0;
    for (const int hosts : sizes) {
        if (!options.wants("decide")) break;
        const double rate = bench_decide(hosts, options);
        // Below linear: ten times the hosts cost less than ten times the work.
        if (last_rate > 0)
            line(fmt::format("decide/{}", hosts), "growth_for_10x_hosts", last_rate / rate, "x", R"("< 10")",
                 last_rate / rate < 10 ? "true" : "false");
        last_rate = rate;
    }
    for (const int hosts : sizes) {
        if (options.wants("why_not")) bench_why_not(hosts, options);
        if (options.wants("overcommit") && hosts <= 1000) bench_overcommit(hosts, options);
        if (options.wants("guard")) bench_guard(hosts, options);
        if (options.wants("absorb")) bench_absorb(hosts, options);
    }
    if (options.wants("capacity")) bench_capacity(options.quick ? 100 : 1000);
    return options.check && !all_met ? 1 : 0;
}
