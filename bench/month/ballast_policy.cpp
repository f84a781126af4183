#include "bench/month/ballast_policy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <set>
#include <stdexcept>

#include "scheduler/plan/planner.h"

namespace ballast::bench {
namespace {

using scheduler::ClusterLoad;
using scheduler::ClusterPlan;
using scheduler::PlanStep;
using scheduler::RecentMove;
using scheduler::VmLoad;

/// A Monday, midnight.
constexpr Timestamp beginning{std::chrono::sys_days(std::chrono::year(2026) / 1 / 5)};
constexpr double newest = 0.3;  ///< weight of the newest day in an hour's mean
constexpr double link_bytes_per_s = 1.25e9 / 2;

Timestamp time_of(int slot) {
    return beginning + Seconds(slot * std::int64_t{slot_s});
}
int hour_of(int slot) {
    return slot / slots_per_hour % 24;
}
std::size_t kind_of_day(int slot) {
    return slot / slots_per_day % 7 >= 5 ? 1 : 0;
}
std::string host_name(std::size_t host) {
    return fmt::format("h{:03}", host);
}
HostId host_id(std::size_t host) {
    return HostId(host_name(host));
}

/// What was seen of one VM.
class Habit {
  public:
    void see(int slot, double cores) {
        const auto hour = static_cast<std::size_t>(hour_of(slot));
        sum_ += cores;
        ++in_hour_;
        const double expected = expect(slot);
        const double off = cores - expected;
        variance_ = seen_ == 0 ? 0 : variance_ + 0.01 * (off * off - variance_);
        ++seen_;
        if ((slot + 1) % slots_per_hour != 0) return;
        Hour& kept = hours_[kind_of_day(slot)][hour];
        const double mean = sum_ / slots_per_hour;
        kept.mean = kept.days == 0 ? mean : kept.mean + newest * (mean - kept.mean);
        ++kept.days;
        recent_ = mean;
        sum_ = 0;
        in_hour_ = 0;
    }
    /// The coming day: hours that were never seen are taken from the other kind of day, and else from the last hour.
    [[nodiscard]] VmLoad load(int slot) const {
        VmLoad load;
        load.cpu_by_hour.resize(24);
        for (int ahead = 0; ahead < 24; ++ahead) {
            const int then = slot + ahead * slots_per_hour;
            load.cpu_by_hour[static_cast<std::size_t>(hour_of(then))] = expect(then);
        }
        for (const double mean : load.cpu_by_hour) load.cpu_mean += mean / 24;
        load.cpu_deviation = std::sqrt(variance_);
        return load;
    }

  private:
    struct Hour {
        double mean = 0;
        int days = 0;
    };
    [[nodiscard]] double expect(int slot) const {
        const auto hour = static_cast<std::size_t>(hour_of(slot));
        const std::size_t kind = kind_of_day(slot);
        if (hours_[kind][hour].days > 0) return hours_[kind][hour].mean;
        if (hours_[1 - kind][hour].days > 0) return hours_[1 - kind][hour].mean;
        return in_hour_ > 0 ? sum_ / in_hour_ : recent_;
    }

    std::array<std::array<Hour, 24>, 2> hours_{};
    double sum_ = 0;
    int in_hour_ = 0;  ///< samples in sum_
    double recent_ = 0;
    double variance_ = 0;
    std::int64_t seen_ = 0;
};

class Ballast final : public Policy {
  public:
    Ballast(const MonthWorld& world, BallastOptions options)
        : world_(world), options_(options), habits_(world.vms.size()), at_(world.start) {
        for (int host = 0; host < world.hosts; ++host) add_host(static_cast<std::size_t>(host));
        for (int from = 0; from < world.hosts; ++from)
            for (int to = 0; to < world.hosts; ++to)
                if (from != to) add_pair(static_cast<std::size_t>(from), static_cast<std::size_t>(to));
        for (std::size_t vm = 0; vm < world.vms.size(); ++vm) put_vm(vm);
    }

    [[nodiscard]] std::string name() const override { return "ballast"; }

    [[nodiscard]] std::vector<MonthMove> decide(const MonthView& view) override {
        if (view.slot == 0) return {};
        for (std::size_t vm = 0; vm < habits_.size(); ++vm)
            habits_[vm].see(view.slot - 1, world_.cores_of(view.slot - 1, vm));
        follow(view);
        if (view.slot % options_.every_slots == 0) plan(view);
        return next_steps(view);
    }

  private:
    static std::size_t index(const VmId& vm) { return static_cast<std::size_t>(std::stoul(vm.str())); }
    static int host_index(const HostId& host) { return std::stoi(host.str().substr(1)); }

    void add_host(std::size_t number) {
        Host host;
        host.id = host_id(number);
        host.name = host_name(number);
        host.managed = true;
        host.state = HostState::up;
        host.facts.cpus = static_cast<int>(world_.cores);
        host.facts.memory = Bytes(world_.memory);
        host.facts.cpu_model = "EPYC";
        host.facts.cpu_models = {"EPYC"};
        host.facts.machine_types = {"pc-q35-7.2"};
        host.facts.accelerators = {"kvm"};
        snapshot_.hosts.put(std::move(host));
    }

    void add_pair(std::size_t from, std::size_t to) {
        HostPair pair;
        pair.id = PairId(host_name(from) + ">" + host_name(to));
        pair.from = host_id(from);
        pair.to = host_id(to);
        pair.checked = beginning;
        snapshot_.pairs.put(std::move(pair));
    }

    void put_vm(std::size_t number) {
        Vm vm;
        vm.id = VmId(fmt::format("{:06}", number));
        vm.name = "v" + vm.id.str();
        vm.managed = true;
        vm.host = host_id(static_cast<std::size_t>(at_[number]));
        vm.state = VmState::running;
        vm.spec.vcpus = world_.vms[number].vcpus;
        vm.spec.memory = Bytes(world_.vms[number].memory);
        vm.balloon = vm.spec.memory;
        Definition here;
        here.host = *vm.host;
        here.state = DomainState::running;
        vm.definitions = {std::move(here)};
        snapshot_.vms.put(std::move(vm));
    }

    /// Moves that have ended since.
    void follow(const MonthView& view) {
        for (std::size_t vm = 0; vm < at_.size(); ++vm) {
            if (at_[vm] == view.at[vm]) continue;
            recent_.push_back({.vm = VmId(fmt::format("{:06}", vm)),
                               .from = host_id(static_cast<std::size_t>(at_[vm])),
                               .to = host_id(static_cast<std::size_t>(view.at[vm])),
                               .at = time_of(view.slot)});
            at_[vm] = view.at[vm];
            put_vm(vm);
        }
        const Timestamp now = time_of(view.slot);
        while (!recent_.empty() && now - recent_.front().at > std::chrono::hours(24)) recent_.pop_front();
    }

    void plan(const MonthView& view) {
        ClusterLoad load;
        load.at = time_of(view.slot);
        for (std::size_t vm = 0; vm < habits_.size(); ++vm)
            load.vms[VmId(fmt::format("{:06}", vm))] = habits_[vm].load(view.slot);
        scheduler::PlanOptions options;
        options.stay = std::chrono::hours(options_.stay_hours);
        options.seed = options_.seed;
        options.now = load.at;
        const scheduler::MoveCosts costs = [this](const Vm& vm, const HostId&, const HostId&) { return cost(vm); };
        const std::vector<RecentMove> recent(recent_.begin(), recent_.end());
        const auto planned =
            scheduler::plan_cluster(snapshot_, load, recent, costs, options, scheduler::balance::run_in_turn, {});
        if (!planned) throw std::runtime_error("no plan: " + planned.error().chain());
        steps_ = planned->steps;
    }

    [[nodiscard]] scheduler::MoveCost cost(const Vm& vm) const {
        const MonthVm& row = world_.vms[index(vm.id)];
        const double bytes = static_cast<double>(row.touched) / (1 - row.dirty);
        scheduler::MoveCost cost;
        cost.total = Milliseconds(static_cast<std::int64_t>(2000 + 1000 * bytes / link_bytes_per_s));
        cost.downtime = Milliseconds(100);
        cost.bytes = Bytes(static_cast<std::int64_t>(bytes));
        return cost;
    }

    /// Steps whose predecessors have ended. One that does not begin in this slot is asked for again in the next.
    [[nodiscard]] std::vector<MonthMove> next_steps(const MonthView& view) {
        std::set<int> open;
        std::erase_if(steps_, [&](const PlanStep& step) { return view.at[index(step.vm)] == host_index(step.to); });
        for (const PlanStep& step : steps_) open.insert(step.number);
        std::vector<MonthMove> moves;
        for (const PlanStep& step : steps_) {
            const bool waits = std::ranges::any_of(step.after, [&](int before) { return open.contains(before); });
            if (waits || view.moving[index(step.vm)] || view.at[index(step.vm)] != host_index(step.from)) continue;
            moves.push_back({static_cast<int>(index(step.vm)), host_index(step.to)});
        }
        return moves;
    }

    const MonthWorld& world_;
    BallastOptions options_;
    std::vector<Habit> habits_;
    std::vector<int> at_;
    Snapshot snapshot_;
    std::deque<RecentMove> recent_;
    std::vector<PlanStep> steps_;
};

}  // namespace

std::unique_ptr<Policy> make_ballast(const MonthWorld& world, BallastOptions options) {
    return std::make_unique<Ballast>(world, options);
}

}  // namespace ballast::bench
