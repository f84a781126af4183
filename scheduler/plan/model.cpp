#include "scheduler/plan/model.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include <boost/describe/enum_to_string.hpp>

#include "core/try.h"

namespace ballast::scheduler::plan {
namespace {

constexpr int hours = 24;
constexpr double share_without_statistics = 0.5;  ///< of a core, for each vCPU (load.h)

/// When it was made, for every purpose: a clock that jumped back makes a move of the future one of this moment.
Timestamp when(const RecentMove& move, Timestamp now) {
    return std::min(move.at, now);
}

std::string ago(Timestamp at, Timestamp now) {
    return to_string(std::chrono::duration_cast<Milliseconds>(now - at));
}

Result<void> check_number(const Vm& vm, std::string_view field, double value) {
    if (std::isfinite(value) && value >= 0) return {};
    return fail(Code::invalid_argument, "the load of VM {} has {} {}: it must be a number of at least 0", vm.name,
                field, value);
}

Result<void> check_load(const Vm& vm, const VmLoad& load) {
    BALLAST_CHECK(check_number(vm, "cpu_mean", load.cpu_mean));
    BALLAST_CHECK(check_number(vm, "cpu_deviation", load.cpu_deviation));
    BALLAST_CHECK(check_number(vm, "working_set", static_cast<double>(load.working_set.count())));
    BALLAST_CHECK(check_number(vm, "working_set_deviation", static_cast<double>(load.working_set_deviation.count())));
    for (const double mean : load.cpu_by_hour) BALLAST_CHECK(check_number(vm, "cpu_by_hour", mean));
    if (load.cpu_by_hour.empty() || load.cpu_by_hour.size() == hours) return {};
    return fail(Code::invalid_argument, "the load of VM {} has {} values of cpu_by_hour: give 24, or none", vm.name,
                load.cpu_by_hour.size());
}

/// The span from `now` by hours of the day; the days after the first are folded onto it.
std::vector<Slot> slots_of(Timestamp now, Seconds span, bool by_hour) {
    if (!by_hour) return {{0, static_cast<double>(span.count())}};
    std::array<double, hours> seconds{};
    const Timestamp end = now + span;
    for (Timestamp at = now; at < end;) {
        const auto hour = std::chrono::floor<std::chrono::hours>(at);
        const Timestamp next = std::min<Timestamp>(end, hour + std::chrono::hours(1));
        const auto of_day = (hour - std::chrono::floor<std::chrono::days>(at)).count();
        seconds[static_cast<std::size_t>(of_day)] += std::chrono::duration<double>(next - at).count();
        at = next;
    }
    std::vector<Slot> slots;
    for (int hour = 0; hour < hours; ++hour)
        if (seconds[static_cast<std::size_t>(hour)] > 0)
            slots.push_back({hour, seconds[static_cast<std::size_t>(hour)]});
    return slots;
}

/// An hour asleep is an hour gained only if nobody must wake the host: its VMs' new hosts are looked at for as long as
/// no VM may come back.
Seconds span_of(const PlanOptions& options) {
    return options.goal == Goal::consolidate ? std::max(options.stay, options.no_return) : options.stay;
}

class Maker {
  public:
    Maker(const Snapshot& snapshot, const ClusterLoad& load, const std::vector<RecentMove>& recent,
          const PlanOptions& options)
        : snapshot_(snapshot), load_(load) {
        model_.snapshot = &snapshot;
        model_.options = options;
        if (std::ranges::any_of(snapshot.hosts.rows(), [](const auto& host) { return overcommits(*host); }))
            model_.load = std::make_shared<const ClusterLoad>(load);
        for (const RecentMove& move : recent) recent_[move.vm].push_back(&move);
        snapshot.claims.for_each([&](const Claim& claim) { claimed_.insert(claim.vm); });
    }

    Result<Model> make() {
        add_hosts();
        BALLAST_CHECK(add_vms());
        count_recent();
        count_kept();
        link_pairs();
        return std::move(model_);
    }

  private:
    [[nodiscard]] const PlanOptions& options() const { return model_.options; }
    [[nodiscard]] bool named(const HostId& host) const {
        return std::ranges::find(options().hosts, host) != options().hosts.end();
    }

    void add_hosts() {
        model_.views = view_hosts(snapshot_, VmId());
        model_.groups = view_groups(snapshot_, nullptr, VmId());
        for (const HostView& view : model_.views) {
            const Host& host = *view.host;
            HostRow row;
            row.row = &host;
            row.cores = std::max(0, host.settings.cpu_capacity.value_or(host.facts.cpus) - host.settings.reserved_cpus);
            row.memory = usable_memory(host).count();
            row.vcpus = usable_vcpus(host);
            row.kind = kind_of(accelerator_of(host), overcommits(host));
            row.drained = options().goal == Goal::evacuate && named(host.id);
            row.target = accepts_work(host) && !host.confirmed_dead && !row.drained;
            // Whole hosts that are emptied or cleared take what it takes.
            row.moves_left = options().goal == Goal::level ? options().moves_per_host_hour
                                                           : std::numeric_limits<std::int64_t>::max() / 2;
            index_[host.id] = static_cast<Index>(model_.hosts.size());
            model_.hosts.push_back(std::move(row));
        }
    }

    Result<void> add_vms() {
        std::vector<const Vm*> rows;
        bool by_hour = false;
        Result<void> sound;
        snapshot_.vms.for_each([&](const Vm& vm) {
            const bool here = vm.state == VmState::running || vm.state == VmState::paused;
            if (!here || !vm.host || !index_.contains(*vm.host)) return;
            rows.push_back(&vm);
            const auto load = load_.vms.find(vm.id);
            if (load == load_.vms.end()) return;
            if (sound) sound = check_load(vm, load->second);
            by_hour = by_hour || !load->second.cpu_by_hour.empty();
        });
        if (!sound) return sound;
        std::ranges::sort(rows, {}, [](const Vm* vm) { return std::tie(vm->name, vm->id); });
        model_.slots = slots_of(options().now, span_of(options()), by_hour);
        model_.span = static_cast<double>(span_of(options()).count());
        model_.cpu.reserve(rows.size() * model_.slots.size());
        for (const Vm* vm : rows) add_vm(*vm);
        return {};
    }

    void add_vm(const Vm& vm) {
        VmRow row;
        row.row = &vm;
        row.home = index_.at(*vm.host);
        row.vcpus = vm.spec.vcpus;
        for (const Accelerator accelerator : {Accelerator::kvm, Accelerator::tcg})
            for (const bool overcommitted : {false, true})
                row.memory.at(kind_of(accelerator, overcommitted)) =
                    memory_promise(vm.spec, accelerator, overcommitted).count();
        row.squeezed = row.memory.at(0) - row.memory.at(2);
        for_each_group(vm.spec, [&](const std::string& group) {
            row.groups.push_back(groups_.try_emplace(group, static_cast<Index>(groups_.size())).first->second);
        });
        if (!vm.spec.anti_affinity.empty()) row.apart = groups_.at(vm.spec.anti_affinity);
        add_load(row, vm);
        row.pinned = why_pinned(vm, row);
        row.movable = row.pinned.empty();
        row.must_leave = model_.hosts[pos(row.home)].drained;
        model_.vms.push_back(std::move(row));
    }

    /// The whole promise, and where it is overcommitted what placement takes for the working set (memory_demand.h).
    static void guess_memory(VmRow& row, const VmSpec& spec, const Host& home) {
        row.memory_mean = static_cast<double>(spec.memory.count());
        if (!overcommits(home)) return;
        const MemoryDemand demand = memory_demand(spec, home, nullptr);
        const auto deviation = static_cast<double>(demand.deviation.count());
        row.memory_mean -= static_cast<double>((demand.maximum - demand.working_set).count());
        row.memory_variance = deviation * deviation;
    }

    void add_load(VmRow& row, const Vm& vm) {
        const bool runs = vm.state == VmState::running;
        const Host& home = *model_.hosts[pos(row.home)].row;
        guess_memory(row, vm.spec, home);
        const auto found = load_.vms.find(vm.id);
        if (found == load_.vms.end()) {
            const double guess = runs ? share_without_statistics * vm.spec.vcpus : 0;
            model_.cpu.insert(model_.cpu.end(), model_.slots.size(), guess);
            return;
        }
        const VmLoad& load = found->second;
        for (const Slot& slot : model_.slots) {
            const double mean =
                load.cpu_by_hour.empty() ? load.cpu_mean : load.cpu_by_hour[static_cast<std::size_t>(slot.hour)];
            model_.cpu.push_back(runs ? mean : 0);
        }
        row.cpu_variance = runs ? load.cpu_deviation * load.cpu_deviation : 0;
        if (load.working_set == Bytes(0) || (overcommits(home) && !may_be_squeezed(vm.spec))) return;
        row.memory_mean = static_cast<double>(load.working_set.count());
        const auto deviation = static_cast<double>(load.working_set_deviation.count());
        row.memory_variance = deviation * deviation;
    }

    [[nodiscard]] std::string why_pinned(const Vm& vm, const VmRow& row) const {
        const Host& host = *model_.hosts[pos(row.home)].row;
        if (!vm.managed) return "it is only observed: adopt it first (ballast vm adopt)";
        if (!host.managed) return fmt::format("{} is only observed: ballast host manage {}", host.name, host.name);
        if (host.state != HostState::up && host.state != HostState::maintenance)
            return fmt::format("{} is {}", host.name, boost::describe::enum_to_string(host.state, "unknown"));
        if (vm.state != VmState::running) return "it is paused";
        if (vm.spec.moves == MovePolicy::never) return "its policy is never to move (moves: never)";
        if (vm.job) return fmt::format("job {} works on it", *vm.job);
        if (claimed_.contains(vm.id)) return "a job has claimed room for it";
        if (!vm.alerts.empty()) return fmt::format("an alert is open: {}", vm.alerts.front());
        for (const Definition& definition : vm.definitions)
            if (definition.host == host.id && !definition.bound_by.empty())
                return fmt::format("{} binds it to {}", definition.bound_by.front(), host.name);
        if (options().goal == Goal::level && !options().hosts.empty() && !named(host.id))
            return fmt::format("{} is not among the hosts that were named", host.name);
        return why_rested(vm);
    }

    /// An operator's order bends both: a host that is drained right after another must be able to.
    [[nodiscard]] std::string why_rested(const Vm& vm) const {
        const auto found = recent_.find(vm.id);
        if (found == recent_.end() || is_order(options().goal)) return {};
        int within_hour = 0;
        for (const RecentMove* move : found->second) {
            const auto age = options().now - when(*move, options().now);
            if (!move->by_ballast && age < options().no_return)
                return fmt::format("somebody else moved it {} ago, and Ballast stands back for {}",
                                   ago(when(*move, options().now), options().now),
                                   to_string(Milliseconds(options().no_return)));
            if (age < std::chrono::hours(1)) ++within_hour;
        }
        if (within_hour < options().moves_per_vm_hour) return {};
        return fmt::format("it was moved {} times within the hour, and {} is the bound", within_hour,
                           options().moves_per_vm_hour);
    }

    void count_recent() {
        for (VmRow& vm : model_.vms) {
            const auto found = recent_.find(vm.row->id);
            if (found == recent_.end()) continue;
            for (const RecentMove* move : found->second) {
                const auto left = index_.find(move->from);
                const auto age = options().now - when(*move, options().now);
                if (left != index_.end() && age < options().no_return) vm.left.push_back(left->second);
            }
        }
        for (const auto& [vm, moves] : recent_)
            for (const RecentMove* move : moves)
                if (options().now - when(*move, options().now) < std::chrono::hours(1))
                    for (const HostId& id : {move->from, move->to})
                        if (const auto at = index_.find(id); at != index_.end())
                            --model_.hosts[pos(at->second)].moves_left;
    }

    void count_kept() {
        for (std::size_t h = 0; h < model_.hosts.size(); ++h) {
            model_.hosts[h].kept = model_.views[h].promised_memory.count();
            model_.hosts[h].vcpus_kept = model_.views[h].promised_vcpus;
        }
        for (std::size_t v = 0; v < model_.vms.size(); ++v) {
            auto& host = model_.hosts[pos(model_.vms[v].home)];
            host.kept -= model_.memory_of(static_cast<Index>(v), model_.vms[v].home);
            host.vcpus_kept -= model_.vms[v].vcpus;
        }
    }

    void link_pairs() {
        snapshot_.pairs.for_each([&](const HostPair& pair) {
            const auto from = index_.find(pair.from);
            const auto to = index_.find(pair.to);
            if (from == index_.end() || to == index_.end() || !model_.hosts[pos(to->second)].target) return;
            const bool refused = std::ranges::any_of(
                pair.checks, [](const PairCheck& check) { return check.verdict == CheckVerdict::refused; });
            if (!refused && from != to) model_.hosts[pos(from->second)].reach.push_back(to->second);
        });
        for (HostRow& host : model_.hosts) std::ranges::sort(host.reach);
    }

    const Snapshot& snapshot_;
    const ClusterLoad& load_;
    Model model_;
    std::unordered_map<HostId, Index> index_;
    std::unordered_map<VmId, std::vector<const RecentMove*>> recent_;
    std::unordered_set<VmId> claimed_;
    std::map<std::string, Index> groups_;
};

}  // namespace

Assignment Model::homes() const {
    Assignment at;
    at.reserve(vms.size());
    for (const VmRow& vm : vms) at.push_back(vm.home);
    return at;
}

std::optional<Index> Model::index_of(const HostId& id) const {
    const auto found = std::ranges::find_if(hosts, [&](const HostRow& host) { return host.row->id == id; });
    if (found == hosts.end()) return std::nullopt;
    return static_cast<Index>(found - hosts.begin());
}

Result<Model> make_model(const Snapshot& snapshot, const ClusterLoad& load, const std::vector<RecentMove>& recent,
                         const PlanOptions& options) {
    return Maker(snapshot, load, recent, options).make();
}

PlacementRequest move_request(const Vm& vm, const HostId& from) {
    return {.spec = vm.spec,
            .vm = vm.id,
            .only = {},
            .exclude = {},
            .for_migration = true,
            .from = from,
            .copy_disks = false};
}

}  // namespace ballast::scheduler::plan
