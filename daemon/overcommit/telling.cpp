#include "daemon/overcommit/telling.h"

#include <algorithm>
#include <vector>

#include <fmt/ranges.h>

#include "daemon/reconcile/words.h"

namespace ballast::overcommit {
namespace {

using memory::BalloonMove;
using reconcile::words;

constexpr std::size_t named = 8;

Bytes distance(const BalloonMove& move) {
    return move.to > move.from ? move.to - move.from : move.from - move.to;
}

template <class Row>
Event about(const Row* row, std::string subject_kind, std::string id, std::string kind, std::string message) {
    Event event;
    event.kind = std::move(kind);
    event.subject_kind = std::move(subject_kind);
    event.subject_name = row != nullptr ? row->name : id;
    event.subject_id = std::move(id);
    event.message = std::move(message);
    if (row != nullptr) event.after.text = to_json_text(*row);
    return event;
}

}  // namespace

Event about_host(const Snapshot& snapshot, const HostId& host, std::string kind, std::string message) {
    return about(snapshot.hosts.find(host), "host", host.str(), std::move(kind), std::move(message));
}

Event about_vm(const Snapshot& snapshot, const VmId& vm, std::string kind, std::string message) {
    return about(snapshot.vms.find(vm), "vm", vm.str(), std::move(kind), std::move(message));
}

std::string level_sentence(memory::Level before, const memory::Decisions& decisions) {
    return fmt::format("memory is {}, was {}: {}", words(decisions.level), words(before), decisions.level_why);
}

std::string act_sentence(const memory::LadderAct& act) {
    return fmt::format("{}: {}", words(act.act), act.why);
}

std::string moves_sentence(std::span<const BalloonMove> moves, const Snapshot& snapshot) {
    std::vector<const BalloonMove*> order;
    Bytes given;
    Bytes taken;
    int givers = 0;
    for (const BalloonMove& move : moves) {
        order.push_back(&move);
        (move.to > move.from ? given : taken) += distance(move);
        if (move.to < move.from) ++givers;
    }
    std::ranges::sort(order, [](const BalloonMove* a, const BalloonMove* b) {
        return distance(*a) != distance(*b) ? distance(*a) > distance(*b) : a < b;  // they lie in one array
    });
    std::vector<std::string> parts;
    for (const BalloonMove* move : order) {
        if (parts.size() == named) break;
        const Vm* row = snapshot.vms.find(move->vm);
        parts.push_back(fmt::format("{} {} -> {} ({})", row != nullptr ? row->name : move->vm.str(), move->from,
                                    move->to, words(move->cause)));
    }
    if (order.size() > named) parts.push_back(fmt::format("and {} more", order.size() - named));
    std::vector<std::string> sums;
    if (givers > 0) sums.push_back(fmt::format("{} VMs give {}", givers, taken));
    if (const auto takers = static_cast<int>(moves.size()) - givers; takers > 0)
        sums.push_back(fmt::format("{} get {}", takers, given));
    return fmt::format("{}: {}", fmt::join(sums, ", "), fmt::join(parts, ", "));
}

std::string squeezed_sentence(const HostPicture& picture) {
    std::vector<const VmPicture*> squeezed;
    for (const VmPicture& vm : picture.vms)
        if (memory::policy_of(vm.policy).acts && vm.balloon < vm.maximum) squeezed.push_back(&vm);
    std::ranges::sort(squeezed, [](const VmPicture* a, const VmPicture* b) {
        const Bytes lacks = a->maximum - a->balloon;
        const Bytes other = b->maximum - b->balloon;
        return lacks != other ? lacks > other : a->name < b->name;
    });
    std::vector<std::string> parts;
    for (const VmPicture* vm : squeezed) {
        if (parts.size() == named) break;
        parts.push_back(fmt::format("{} keeps {} of {}", vm->name, vm->balloon, vm->maximum));
    }
    if (squeezed.size() > named) parts.push_back(fmt::format("and {} more", squeezed.size() - named));
    return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace ballast::overcommit
