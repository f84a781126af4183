#include "bench/month/meter.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace ballast::bench {
namespace {

constexpr int tick_s = 10;
constexpr double link_bytes_per_s = 1.25e9;
constexpr double fixed_s = 2;        ///< start-up, switch-over, hand-over
constexpr double cores_per_end = 1;  ///< while a migration runs
constexpr int lanes = 2;
constexpr int soon_slots = 6 * slots_per_hour;
/// A server of the kind: 100 W idle, 250 W at full load, linear between (Fan, Weber, Barroso, ISCA 2007).
constexpr double idle_w = 100;
constexpr double full_w = 250;

class Player {
  public:
    Player(const MonthWorld& world, Policy& policy)
        : world_(world),
          policy_(policy),
          at_(world.start),
          used_(hosts()),
          promised_(hosts()),
          busy_(hosts()),
          moving_(world.vms.size()),
          left_(world.vms.size()) {
        for (std::size_t vm = 0; vm < at_.size(); ++vm) promised_[host_of(vm)] += world.vms[vm].memory;
    }

    MonthResult run() {
        for (int slot = 0; slot < world_.slots; ++slot) {
            const auto before = std::chrono::steady_clock::now();
            const MonthView view{world_, slot, at_, used_, promised_, moving_};
            for (const MonthMove& move : policy_.decide(view)) waiting_.push_back(move);
            result_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
            load(slot);
            for (int second = 0; second < slot_s; second += tick_s) tick(slot);
            waiting_.clear();
            load(slot);
        }
        return result_;
    }

  private:
    struct Flight {
        std::size_t vm = 0;
        std::size_t to = 0;
        double left_s = 0;
    };

    [[nodiscard]] std::size_t hosts() const { return static_cast<std::size_t>(world_.hosts); }
    [[nodiscard]] std::size_t host_of(std::size_t vm) const { return static_cast<std::size_t>(at_[vm]); }

    void load(int slot) {
        std::ranges::fill(used_, 0.0);
        for (std::size_t vm = 0; vm < at_.size(); ++vm) used_[host_of(vm)] += world_.cores_of(slot, vm);
    }

    void tick(int slot) {
        begin_what_fits();
        for (std::size_t host = 0; host < hosts(); ++host) {
            const double wanted = used_[host] + cores_per_end * busy_[host];
            const double over = wanted - world_.cores;
            if (over > 0) {
                result_.contention_core_s += over * tick_s;
                result_.contended_host_s += tick_s;
            }
            const double share = std::min(1.0, wanted / world_.cores);
            result_.energy_kwh += (idle_w + (full_w - idle_w) * share) * tick_s / 3.6e6;
        }
        for (std::size_t i = 0; i < flights_.size();) {
            flights_[i].left_s -= tick_s;
            if (flights_[i].left_s > 0) {
                ++i;
                continue;
            }
            arrive(flights_[i], slot);
            flights_.erase(flights_.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }

    void begin_what_fits() {
        std::erase_if(waiting_, [this](const MonthMove& move) {
            const auto vm = static_cast<std::size_t>(move.vm);
            const auto to = static_cast<std::size_t>(move.to);
            if (moving_[vm] || host_of(vm) == to) return true;
            if (busy_[host_of(vm)] >= lanes || busy_[to] >= lanes) return false;
            if (promised_[to] + world_.vms[vm].memory > world_.memory) return false;
            const MonthVm& row = world_.vms[vm];
            const double bytes = static_cast<double>(row.touched) / (1 - row.dirty);
            flights_.push_back({vm, to, fixed_s + bytes / (link_bytes_per_s / lanes)});
            promised_[to] += row.memory;
            ++busy_[to];
            ++busy_[host_of(vm)];
            moving_[vm] = true;
            return true;
        });
    }

    void arrive(const Flight& flight, int slot) {
        const std::size_t from = host_of(flight.vm);
        const double cores = world_.cores_of(slot, flight.vm);
        used_[from] -= cores;
        used_[flight.to] += cores;
        promised_[from] -= world_.vms[flight.vm].memory;
        --busy_[from];
        --busy_[flight.to];
        moving_[flight.vm] = false;
        auto& left = left_[flight.vm];
        left[static_cast<int>(from)] = slot;
        if (const auto before = left.find(static_cast<int>(flight.to)); before != left.end()) {
            ++result_.returns;
            if (slot - before->second < soon_slots) ++result_.returns_soon;
        }
        at_[flight.vm] = static_cast<int>(flight.to);
        ++result_.migrations;
    }

    const MonthWorld& world_;
    Policy& policy_;
    std::vector<int> at_;
    std::vector<double> used_;
    std::vector<std::int64_t> promised_;
    std::vector<int> busy_;
    std::vector<bool> moving_;
    std::vector<std::map<int, int>> left_;  ///< by VM: hosts that it left, and when last
    std::vector<MonthMove> waiting_;
    std::vector<Flight> flights_;
    MonthResult result_;
};

}  // namespace

MonthResult play(const MonthWorld& world, Policy& policy) {
    return Player(world, policy).run();
}

}  // namespace ballast::bench
