#include "scheduler/plan/what_if.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/try.h"
#include "scheduler/fleet/fleet.h"
#include "scheduler/host_view.h"
#include "scheduler/placement.h"

namespace ballast::scheduler {
namespace {

constexpr int most_added = 10'000;
constexpr std::size_t most_trials = 64;  ///< hosts whose loss is tried for the weakest: the fullest ones

/// By name or id, or "key=value" of a label.
Result<std::vector<HostId>> hosts_named(const Snapshot& snapshot, const std::vector<std::string>& names) {
    std::vector<HostId> hosts;
    for (const auto& name : names) {
        const auto equals = name.find('=');
        if (equals == std::string::npos) {
            BALLAST_TRY(const auto host, find_host(snapshot, name));
            hosts.push_back(host->id);
            continue;
        }
        const auto labelled = snapshot.hosts.select([&](const Host& host) {
            const auto at = host.settings.labels.find(name.substr(0, equals));
            return at != host.settings.labels.end() && at->second == name.substr(equals + 1);
        });
        if (labelled.empty()) return fail(Code::not_found, "no host has the label {}", name);
        for (const auto& host : labelled) hosts.push_back(host->id);
    }
    std::ranges::sort(hosts);
    const auto twice = std::ranges::unique(hosts);
    hosts.erase(twice.begin(), twice.end());
    return hosts;
}

Result<void> check(const WhatIfAsk& ask) {
    if (ask.lose.empty() && ask.drain.empty() && ask.add_hosts.empty() && ask.add_vms.empty() && !ask.cpu_overcommit &&
        !ask.reserved_memory)
        return fail(Code::invalid_argument, "nothing is asked: say what is lost, drained, added or changed");
    if (ask.cpu_overcommit && !(std::isfinite(*ask.cpu_overcommit) && *ask.cpu_overcommit > 0))
        return fail(Code::invalid_argument, "cpu_overcommit: {} is no number above 0", *ask.cpu_overcommit);
    if (ask.reserved_memory && ask.reserved_memory->count() < 0)
        return fail(Code::invalid_argument, "reserved_memory: {} bytes is below 0", ask.reserved_memory->count());
    const auto sane = [](int count) { return count >= 1 && count <= most_added; };
    for (const auto& more : ask.add_hosts)
        if (!sane(more.count))
            return fail(Code::invalid_argument, "add_hosts: {} is not between 1 and {}", more.count, most_added);
    for (const auto& more : ask.add_vms)
        if (!sane(more.count))
            return fail(Code::invalid_argument, "add_vms: {} is not between 1 and {}", more.count, most_added);
    if (!ask.policy.empty()) BALLAST_CHECK(Policies{}.find(ask.policy));
    return {};
}

bool needs_to_run(const Vm& vm) {
    return std::ranges::any_of(vm.definitions, [](const Definition& one) { return is_active(one.state); }) ||
           vm.state == VmState::running || vm.state == VmState::unknown;
}

class Hypothesis {
  public:
    Hypothesis(const Snapshot& snapshot, std::uint64_t seed, const Preferences& preferences)
        : now_(snapshot), seed_(seed), preferences_(preferences) {
        fleet_.prefer(preferences);
    }

    void change_hosts(const WhatIfAsk& ask) {
        if (!ask.cpu_overcommit && !ask.reserved_memory) return;
        for (const auto& row : now_.hosts.rows()) {
            Host host = *row;
            host.settings.cpu_overcommit = ask.cpu_overcommit.value_or(host.settings.cpu_overcommit);
            host.settings.reserved_memory = ask.reserved_memory.value_or(host.settings.reserved_memory);
            now_.hosts.put(std::move(host));
        }
    }

    Result<void> add_hosts(const MoreLike& more) {
        BALLAST_TRY(const auto like, find_host(now_, more.like));
        for (int i = 1; i <= more.count; ++i) add_host(*like, fmt::format("new-{}-{}", like->name, i));
        return {};
    }

    /// Every VM that ran there waits for a restart.
    std::vector<Vm> lose(const std::vector<HostId>& hosts) {
        std::vector<Vm> down;
        for (const HostId& id : hosts) {
            Host host = *now_.hosts.find(id);
            host.state = HostState::unreachable;
            host.state_reason = "lost, in what-if";
            host.confirmed_dead = true;
            now_.hosts.put(std::move(host));
            for (const auto& vm : now_.vms.select([&](const Vm& one) { return one.host == id; })) {
                if (needs_to_run(*vm)) down.push_back(*vm);
                stop(*vm, id);
            }
        }
        std::ranges::sort(down, [](const Vm& a, const Vm& b) {
            return std::tuple(-a.spec.memory.count(), a.id) < std::tuple(-b.spec.memory.count(), b.id);
        });
        return down;
    }

    /// Where the VM would start; it is there from then on. Nothing: nowhere.
    std::optional<HostId> place(const Vm& vm) {
        fleet_.follow(std::make_shared<const Snapshot>(now_));
        const auto chosen = fleet_.choose(request_for(vm), seed_);
        if (!chosen) return std::nullopt;
        Vm started = vm;
        started.host = *chosen;
        started.state = VmState::running;
        Definition here;
        here.host = *chosen;
        here.state = DomainState::running;
        started.definitions = {here};
        now_.vms.put(std::move(started));
        return chosen;
    }

    /// The same. Errors: the scheduler's refusal.
    Result<HostId> start(const Vm& vm) {
        if (const auto host = place(vm)) return *host;
        return std::unexpected(refusal(decide(now_, request_for(vm), seed_, preferences_), vm.name));
    }

    void move(const VmId& id, const HostId& to) {
        const Vm* found = now_.vms.find(id);
        if (found == nullptr) return;
        Vm vm = *found;
        for (auto& definition : vm.definitions)
            if (definition.host == vm.host) definition.host = to;
        vm.host = to;
        now_.vms.put(std::move(vm));
    }

    [[nodiscard]] const Snapshot& snapshot() const { return now_; }

  private:
    void add_host(const Host& like, const std::string& name) {
        Host host = like;
        host.id = HostId("what-if:" + name);
        host.name = name;
        host.state = HostState::up;
        host.managed = true;
        host.maintenance = host.confirmed_dead = false;
        host.facts.host_uuid = host.id.str();
        for (const auto& pool : now_.pools.select([&](const Pool& one) { return one.host == like.id; })) {
            Pool copy = *pool;
            copy.id = pool_id(host.id, pool->name);
            copy.host = host.id;
            now_.pools.put(std::move(copy));
        }
        for (const auto& row : now_.pairs.rows()) pair_like(like.id, host.id, *row);
        now_.hosts.put(std::move(host));
    }

    /// What is true of the one it is like is taken to be true of the new one, and between the two.
    void pair_like(const HostId& like, const HostId& made, const HostPair& row) {
        const auto put = [&](const HostId& from, const HostId& to) {
            HostPair pair = row;
            pair.id = pair_id(from, to);
            pair.from = from;
            pair.to = to;
            now_.pairs.put(std::move(pair));
        };
        if (row.from == like) {
            put(made, row.to);
            put(made, like);
        }
        if (row.to == like) {
            put(row.from, made);
            put(like, made);
        }
    }

    /// It stays defined there, so that what was measured of it is still known of it. What bound it to the host is lost.
    void stop(const Vm& row, const HostId& host) {
        Vm vm = row;
        vm.host.reset();
        vm.state = VmState::stopped;
        for (Definition& one : vm.definitions) {
            if (one.host != host) continue;
            one.state = DomainState::shut_off;
            one.bound_by.clear();
        }
        now_.vms.put(std::move(vm));
    }

    static PlacementRequest request_for(const Vm& vm) {
        PlacementRequest request;
        request.spec = vm.spec;
        request.vm = vm.id;
        return request;
    }

    Snapshot now_;
    std::uint64_t seed_;
    const Preferences& preferences_;
    Fleet fleet_;
};

PlanStep step_for(const Snapshot& snapshot, const Vm& vm, const std::optional<HostId>& from, const HostId& to,
                  std::string reason) {
    PlanStep step;
    step.vm = vm.id;
    step.name = vm.name;
    if (from) step.from = *from;
    step.from_name = from ? host_name(snapshot, *from) : "";
    step.to = to;
    step.to_name = host_name(snapshot, to);
    step.reason = std::move(reason);
    step.vm_revision = vm.revision;
    return step;
}

PlanStay stay_for(const Snapshot& snapshot, const Vm& vm, const std::string& reason) {
    return {.vm = vm.id, .name = vm.name, .host = vm.host ? host_name(snapshot, *vm.host) : "", .reason = reason};
}

void add_step(ClusterPlan& plan, PlanStep step) {
    step.number = static_cast<int>(plan.steps.size()) + 1;
    plan.steps.push_back(std::move(step));
}

void restart_lost(Hypothesis& hypothesis, const std::vector<Vm>& down, WhatIfAnswer& answer) {
    for (const Vm& vm : down) {
        const std::string where = vm.host ? host_name(hypothesis.snapshot(), *vm.host) : "";
        if (const auto to = hypothesis.start(vm))
            add_step(answer.plan, step_for(hypothesis.snapshot(), vm, vm.host, *to,
                                           fmt::format("restarts here: {} is lost", where)));
        else
            answer.not_restarted.push_back(stay_for(hypothesis.snapshot(), vm, to.error().message()));
    }
}

Result<void> add_vms(Hypothesis& hypothesis, const NewVms& more, int& number, WhatIfAnswer& answer) {
    Vm vm;
    if (!more.like.empty()) {
        BALLAST_TRY(const auto like, find_vm(hypothesis.snapshot(), more.like));
        vm.spec = like->spec;
    } else if (more.spec) {
        BALLAST_CHECK(ballast::check(*more.spec));
        vm.spec = *more.spec;
    } else {
        return fail(Code::invalid_argument, "add_vms: neither a VM that they are like nor a spec is named");
    }
    vm.managed = true;
    for (int i = 0; i < more.count; ++i) {
        vm.name = fmt::format("new-{}{}{}", more.like, more.like.empty() ? "" : "-", ++number);
        vm.id = VmId("what-if:" + vm.name);
        if (const auto to = hypothesis.start(vm))
            add_step(answer.plan, step_for(hypothesis.snapshot(), vm, {}, *to, "new"));
        else
            answer.not_placed.push_back(stay_for(hypothesis.snapshot(), vm, to.error().message()));
    }
    return {};
}

/// What is asked of the planner here: no window and no limits of a storm, for nothing is moved.
PlanOptions options_for(const WhatIfAsk& ask, Timestamp now, std::shared_ptr<const MemoryAdmission> memory) {
    PlanOptions options;
    options.memory = std::move(memory);
    options.seed = ask.seed;
    options.now = now;
    options.moves_per_host_hour = most_added;
    return options;
}

Result<void> drain(Hypothesis& hypothesis, const std::vector<HostId>& hosts, const ClusterLoad& load,
                   const MoveCosts& costs, PlanOptions options, WhatIfAnswer& answer) {
    if (hosts.empty()) return {};
    options.goal = Goal::evacuate;
    options.hosts = hosts;
    options.n_plus_one = false;  // a drain that breaks it is told by the weakest host, not refused
    BALLAST_TRY(const auto moves,
                plan_cluster(hypothesis.snapshot(), load, {}, costs, options, balance::run_in_turn, {}));
    const int offset = static_cast<int>(answer.plan.steps.size());
    for (PlanStep step : moves.steps) {
        for (int& before : step.after) before += offset;
        step.number += offset;
        hypothesis.move(step.vm, step.to);
        answer.plan.steps.push_back(std::move(step));
    }
    answer.plan.gain_s += moves.gain_s;
    answer.plan.cost_s += moves.cost_s;
    answer.plan.expected = moves.expected;
    answer.not_drained = moves.stays;
    return {};
}

/// What the cluster is like, as the planner measures it: a search that is over at once.
Result<PlanState> state_of(const Snapshot& snapshot, const ClusterLoad& load, const MoveCosts& costs,
                           PlanOptions options) {
    options.goal = Goal::level;
    options.max_moves = 0;
    options.effort = 1;
    BALLAST_TRY(const auto plan,
                plan_cluster(snapshot, load, {}, costs, options, balance::run_in_turn, [] { return true; }));
    return plan.before;
}

std::vector<OverfullHost> overfull_hosts(const std::vector<HostView>& views) {
    std::vector<OverfullHost> overfull;
    for (const HostView& view : views) {
        if (!accepts_work(*view.host)) continue;
        const Bytes memory = saturating_sub(view.promised_memory, usable_memory(*view.host));
        const int vcpus = std::max(0, view.promised_vcpus - usable_vcpus(*view.host));
        if (memory.count() > 0 || vcpus > 0)
            overfull.push_back({.host = view.host->name, .missing_memory = memory, .missing_vcpus = vcpus});
    }
    return overfull;
}

/// Tries the loss of one more host after the other, the fullest first.
void find_weakest(const Snapshot& after, std::vector<HostView> views, std::uint64_t seed,
                  const Preferences& preferences, const balance::Stop& stop, WhatIfAnswer& answer) {
    std::erase_if(views, [](const HostView& view) { return !accepts_work(*view.host); });
    std::ranges::sort(views, [](const HostView& a, const HostView& b) {
        return std::tuple(-a.promised_memory.count(), a.host->name) <
               std::tuple(-b.promised_memory.count(), b.host->name);
    });
    const auto hosts = static_cast<int>(views.size());
    if (views.size() > most_trials) views.resize(most_trials);
    for (const HostView& view : views) {
        if (stop && stop()) break;
        ++answer.losses_tried;
        Hypothesis trial(after, seed, preferences);
        const auto lost = trial.lose({view.host->id});
        const auto down = static_cast<int>(std::ranges::count_if(lost, [&](const Vm& vm) { return !trial.place(vm); }));
        if (down <= answer.weakest_loses) continue;
        answer.weakest_loses = down;
        answer.weakest_host = view.host->name;
    }
    answer.losses_left = hosts - answer.losses_tried;
}

std::string plural(std::size_t count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string verdict_of(const WhatIfAnswer& answer) {
    std::vector<std::string> parts;
    if (!answer.not_restarted.empty())
        parts.push_back(plural(answer.not_restarted.size(), "VM") + " would not restart");
    if (!answer.not_placed.empty()) parts.push_back(plural(answer.not_placed.size(), "new VM") + " would find no room");
    if (!answer.not_drained.empty()) parts.push_back(plural(answer.not_drained.size(), "VM") + " would stay");
    if (!answer.overfull.empty()) parts.push_back(plural(answer.overfull.size(), "host") + " would be overfull");
    const std::string room = fmt::format("the fullest host {} has promised {:.0f} % of its memory",
                                         answer.plan.after.fullest_host, answer.plan.after.fullest_memory * 100);
    if (parts.empty()) return "everything would run; " + room;
    return fmt::format("{}; {}", fmt::join(parts, ", "), room);
}

}  // namespace

Result<WhatIfAnswer> what_if(const Snapshot& snapshot, const ClusterLoad& load, const MoveCosts& costs,
                             const WhatIfAsk& ask, Timestamp now, std::shared_ptr<const MemoryAdmission> memory,
                             const balance::Stop& stop) {
    BALLAST_CHECK(check(ask));
    BALLAST_TRY(const auto lost, hosts_named(snapshot, ask.lose));
    BALLAST_TRY(const auto drained, hosts_named(snapshot, ask.drain));
    const PlanOptions options = options_for(ask, now, memory);
    WhatIfAnswer answer;
    answer.plan.goal = drained.empty() ? Goal::level : Goal::evacuate;
    answer.plan.snapshot_seq = snapshot.seq;
    answer.plan.seed = ask.seed;
    answer.plan.made = now;
    BALLAST_TRY(answer.plan.before, state_of(snapshot, load, costs, options));
    Preferences preferences;
    if (!ask.policy.empty()) preferences.policies.standard = ask.policy;
    preferences.load = std::make_shared<const ClusterLoad>(load);
    preferences.memory = std::move(memory);
    Hypothesis hypothesis(snapshot, ask.seed, preferences);
    hypothesis.change_hosts(ask);
    for (const auto& more : ask.add_hosts) BALLAST_CHECK(hypothesis.add_hosts(more));
    restart_lost(hypothesis, hypothesis.lose(lost), answer);
    int number = 0;
    for (const auto& more : ask.add_vms) BALLAST_CHECK(add_vms(hypothesis, more, number, answer));
    BALLAST_CHECK(drain(hypothesis, drained, load, costs, options, answer));
    BALLAST_TRY(answer.plan.after, state_of(hypothesis.snapshot(), load, costs, options));
    const auto views = view_hosts(hypothesis.snapshot(), VmId());
    answer.overfull = overfull_hosts(views);
    find_weakest(hypothesis.snapshot(), views, ask.seed, preferences, stop, answer);
    answer.plan.verdict = verdict_of(answer);
    return answer;
}

}  // namespace ballast::scheduler
