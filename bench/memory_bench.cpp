// The memory controller without a lab: what one sweep of many hosts costs, a flash crowd beside MOM's and Proxmox's
// rules, and whether the stated risk is true over a simulated year.
// memory_bench [--quick] [--check] [--seed N] [--risk R] [cost|crowd|admission]: JSON lines (ARCHITECTURE.md 6). Times
// are CPU time of this thread, so that a machine which others use too does not decide.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/memory/crowd.h"
#include "bench/memory/fleet.h"
#include "bench/memory/year.h"
#include "bench/report.h"

namespace {

using namespace ballast;
using namespace ballast::bench;

struct Options : Cases {
    std::uint64_t seed = 1;
    double risk = 0.001;
};

bool all_met = true;

void line(const std::string& name, const std::string& metric, double value, const std::string& unit,
          const std::string& target = "null", const std::string& met = "null") {
    if (met == "false") all_met = false;
    bench::print_line("memory", name, metric, value, unit, target, met);
}
void within(const std::string& name, const std::string& metric, double value, const std::string& unit, double low,
            double high) {
    line(name, metric, value, unit, fmt::format(R"("{:g} to {:g}")", low, high),
         value >= low && value <= high ? "true" : "false");
}

/// Median CPU time of a sweep of all hosts, in ms.
double sweep_ms(Fleet& fleet, int sweeps) {
    std::vector<double> times;
    for (int i = 0; i < sweeps; ++i) {
        fleet.pass_time();
        const double begin = cpu_seconds();
        fleet.sweep();
        times.push_back((cpu_seconds() - begin) * 1e3);
    }
    std::ranges::sort(times);
    return times[times.size() / 2];
}

void bench_cost(const Options& options) {
    constexpr double most_ms = 200;
    double before = 0;
    for (const int hosts : {125, 250, 500}) {
        Fleet fleet(hosts, 40, options.seed);
        const double ms = sweep_ms(fleet, options.quick ? 5 : 25);
        const std::string name = fmt::format("cost/{}x40", hosts);
        if (hosts == 500)
            within(name, "sweep", ms, "ms", 0, most_ms);
        else
            line(name, "sweep", ms, "ms");
        if (before > 0) within(name, "growth_by_doubling", ms / before, "1", 1.5, 2.5);
        before = ms;
    }
}

void say(const std::string& name, const CrowdResult& result) {
    line(name, "mean_back", result.mean_back_s, "s");
    line(name, "last_back", result.last_back_s, "s");
    line(name, "never_back", result.never_back, "1");
    line(name, "major_faults", result.major_faults, "1");
    line(name, "host_free_minimum", 100 * result.free_minimum, "%");
    line(name, "critical", result.critical_s, "s");
    line(name, "host_has_nothing_free", result.swapping_s, "s");
}

/// `bound`: with memory for all.
void judge(const std::string& name, const CrowdResult& own, const CrowdResult& mom, const CrowdResult& proxmox,
           const CrowdResult& bound) {
    const CrowdResult& best = mom.mean_back_s <= proxmox.mean_back_s ? mom : proxmox;
    const double faster = best.mean_back_s / std::max(own.mean_back_s, 0.1);
    const bool met = faster >= 3 && own.critical_s == 0;
    if (!met) all_met = false;
    fmt::print(
        R"({{"bench":"memory","case":"{}","metric":"mean_back_of_best_peer","value":{:.3g},"unit":"s",)"
        R"("peer":"{}","peer_value":{:.3g},"ratio":{:.3g},"bound":{:.3g},"critical_s":{},"target":">= 3 and never critical",)"
        R"("met":{}}})"
        "\n",
        name, own.mean_back_s, &best == &mom ? "mom" : "proxmox", best.mean_back_s, faster, bound.mean_back_s,
        own.critical_s, met);
}

void bench_crowd() {
    const std::vector<CrowdCase> crowds{
        {.name = "crowd/full_of_cache", .cache_gib = 3.0, .reporting = false},
        {.name = "crowd/idle_and_empty"},
        {.name = "crowd/more_than_there_is", .fits = false, .small_gib = 1.6, .large_gib = 2.4},
    };
    for (const CrowdCase& crowd : crowds) {
        std::vector<CrowdResult> results;
        for (const auto& controller : {ballast_controller(), mom_controller(), proxmox_controller()}) {
            results.push_back(play(crowd, *controller));
            say(crowd.name + "/" + controller->name(), results.back());
        }
        const auto nobody = no_controller();
        const CrowdResult bound = play(with_memory_for_all(crowd), *nobody);
        say(crowd.name + "/" + nobody->name(), bound);
        if (crowd.fits)
            judge(crowd.name, results[0], results[1], results[2], bound);
        else
            within(crowd.name, "critical", results[0].critical_s, "s", 0, 0);
    }
}

void bench_admission(const Options& options, double minutes_between_draws) {
    YearOptions year;
    year.seed = options.seed;
    year.risk = options.risk;
    year.minutes_between_draws = minutes_between_draws;
    if (options.quick) year.hosts = 20, year.days = 90;
    const double begin = cpu_seconds();
    const YearResult result = play_year(year);
    const std::string name =
        fmt::format("admission/{}_hosts_{}_days_{}_min", year.hosts, year.days, minutes_between_draws);
    line(name, "vms_per_host", result.vms_per_host, "1");
    line(name, "promised_of_memory", result.promised, "1");
    line(name, "stated_risk_per_hour", 100 * result.stated, "%");
    line(name, "found_risk_per_hour", 100 * result.found, "%");
    line(name, "stated_at_a_moment", 100 * result.stated_moment, "%");
    line(name, "found_of_all_time", 100 * result.found_moment, "%");
    line(name, "measured_correlation_in_groups", result.group_correlation, "1");
    line(name, "measured_correlation_of_any_two", result.host_correlation, "1");
    line(name, "measured_persistence", result.persistence_min, "min");
    within(name, "found_of_stated", result.found / std::max(result.stated, 1e-12), "1", 0.5, 2);
    line(name, "cpu_time", cpu_seconds() - begin, "s");
}

Options parse(int count, char** words) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        if (word == "--quick")
            options.quick = true;
        else if (word == "--check")
            options.check = true;
        else if (word == "--seed" && i + 1 < count)
            options.seed = std::stoull(words[++i]);
        else if (word == "--risk" && i + 1 < count)
            options.risk = std::stod(words[++i]);
        else
            options.cases.push_back(word);
    }
    return options;
}

}  // namespace

int main(int count, char** words) {
    const Options options = parse(count, words);
    if (options.wants("cost")) bench_cost(options);
    if (options.wants("crowd")) bench_crowd();
    if (options.wants("admission"))
        for (const double minutes : {5.0, 15.0, 45.0}) bench_admission(options, minutes);
    return options.check && !all_met ? EXIT_FAILURE : EXIT_SUCCESS;
}
