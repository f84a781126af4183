#include "scheduler/ways_out.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include <fmt/ranges.h>

#include "scheduler/choice.h"
#include "scheduler/fleet/residency.h"
#include "scheduler/host_view.h"
#include "scheduler/placement.h"
#include "scheduler/rules/lower_minimum.h"
#include "scheduler/rules/memory_fit.h"
#include "scheduler/rules/memory_parts.h"
#include "scheduler/rules/working_set_fit.h"

namespace ballast::scheduler {
namespace {

constexpr std::size_t most_hosts = 8;     ///< that are looked at, those with the fewest refusals first
constexpr std::size_t most_changes = 32;  ///< single ones of a host
constexpr std::size_t most_paired = 12;   ///< of those, that are tried two by two
constexpr std::size_t most_ways = 3;      ///< that are named

constexpr Bytes smallest_vm = mebibytes(16);

/// What one host could do with, and the search for the ways.
class HostSearch {
  public:
    /// `basis`: with the groups of the VM and the places that accept work; the host and its residents are added here.
    HostSearch(const PlacementRequest& request, const HostVerdict& verdict, Basis basis)
        : snapshot_(*basis.snapshot),
          request_(request),
          verdict_(verdict),
          host_(*snapshot_.hosts.find(verdict.host)),
          basis_(std::move(basis)) {
        basis_.host = verdict.host;
        collect_residents();
        collect_changes();
    }

    [[nodiscard]] std::vector<WayOut> ways() {
        std::ranges::sort(changes_, {}, [](const Change& change) { return std::tie(change.effort, change.text); });
        if (changes_.size() > most_changes) changes_.resize(most_changes);
        std::vector<WayOut> found;
        for (const Change& change : changes_)
            if (found.size() < most_ways && suffices({change})) found.push_back({{change}});
        if (found.empty()) find_pairs(found);
        return found;
    }

  private:
    void collect_residents() {
        const auto here = [&](const std::vector<HostId>& hosts) {
            return std::ranges::find(hosts, host_.id) != hosts.end();
        };
        for (auto& vm : snapshot_.vms.rows())
            if (here(hosts_of(*vm))) basis_.residents.vms.push_back(vm);
        for (auto& claim : snapshot_.claims.rows())
            if (here(hosts_of(snapshot_, *claim))) basis_.residents.claims.push_back(claim);
    }

    [[nodiscard]] bool refused_by(std::string_view rule) const {
        const auto at = std::ranges::find(verdict_.rules, rule, &RuleVerdict::rule);
        return at != verdict_.rules.end() && !at->accepted;
    }

    void collect_changes() {
        if (refused_by("host_ready")) add_host_acts();
        if (refused_by("pinned_hosts"))
            add({.kind = ChangeKind::pin_too,
                 .text = fmt::format("the VM is pinned to {}, too", host_.name),
                 .effort = 1});
        if (refused_by("taints"))
            add({.kind = ChangeKind::tolerate,
                 .text = fmt::format("the VM bears the taints of {}", host_.name),
                 .effort = 1});
        if (refused_by("host_labels"))
            add({.kind = ChangeKind::label_host,
                 .text = fmt::format("{} gets the labels that the VM wants", host_.name),
                 .effort = 2});
        if (refused_by("memory_fit") || refused_by("working_set_fit")) add_lower_memory();
        if (overcommits(host_)) add_acts_of_overcommit();
        if (refused_by("cpu_fit")) add_fewer_vcpus();
        for (const char* rule : {"memory_fit", "working_set_fit", "cpu_fit", "devices", "numa_fit", "anti_affinity",
                                 "group_limit", "spread"})
            if (refused_by(rule)) return add_moves();
    }

    void add_host_acts() {
        if (!host_.managed)
            add({.kind = ChangeKind::manage_host, .text = fmt::format("{} is managed", host_.name), .effort = 6});
        if (host_.maintenance)
            add({.kind = ChangeKind::end_maintenance,
                 .text = fmt::format("the maintenance of {} ends", host_.name),
                 .effort = 5});
    }

    void add(Change change) {
        change.host = host_.id;
        changes_.push_back(std::move(change));
    }

    [[nodiscard]] HostView view() const { return view_host(snapshot_, host_, request_.vm, basis_.residents); }

    /// The largest memory that fits there, in whole MiB (or huge pages), if that is still enough for its minimum.
    void add_lower_memory() {
        const VmSpec& spec = request_.spec;
        const VmSpec smaller = overcommits(host_) ? with_less_risk() : with_less_promised();
        if (smaller.memory >= spec.memory || smaller.memory < std::max(spec.memory_minimum, smallest_vm)) return;
        const double part = 1 - smaller.memory / spec.memory;
        add({.kind = ChangeKind::lower_memory,
             .memory = smaller.memory,
             .text = fmt::format("its memory is lowered by {} to {}", spec.memory - smaller.memory, smaller.memory),
             .effort = 2 + 4 * part});
    }

    [[nodiscard]] VmSpec with_less_promised() const {
        const VmSpec& spec = request_.spec;
        const Bytes free = view().free_memory();
        const Bytes step = std::max(mebibytes(1), spec.placement.hugepage_size.value_or(mebibytes(1)));
        VmSpec smaller = spec;
        const Bytes over = saturating_sub(memory_demand(spec, host_), free);
        smaller.memory = saturating_sub(spec.memory, over) / step.count() * step.count();
        // A smaller VM needs less of QEMU, too; what fits is at most a few steps above this.
        for (VmSpec next = smaller; next.memory < spec.memory; smaller = next) {
            next.memory += step;
            if (memory_demand(next, host_) > free) break;
        }
        return smaller;
    }

    /// Found by halving: what a smaller VM risks only the rule can say.
    [[nodiscard]] VmSpec with_less_risk() const {
        const Bytes step = std::max(mebibytes(1), request_.spec.placement.hugepage_size.value_or(mebibytes(1)));
        const HostView now = view();
        const Surroundings around = what_is_known();
        PlacementRequest smaller = request_;
        std::int64_t fitting = 0;  // in steps
        std::int64_t refused = (request_.spec.memory.count() + step.count() - 1) / step.count();
        while (refused - fitting > 1) {
            const std::int64_t tried = fitting + (refused - fitting) / 2;
            smaller.spec.memory = step * tried;
            const Candidate candidate{snapshot_, smaller, now, around};
            (MemoryFit{}.fits(candidate) && WorkingSetFit{}.fits(candidate) ? fitting : refused) = tried;
        }
        smaller.spec.memory = step * fitting;
        return smaller.spec;
    }

    /// Where minimums do not fit, a lower one; where the risk is too high, the policy that bears the most. A lower
    /// minimum takes nothing off the risk: what the VM wants does not change with it.
    void add_acts_of_overcommit() {
        const HostView now = view();
        const Surroundings around = what_is_known();
        const auto minimums_fit = [&](const PlacementRequest& request) {
            const Candidate candidate{snapshot_, request, now, around};
            if (!MemoryFit{}.fits(candidate)) return false;
            const auto answer = measured(candidate);
            return !answer || !answer->about_minimums;
        };
        if (!minimums_fit(request_)) add_lower_minimum(minimums_fit);
        if (!refused_by("working_set_fit") || host_.memory_policy == MemoryPolicy::dense) return;
        add({.kind = ChangeKind::denser_policy,
             .text = fmt::format("{} gets the memory policy dense, which bears more risk", host_.name),
             .effort = 4});
    }

    /// The highest that fits, in whole MiB.
    template <class Fits>
    void add_lower_minimum(Fits fits) {
        const Bytes step = mebibytes(1);
        const Bytes now = guaranteed_memory(request_.spec);
        PlacementRequest lower = request_;
        std::int64_t fitting = least_minimum.count() / step.count() - 1;
        std::int64_t refused = (now.count() + step.count() - 1) / step.count();
        while (refused - fitting > 1) {
            const std::int64_t tried = fitting + (refused - fitting) / 2;
            lower.spec.memory_minimum = step * tried;
            (fits(lower) ? fitting : refused) = tried;
        }
        const Bytes found = step * fitting;
        if (found < least_minimum) return;
        add({.kind = ChangeKind::lower_minimum,
             .memory = found,
             .text = fmt::format("its guaranteed minimum is lowered by {} to {}", now - found, found),
             .effort = 1.5 + 3 * (1 - found / now)});
    }

    [[nodiscard]] Surroundings what_is_known() const {
        return {.groups = {}, .load = basis_.load.get(), .memory = basis_.memory.get()};
    }

    void add_fewer_vcpus() {
        const int cores =
            std::max(0, host_.settings.cpu_capacity.value_or(host_.facts.cpus) - host_.settings.reserved_cpus);
        const int room = std::min(cores, view().free_vcpus());
        const int step = std::max(1, request_.spec.placement.numa.cells);
        const int fewer = room / step * step;
        if (fewer < 1 || fewer >= request_.spec.vcpus) return;
        add({.kind = ChangeKind::fewer_vcpus,
             .vcpus = fewer,
             .text = fmt::format("it has {} vCPUs instead of {}", fewer, request_.spec.vcpus),
             .effort = 2 + 4.0 * (request_.spec.vcpus - fewer) / request_.spec.vcpus});
    }

    /// Who may be moved: those that run there, are Ballast's to move, and are not busy already.
    void add_moves() {
        for (const Vm* vm : view().vms) {
            const bool movable = vm->managed && vm->spec.moves != MovePolicy::never && !vm->job;
            if (!movable) continue;
            const double part = share_of(vm->spec.memory);
            add({.kind = ChangeKind::move_away,
                 .vm = vm->id,
                 .text = fmt::format("{} is moved away from {}", vm->name, host_.name),
                 .effort = 3 + part});
        }
    }

    [[nodiscard]] double share_of(Bytes memory) const {
        const Bytes usable = usable_memory(host_);
        return usable > Bytes(0) ? memory / usable : 1;
    }

    [[nodiscard]] bool suffices(const std::vector<Change>& changes) const {
        Snapshot changed = snapshot_;
        PlacementRequest request = request_;
        for (const Change& change : changes) apply_change(change, changed, request);
        const HostView after =
            view_host(changed, *changed.hosts.find(host_.id), request.vm, residents_now(changed, basis_));
        Surroundings around = what_is_known();
        around.groups = groups_now(changed, basis_, request.spec, request.vm);
        return fits({changed, request, after, around});
    }

    void find_pairs(std::vector<WayOut>& found) const {
        const std::size_t tried = std::min(changes_.size(), most_paired);
        for (std::size_t i = 0; i < tried; ++i)
            for (std::size_t k = i + 1; k < tried && found.size() < most_ways; ++k)
                if (suffices({changes_[i], changes_[k]})) found.push_back({{changes_[i], changes_[k]}});
        std::ranges::sort(found, {}, [](const WayOut& way) {
            return std::make_tuple(way.changes[0].effort + way.changes[1].effort, way.changes[0].text);
        });
    }

    const Snapshot& snapshot_;
    const PlacementRequest& request_;
    const HostVerdict& verdict_;
    const Host& host_;
    Basis basis_;
    std::vector<Change> changes_;
};

/// What all hosts of one question have in common.
Basis common_basis(const Snapshot& snapshot, const VmSpec& spec) {
    Basis basis{.snapshot = std::make_shared<const Snapshot>(snapshot),
                .host = {},
                .residents = {},
                .groups = groups_of(spec),
                .members = {},
                .places = {}};
    if (!has_groups(spec)) return basis;
    snapshot.hosts.for_each([&](const Host& host) { count_place(basis.places, host, 1); });
    for (auto& vm : snapshot.vms.rows())
        if (has_groups(vm->spec)) basis.members.vms.push_back(vm);
    for (auto& claim : snapshot.claims.rows()) basis.members.claims.push_back(claim);
    return basis;
}

double effort_of(const WayOut& way) {
    double sum = 100.0 * static_cast<double>(way.changes.size());  // one thing to do is better than two
    for (const Change& change : way.changes) sum += change.effort;
    return sum;
}

std::string in_words(const std::vector<WayOut>& ways) {
    std::vector<std::string> texts;
    for (const WayOut& way : ways) {
        std::vector<std::string> parts;
        for (const Change& change : way.changes) parts.push_back(change.text);
        texts.push_back(fmt::format("{}", fmt::join(parts, " and ")));
    }
    return fmt::format("{}", fmt::join(texts, ", or "));
}

/// Those with the fewest refusals, and of these the ones with the most memory left: there the least has to change.
std::vector<const HostVerdict*> nearest_first(const Snapshot& snapshot, const VmId& vm, const Decision& decision) {
    std::vector<const HostVerdict*> refused;
    for (const HostVerdict& verdict : decision.hosts)
        if (!verdict.accepted) refused.push_back(&verdict);
    const auto refusals = [](const HostVerdict* verdict) {
        return std::ranges::count(verdict->rules, false, &RuleVerdict::accepted);
    };
    std::map<HostId, std::int64_t> taken;
    for (const HostView& view : view_hosts(snapshot, vm))
        taken[view.host->id] = view.promised_memory.count() - usable_memory(*view.host).count();
    std::ranges::sort(refused, {}, [&](const HostVerdict* verdict) {
        return std::make_tuple(refusals(verdict), taken[verdict->host], verdict->name);
    });
    if (refused.size() > most_hosts) refused.resize(most_hosts);
    return refused;
}

void change_host(Snapshot& snapshot, const HostId& id, const std::function<void(Host&)>& change) {
    const Host* row = snapshot.hosts.find(id);
    if (row == nullptr) return;
    Host host = *row;
    change(host);
    snapshot.hosts.put(std::move(host));
}

void move_away(Snapshot& snapshot, const VmId& id, const HostId& host) {
    const Vm* row = snapshot.vms.find(id);
    if (row == nullptr) return;
    Vm vm = *row;
    if (vm.host == host) vm.host.reset();
    std::erase_if(vm.definitions, [&](const Definition& definition) { return definition.host == host; });
    snapshot.vms.put(std::move(vm));
}

void bear_taints(const Snapshot& snapshot, const HostId& id, VmPlacement& placement) {
    if (const Host* host = snapshot.hosts.find(id))
        for (const Taint& taint : host->settings.taints)
            if (!tolerates(placement, taint)) placement.tolerations.push_back({taint.key, taint.value, taint.effect});
}

}  // namespace

void apply_change(const Change& change, Snapshot& snapshot, PlacementRequest& request) {
    VmSpec& spec = request.spec;
    switch (change.kind) {
        case ChangeKind::move_away:
            return move_away(snapshot, change.vm, change.host);
        case ChangeKind::lower_memory:
            spec.memory = change.memory;
            return;
        case ChangeKind::lower_minimum:
            spec.memory_minimum = change.memory;
            return;
        case ChangeKind::denser_policy:
            return change_host(snapshot, change.host, [](Host& host) {
                host.memory_policy = MemoryPolicy::dense;
                host.settings.memory_policy = MemoryPolicy::dense;
            });
        case ChangeKind::fewer_vcpus:
            spec.vcpus = change.vcpus;
            return;
        case ChangeKind::tolerate:
            return bear_taints(snapshot, change.host, spec.placement);
        case ChangeKind::pin_too:
            spec.placement.hosts.push_back(change.host.str());
            return;
        case ChangeKind::label_host:
            return change_host(snapshot, change.host, [&](Host& host) {
                for (const auto& [key, value] : spec.host_labels) host.settings.labels[key] = value;
            });
        case ChangeKind::manage_host:
            return change_host(snapshot, change.host, [](Host& host) { host.managed = true; });
        case ChangeKind::end_maintenance:
            return change_host(snapshot, change.host, [](Host& host) {
                host.maintenance = false;
                if (host.state == HostState::maintenance) host.state = HostState::up;
            });
    }
    std::unreachable();
}

std::optional<NearestHost> find_nearest(const Snapshot& snapshot, const PlacementRequest& request,
                                        const Decision& decision, const Preferences& preferences) {
    std::optional<NearestHost> best;
    const auto refused = nearest_first(snapshot, request.vm, decision);
    if (refused.empty()) return best;
    Basis basis = common_basis(snapshot, request.spec);
    basis.load = preferences.load;
    basis.memory = preferences.memory;
    for (const HostVerdict* verdict : refused) {
        auto ways = HostSearch(request, *verdict, basis).ways();
        if (ways.empty()) continue;
        if (best && effort_of(best->ways.front()) <= effort_of(ways.front())) continue;
        best = NearestHost{.host = verdict->host, .name = verdict->name, .ways = std::move(ways), .text = {}};
    }
    if (best) best->text = fmt::format("it fits on {} if {}", best->name, in_words(best->ways));
    return best;
}

}  // namespace ballast::scheduler
