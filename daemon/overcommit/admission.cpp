#include "daemon/overcommit/admission.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include <boost/describe/enum_to_string.hpp>
#include <fmt/format.h>

#include "memory/budget.h"
#include "memory/policy.h"

namespace ballast::overcommit {
namespace {

using scheduler::MemoryAnswer;
using scheduler::MemoryPart;
using scheduler::MemoryQuestion;

double as_double(Bytes bytes) {
    return static_cast<double>(bytes.count());
}

Bytes bytes_of(double bytes) {
    return Bytes(std::llround(std::max(bytes, 0.0)));
}

bool is_trusted(const VmPicture& vm) {
    return vm.working_set.trust == memory::Trust::trusted;
}

/// Of two pictures that have the VM, as while it moves.
bool knows_better(const HostPicture& host, const VmPicture& vm, const HostPicture& known_host, const VmPicture& known) {
    if (is_trusted(vm) != is_trusted(known)) return is_trusted(vm);
    return host.at > known_host.at;
}

bool is_there(const HostPicture& picture, const VmId& vm) {
    return !vm.empty() && std::ranges::find(picture.vms, vm, &VmPicture::vm) != picture.vms.end();
}

/// The host's groups with those of its VMs that `counts` takes.
template <class Counts>
std::vector<memory::GroupCount> groups_of(const HostPicture& picture, Counts counts) {
    memory::Groups groups;
    for (const VmPicture& vm : picture.vms)
        if (counts(vm)) groups.add(vm.group, vm.working_set.size);
    return groups.counted();
}

/// Danger that no figure below can see. A risk that is too high without it is found again, with the VMs of the
/// question.
bool in_danger(const HostPicture& picture) {
    return !picture.admits &&
           (picture.level >= memory::Level::pressed || picture.risk.verdict == memory::AdmissionVerdict::admitted);
}

MemoryAnswer refused_in_danger(const Host& host, const HostPicture& picture) {
    return {.admitted = false,
            .about_minimums = false,
            .risk = picture.risk.risk,
            .missing = {},
            .words = fmt::format("the memory of {} is {}, so it admits nobody{}{}", host.name,
                                 boost::describe::enum_to_string(picture.level, "in danger"),
                                 picture.level_why.empty() ? "" : ": ", picture.level_why)};
}

/// It could not be started there, whatever its working set is going to be. Nothing: it could, or it runs already.
std::optional<MemoryAnswer> refused_for_its_boot(const MemoryQuestion& question, const HostPicture& picture) {
    const Bytes fills = question.fresh.demand.maximum;
    if (question.moves || !picture.start_room || is_there(picture, question.fresh.vm)) return std::nullopt;
    if (*picture.start_room >= fills) return std::nullopt;
    const Bytes missing = fills - *picture.start_room;
    return MemoryAnswer{
        .admitted = false,
        .about_minimums = false,
        .risk = 1,
        .missing = missing,
        .words = fmt::format("it may fill {} as it boots, and {} has {} for VMs that come: {} are missing", fills,
                             question.host.name, *picture.start_room, missing)};
}

/// What the host uses itself: what is reserved for it, or what was found, where that is more (memory/budget.h).
Bytes own_of(const Host& host, const HostPicture* picture) {
    if (picture == nullptr) return host.settings.reserved_memory;
    const Bytes found = picture->ledger.host_own + std::max(picture->ledger.unexplained, Bytes(0));
    return std::max(host.settings.reserved_memory, found);
}

Bytes total_of(const Host& host, const HostPicture* picture) {
    const Bytes said = host.settings.memory_capacity.value_or(host.facts.memory);
    if (picture == nullptr || picture->ledger.total <= Bytes(0)) return said;
    return host.settings.memory_capacity ? std::min(said, picture->ledger.total) : picture->ledger.total;
}

}  // namespace

Admissions::Admissions(std::shared_ptr<const Pictures> pictures) : pictures_(std::move(pictures)) {
    for (const auto& [id, host] : *pictures_)
        for (const VmPicture& vm : host->vms) take_in(*host, vm);
    for (const auto& [id, seen] : vms_) {
        const VmPicture& vm = *seen.vm;
        if (vm.group.empty() || !is_trusted(vm) || vm.maximum <= Bytes(0)) continue;
        Typical& typical = groups_[vm.group];
        const double mean = std::min(vm.working_set.mean, vm.maximum) / vm.maximum;
        const double deviation = vm.working_set.deviation / vm.maximum;
        typical.members += 1;
        typical.mean += mean;
        typical.squares += mean * mean;
        typical.variance += deviation * deviation;
        typical.qemu += vm.overhead;
    }
}

void Admissions::take_in(const HostPicture& host, const VmPicture& vm) {
    Seen& seen = vms_[vm.vm];
    if (seen.vm == nullptr || knows_better(host, vm, *seen.host, *seen.vm)) seen = {&host, &vm};
}

const HostPicture* Admissions::picture_of(const Host& host) const {
    const auto at = pictures_->find(host.id);
    return at == pictures_->end() ? nullptr : at->second.get();
}

memory::Demand Admissions::guess(const MemoryPart& part) const {
    const scheduler::MemoryDemand& crude = part.demand;
    memory::Demand demand{.maximum = crude.maximum,
                          .minimum = crude.minimum,
                          .working_set = crude.working_set,
                          .deviation = crude.deviation,
                          .group = sharing_group(*part.spec)};
    const auto at = groups_.find(demand.group);
    if (at == groups_.end() || demand.group.empty()) return demand;
    const Typical& typical = at->second;
    const double members = typical.members;
    const double maximum = as_double(part.spec->memory);
    const Bytes crude_qemu = crude.maximum - part.spec->memory;
    const Bytes qemu = bytes_of(as_double(typical.qemu + crude_qemu) / (members + 1));
    const double crude_mean = as_double(crude.working_set - crude_qemu) / maximum;
    const double crude_deviation = as_double(crude.deviation) / maximum;
    const double mean = (typical.mean + crude_mean) / (members + 1);
    const double between = typical.squares / members - std::pow(typical.mean / members, 2);
    const double within = typical.variance / members + crude_deviation * crude_deviation / (members + 1);
    demand.maximum = part.spec->memory + qemu;
    demand.minimum = crude.minimum - crude_qemu + qemu;
    demand.working_set = bytes_of(mean * maximum) + qemu;
    demand.deviation = bytes_of(std::sqrt(std::max(between, 0.0) + within) * maximum);
    return demand;
}

memory::Demand Admissions::demand_of(const MemoryPart& part, const Host& host) const {
    const VmSpec& spec = *part.spec;
    const auto at = vms_.find(part.vm);
    if (at == vms_.end() && scheduler::may_be_squeezed(spec)) return guess(part);
    memory::VmMemory vm;
    vm.maximum = spec.memory;
    vm.minimum = scheduler::may_be_squeezed(spec) ? spec.memory_minimum : spec.memory;
    vm.overhead = at != vms_.end() && at->second.vm->overhead > Bytes(0)
                      ? at->second.vm->overhead
                      : scheduler::qemu_overhead(spec, accelerator_of(host));
    vm.group = sharing_group(spec);
    memory::WorkingSet working_set;  // not trusted: the maximum
    if (scheduler::may_be_squeezed(spec)) working_set = at->second.vm->working_set;
    return memory::demand_of(vm, working_set);
}

Bytes Admissions::sharing_kept(const MemoryQuestion& question, const HostPicture& picture) const {
    const double counted = memory::policy_of(question.host.memory_policy).counted_sharing;
    if (picture.sure_sharing <= Bytes(0) || counted <= 0) return {};
    std::unordered_set<VmId> kept{question.fresh.vm};
    for (const MemoryPart& part : question.there) kept.insert(part.vm);
    const auto all = groups_of(picture, [](const VmPicture&) { return true; });
    const auto left = groups_of(picture, [&](const VmPicture& vm) { return kept.contains(vm.vm); });
    const double before = as_double(memory::saving_of(picture.sharing, all).likely);
    const double now = as_double(memory::saving_of(picture.sharing, left).likely);
    const double part = before > 0 ? std::min(now / before, 1.0) : 0.0;
    return bytes_of(as_double(picture.sure_sharing) * counted * part);
}

memory::AdmissionTerms Admissions::terms_of(const MemoryQuestion& question, const HostPicture* picture) const {
    const Host& host = question.host;
    const memory::Policy& policy = memory::policy_of(host.memory_policy);
    const Bytes total = total_of(host, picture);
    const bool sees = picture != nullptr && picture->sight == Sight::full;
    memory::AdmissionTerms terms{
        .capacity = saturating_sub(total, own_of(host, picture) + memory::reserve_of(policy, total, sees)),
        .sharing = {},
        .held = question.held,
        .risk = policy.risk};
    if (picture == nullptr) return terms;
    terms.sharing = sharing_kept(question, *picture);
    terms.model = picture->model;
    return terms;
}

MemoryAnswer Admissions::admits(const MemoryQuestion& question) const {
    const HostPicture* picture = picture_of(question.host);
    if (picture != nullptr && in_danger(*picture) && !is_there(*picture, question.fresh.vm))
        return refused_in_danger(question.host, *picture);
    if (picture != nullptr && !vms_.contains(question.fresh.vm))
        if (auto refused = refused_for_its_boot(question, *picture)) return *std::move(refused);
    std::vector<memory::Demand> demands;
    demands.reserve(question.there.size() + 1);
    for (const MemoryPart& part : question.there) demands.push_back(demand_of(part, question.host));
    demands.push_back(demand_of(question.fresh, question.host));
    const memory::Admission made = memory::assess(demands, terms_of(question, picture));
    return {.admitted = made.verdict == memory::AdmissionVerdict::admitted,
            .about_minimums = made.verdict == memory::AdmissionVerdict::minimums,
            .risk = made.risk,
            .missing = made.missing,
            .words = made.words};
}

/// Physically: what the policy would count of it does not matter to the target.
Bytes Admissions::lost_sharing(const VmId& vm) const {
    const auto at = vms_.find(vm);
    if (at == vms_.end() || at->second.vm->group.empty()) return {};
    const HostPicture& picture = *at->second.host;
    const auto of_group =
        groups_of(picture, [&](const VmPicture& other) { return other.group == at->second.vm->group; });
    const Bytes lost = memory::sharing_moved(picture.sharing, of_group.front(), {}).lost.likely;
    return std::min(lost, picture.ledger.saved);
}

std::optional<Bytes> Admissions::free_now(const Host& host) const {
    const HostPicture* picture = picture_of(host);
    if (picture == nullptr || picture->ledger.total <= Bytes(0)) return std::nullopt;
    return std::max(picture->ledger.free, Bytes(0));
}

std::shared_ptr<const Admissions> AdmissionSource::now() const {
    auto pictures = board_->all();
    const std::scoped_lock lock(mutex_);
    if (made_ == nullptr || pictures_ != pictures) {
        made_ = std::make_shared<const Admissions>(pictures);
        pictures_ = std::move(pictures);
    }
    return made_;
}

}  // namespace ballast::overcommit
