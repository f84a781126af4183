// A simulated month of 200 hosts and 4,000 VMs under Ballast's planner, and beside it under no balancing, a threshold
// balancer with a cool-down, and Proxmox's CRS rule.
// month_bench [--quick] [--check] [--seeds 21,22,23] [--hosts N] [--vms N] [--days N] [--load F] [--traces FOLDER]
// [POLICY…]: JSON lines (ARCHITECTURE.md 6). Seeds 1 to 13 were seen while the bench was made.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/month/ballast_policy.h"
#include "bench/month/peers.h"

namespace {

using namespace ballast;
using namespace ballast::bench;

constexpr double less_contention = 0.7;  ///< of the best of the others

struct Options {
    bool quick = false;
    bool check = false;
    std::vector<std::uint64_t> seeds{21, 22, 23};
    MonthOptions month;
    BallastOptions ballast;
    ThresholdOptions threshold;
    std::vector<std::string> policies;
    [[nodiscard]] bool wants(const std::string& name) const {
        return policies.empty() || std::ranges::find(policies, name) != policies.end();
    }
};

std::vector<std::uint64_t> numbers_in(const std::string& text) {
    std::vector<std::uint64_t> numbers;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t used = 0;
        numbers.push_back(std::stoull(text.substr(at), &used));
        at += used + 1;
    }
    return numbers;
}

Options parse(int count, char** words) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        const auto value = [&]() -> std::string { return i + 1 < count ? words[++i] : ""; };
        if (word == "--quick")
            options.quick = true;
        else if (word == "--check")
            options.check = true;
        else if (word == "--seeds")
            options.seeds = numbers_in(value());
        else if (word == "--hosts")
            options.month.hosts = std::stoi(value());
        else if (word == "--vms")
            options.month.vms = std::stoi(value());
        else if (word == "--days")
            options.month.days = std::stoi(value());
        else if (word == "--load")
            options.month.load = std::stod(value());
        else if (word == "--traces")
            options.month.traces = value();
        else if (word == "--stay")
            options.ballast.stay_hours = std::stoi(value());
        else if (word == "--every")
            options.ballast.every_slots = std::stoi(value());
        else if (word == "--threshold")
            options.threshold.threshold = std::stod(value());
        else if (word == "--history")
            options.threshold.history_slots = std::stoi(value());
        else
            options.policies.push_back(word);
    }
    if (options.quick) {
        options.seeds.resize(1);
        options.month.hosts = 40;
        options.month.vms = 800;
        options.month.days = 7;
    }
    return options;
}

class Report {
  public:
    Report(std::string load, std::uint64_t seed) : case_(fmt::format("{}, seed {}", load, seed)) {}

    /// What no placement could avoid.
    void add_floor(double core_s) const { say("any", "unservable", core_s, "core s"); }

    void add(const std::string& policy, const MonthResult& result) {
        say(policy, "contention", result.contention_core_s, "core s");
        say(policy, "contended", result.contended_host_s, "host s");
        say(policy, "migrations", result.migrations, "1");
        say(policy, "returns", result.returns, "1");
        say(policy, "returns_within_6_h", result.returns_soon, "1");
        say(policy, "energy", result.energy_kwh, "kWh");
        say(policy, "policy_time", result.seconds, "s");
        results_[policy] = result;
    }

    /// The target, where all have run. False: missed.
    [[nodiscard]] bool judge() const {
        const auto own = results_.find("ballast");
        if (own == results_.end() || results_.size() < 2) return true;
        std::string best;
        for (const auto& [name, result] : results_)
            if (name != "ballast" && (best.empty() || result.contention_core_s < results_.at(best).contention_core_s))
                best = name;
        const MonthResult& peer = results_.at(best);
        const double ratio = own->second.contention_core_s / std::max(1.0, peer.contention_core_s);
        const bool fewer = own->second.migrations <= peer.migrations || best == "no balancing";
        const bool met = ratio <= less_contention && fewer;
        fmt::print(R"({{"bench":"month","case":"{}","metric":"contention_of_best_peer","value":{:.0f},"unit":"core s",)"
                   R"("peer":"{}","peer_value":{:.0f},"ratio":{:.3f},"migrations":{},"peer_migrations":{},)"
                   R"("target":{},"met":{}}})"
                   "\n",
                   case_, own->second.contention_core_s, best, peer.contention_core_s, ratio, own->second.migrations,
                   peer.migrations, less_contention, met);
        std::fflush(stdout);
        return met;
    }

  private:
    void say(const std::string& policy, const char* metric, double value, const char* unit) const {
        fmt::print(R"({{"bench":"month","case":"{}","policy":"{}","metric":"{}","value":{:.1f},"unit":"{}"}})"
                   "\n",
                   case_, policy, metric, value, unit);
        std::fflush(stdout);
    }

    std::string case_;
    std::map<std::string, MonthResult> results_;
};

/// Whether the target was met; nothing: the month could not be made.
std::optional<bool> run_one(const Options& options, std::uint64_t seed) {
    MonthOptions month = options.month;
    month.seed = seed;
    const auto world = make_month(month);
    if (!world) {
        fmt::print(stderr, "month_bench: {}\n", world.error().chain());
        return std::nullopt;
    }
    Report report(month.traces.empty() ? "generated" : "PlanetLab", seed);
    report.add_floor(unservable_core_s(*world));
    std::vector<std::unique_ptr<Policy>> policies;
    policies.push_back(make_no_balancing());
    policies.push_back(make_threshold(options.threshold));
    policies.push_back(make_crs());
    policies.push_back(make_ballast(*world, options.ballast));
    for (const auto& policy : policies)
        if (options.wants(policy->name())) report.add(policy->name(), play(*world, *policy));
    return report.judge();
}

}  // namespace

int main(int count, char** words) {
    const Options options = parse(count, words);
    bool met = true;
    for (const std::uint64_t seed : options.seeds) {
        const auto outcome = run_one(options, seed);
        if (!outcome) return EXIT_FAILURE;
        met = met && *outcome;
    }
    return options.check && !met ? EXIT_FAILURE : EXIT_SUCCESS;
}
