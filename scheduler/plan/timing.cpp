#include "scheduler/plan/timing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace ballast::scheduler::plan {
namespace {

/// Event by event: the links' shares change only when a step begins or ends.
class Lanes {
  public:
    Lanes(std::vector<PlanStep>& steps, int lanes) : steps_(steps), lanes_(lanes) {
        for (std::size_t i = 0; i < steps.size(); ++i) waiting_.push_back(i);
    }

    Milliseconds run() {
        while (!waiting_.empty() || !active_.empty()) {
            begin_all();
            if (active_.empty()) break;  // what is left waits for steps that are not in the plan
            advance(next_end());
        }
        return Milliseconds(std::llround(now_));
    }

  private:
    struct Active {
        std::size_t step = 0;
        double left = 0;  ///< milliseconds on a link of its own
    };

    void begin_all() {
        std::erase_if(waiting_, [&](std::size_t i) {
            PlanStep& step = steps_[i];
            const bool free = out_[step.from] < lanes_ && in_[step.to] < lanes_;
            if (!free || !std::ranges::all_of(step.after, [&](int number) { return ended_.contains(number); }))
                return false;
            ++out_[step.from];
            ++in_[step.to];
            step.begins = Milliseconds(std::llround(now_));
            active_.push_back({i, static_cast<double>(std::max<std::int64_t>(1, step.expected.count()))});
            return true;
        });
    }

    [[nodiscard]] double crowd(const Active& one) {
        return std::max(out_[steps_[one.step].from], in_[steps_[one.step].to]);
    }

    [[nodiscard]] double next_end() {
        double soonest = std::numeric_limits<double>::infinity();
        for (const Active& one : active_) soonest = std::min(soonest, one.left * crowd(one));
        return soonest;
    }

    void advance(double by) {
        for (Active& one : active_) one.left -= by / crowd(one);
        now_ += by;
        for (const Active& one : active_) {
            if (!over(one)) continue;
            PlanStep& step = steps_[one.step];
            step.expected = Milliseconds(std::llround(now_)) - step.begins;
            --out_[step.from];
            --in_[step.to];
            ended_.insert(step.number);
        }
        std::erase_if(active_, over);
    }

    [[nodiscard]] static bool over(const Active& one) { return one.left <= 1e-6; }

    std::vector<PlanStep>& steps_;
    int lanes_;
    std::vector<std::size_t> waiting_;
    std::vector<Active> active_;
    std::map<HostId, int> out_;
    std::map<HostId, int> in_;
    std::set<int> ended_;
    double now_ = 0;
};

}  // namespace

Milliseconds schedule(std::vector<PlanStep>& steps, int lanes_per_host) {
    return Lanes(steps, lanes_per_host).run();
}

}  // namespace ballast::scheduler::plan
