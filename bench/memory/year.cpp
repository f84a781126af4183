#include "bench/memory/year.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "memory/admission.h"
#include "memory/budget.h"
#include "memory/correlation.h"
#include "memory/working_set.h"

namespace ballast::bench {
namespace {

constexpr int minutes_per_sweep = 5;
constexpr double maximum_gib = 4;
constexpr double alike = 0.3;  ///< correlation of what draws a group's demand
constexpr std::size_t candidates = 72;
constexpr std::size_t group_size = 12;  ///< a third of them in the group
constexpr double swing = 0.2;

enum class Kind : std::uint8_t { steady, web, bursty };

/// One VM's demand: `z` is its own draw.
struct Load {
    Kind kind = Kind::steady;
    std::size_t group = 0;
    double mean_gib = 1;
    double z = 0;
    double now_gib = 0;
};

class HostLoad {
  public:
    HostLoad(std::uint64_t seed, double minutes_between_draws)
        : source_(seed), minutes_between_draws_(minutes_between_draws) {
        std::uniform_real_distribution<double> size(0.6, 1.4);
        groups_.resize(candidates / group_size);
        for (double& group : groups_) group = normal_(source_);
        for (std::size_t i = 0; i < candidates; ++i)
            loads_.push_back({.kind = static_cast<Kind>(i % 3),
                              .group = i / group_size,
                              .mean_gib = size(source_),
                              .z = normal_(source_)});
        keep(candidates);
    }

    [[nodiscard]] std::string group_of(std::size_t i) const {
        return loads_[i].kind == Kind::web ? "web" + std::to_string(loads_[i].group) : "";
    }
    [[nodiscard]] double demand_of(std::size_t i) const { return loads_[i].now_gib; }

    /// Only the first ones from here on.
    void keep(std::size_t count) {
        loads_.resize(count);
        groups_.resize((count + group_size - 1) / group_size);
        value_all();
    }

    /// Time passes, event by event. The minutes in which the sum is above `limit`, in GiB.
    double pass(double minutes, double limit_gib) {
        const double until = minute_ + minutes;
        const double rate = static_cast<double>(loads_.size() + groups_.size()) / minutes_between_draws_;
        value_all();
        double above = 0;
        while (minute_ < until) {
            // The time to the next draw does not depend on the one since the last, so it may be cut at `until`.
            const double next = std::min(minute_ - std::log(1 - uniform_(source_)) / rate, until);
            if (sum_ > limit_gib) above += next - minute_;
            minute_ = next;
            if (next < until) draw_one();
        }
        return above;
    }

  private:
    void draw_one() {
        const std::size_t which = source_() % (loads_.size() + groups_.size());
        if (which >= loads_.size()) {
            groups_[which - loads_.size()] = normal_(source_);
            value_all();
            return;
        }
        Load& load = loads_[which];
        load.z = normal_(source_);
        sum_ -= load.now_gib;
        load.now_gib = value(load);
        sum_ += load.now_gib;
    }

    void value_all() {
        sum_ = 0;
        for (Load& load : loads_) sum_ += load.now_gib = value(load);
    }

    [[nodiscard]] double value(const Load& load) const {
        constexpr double steady_spread = 0.15;
        constexpr double web_spread = 0.35;
        constexpr double busy_from = 1.282;  // a tenth of the time
        switch (load.kind) {
            case Kind::steady:
                return std::min(load.mean_gib * std::exp(steady_spread * load.z), maximum_gib);
            case Kind::web: {
                const double z = std::sqrt(alike) * groups_[load.group] + std::sqrt(1 - alike) * load.z;
                const double day = 1 + swing * std::sin(2 * std::numbers::pi * minute_ / 1440);
                return std::min(load.mean_gib * day * std::exp(web_spread * z), maximum_gib);
            }
            case Kind::bursty:
                return load.z > busy_from ? 2.5 * load.mean_gib : 0.4 * load.mean_gib;
        }
        return 0;
    }

    std::mt19937_64 source_;
    double minutes_between_draws_;
    std::normal_distribution<double> normal_;
    std::uniform_real_distribution<double> uniform_;
    std::vector<double> groups_;
    std::vector<Load> loads_;
    double minute_ = 0;
    double sum_ = 0;
};

Bytes gib(double value) {
    return Bytes(std::llround(value * static_cast<double>(gibibytes(1).count())));
}

/// What is known of the candidates after they were watched for a while.
struct Known {
    std::vector<memory::Demand> demands;
    memory::RiskModel model;
};

memory::VmMemory read(const HostLoad& load, std::size_t i, Timestamp now) {
    memory::VmMemory vm;
    vm.maximum = gib(maximum_gib);
    vm.minimum = mebibytes(256);
    vm.group = load.group_of(i);
    vm.reading.at = now;
    vm.reading.balloon = vm.maximum;
    vm.reading.unused = vm.reading.usable = vm.maximum - gib(load.demand_of(i));
    return vm;
}

Known watched(HostLoad& load, int days) {
    std::vector<memory::WorkingSetMemo> memos(candidates);
    Known known{.demands = std::vector<memory::Demand>(candidates), .model = {}};
    memory::CorrelationMemo correlation;
    std::vector<memory::CorrelationPart> parts(candidates);
    Timestamp now = Timestamp(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1));
    for (int minute = 0; minute < days * 1440; minute += minutes_per_sweep) {
        now += std::chrono::minutes(minutes_per_sweep);
        load.pass(minutes_per_sweep, maximum_gib);
        for (std::size_t i = 0; i < candidates; ++i) {
            const memory::VmMemory vm = read(load, i, now);
            const memory::Estimate made = memory::estimate(vm, memos[i], now);
            memos[i] = made.memo;
            known.demands[i] = memory::demand_of(vm, made.working_set);
            parts[i] = {i + 1, known.demands[i].group, made.working_set.needed, made.working_set.deviation};
        }
        correlation = memory::correlated(std::move(correlation), parts, {}, now);
    }
    known.model = memory::measured_model(correlation, {});
    return known;
}

struct Filled {
    std::size_t count = 0;
    double risk = 0;
    double moment = 0;
};

/// Fills a host, as long as admission admits.
Filled filled(const Known& known, const YearOptions& options) {
    const memory::AdmissionTerms terms{
        .capacity = gib(options.host_gib), .sharing = {}, .held = {}, .risk = options.risk, .model = known.model};
    std::vector<memory::Demand> there;
    Filled filled;
    for (const memory::Demand& fresh : known.demands) {
        const memory::Admission made = memory::admit(there, fresh, terms);
        if (made.verdict != memory::AdmissionVerdict::admitted) break;
        there.push_back(fresh);
        filled = {there.size(), made.risk, memory::DemandSum(there, known.model).exceeds(terms.capacity)};
    }
    return filled;
}

}  // namespace

YearResult play_year(const YearOptions& options) {
    YearResult result;
    double exceeded = 0;
    double minutes = 0;
    for (int host = 0; host < options.hosts; ++host) {
        HostLoad load(options.seed * 1'000 + static_cast<std::uint64_t>(host), options.minutes_between_draws);
        const Known known = watched(load, options.watched_days);
        const Filled full = filled(known, options);
        result.stated += full.risk / options.hosts;
        result.stated_moment += full.moment / options.hosts;
        result.vms_per_host += static_cast<double>(full.count) / options.hosts;
        result.group_correlation += known.model.group / options.hosts;
        result.persistence_min += static_cast<double>(known.model.persistence.count()) / 60'000 / options.hosts;
        result.host_correlation += known.model.host / options.hosts;
        load.keep(full.count);
        for (int hour = 0; hour < options.days * 24; ++hour) {
            const double above = load.pass(60, options.host_gib);
            exceeded += above > 0 ? 1 : 0;
            minutes += above;
        }
    }
    result.found_moment = minutes / (static_cast<double>(options.hosts) * options.days * 1440);
    result.promised = result.vms_per_host * maximum_gib / options.host_gib;
    result.hours = static_cast<double>(options.hosts) * options.days * 24;
    result.found = exceeded / result.hours;
    return result;
}

}  // namespace ballast::bench
