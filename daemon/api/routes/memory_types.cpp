#include "daemon/api/routes/memory_types.h"

#include <algorithm>

#include "core/json_impl.h"
#include "daemon/api/schemas.h"
#include "daemon/reconcile/alerts.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(api::MemoryView)
BALLAST_INSTANTIATE_JSON(api::HostMemoryView)
BALLAST_INSTANTIATE_JSON(api::VmMemoryView)
BALLAST_INSTANTIATE_JSON(api::MemoryHistoryView)
BALLAST_INSTANTIATE_JSON(api::VmMemoryHistoryView)

namespace api {

#define BALLAST_MEMORY_SCHEMA(Type)                 \
    template <>                                     \
    Json schema<Type>(Json & definitions) {         \
        return json_schema_into<Type>(definitions); \
    }

BALLAST_MEMORY_SCHEMA(MemoryView)
BALLAST_MEMORY_SCHEMA(HostMemoryView)
BALLAST_MEMORY_SCHEMA(VmMemoryView)
BALLAST_MEMORY_SCHEMA(MemoryHistoryView)
BALLAST_MEMORY_SCHEMA(VmMemoryHistoryView)

namespace {

std::vector<MemoryPart> parts_of(const memory::HostLedger& ledger) {
    std::vector<MemoryPart> parts;
    for (auto& row : memory::rows_of(ledger)) parts.push_back({std::move(row.name), row.bytes});
    return parts;
}

HostMemoryNow now_of(const overcommit::HostPicture& picture) {
    return {.at = picture.at,
            .sight = picture.sight,
            .level = picture.level,
            .total = picture.ledger.total,
            .reserve = picture.ledger.reserve,
            .free = picture.ledger.free,
            .promised = picture.ledger.promised,
            .ballooned = picture.ledger.ballooned,
            .saved = picture.ledger.saved,
            .risk = picture.risk.risk,
            .unmet = picture.unmet,
            .admits = picture.admits,
            .vms = static_cast<int>(picture.vms.size()),
            .standing_back = picture.standing_back};
}

void add(MemorySums& sums, const HostMemoryLine& line) {
    ++sums.hosts;
    if (!line.now) return;
    const HostMemoryNow& now = *line.now;
    ++sums.hosts_read;
    sums.vms += now.vms;
    sums.total += now.total;
    sums.reserve += now.reserve;
    sums.free += now.free;
    sums.promised += now.promised;
    sums.ballooned += now.ballooned;
    sums.saved += now.saved;
    sums.unmet += now.unmet;
    sums.worst_level = std::max(sums.worst_level, now.level);
    sums.highest_risk = std::max(sums.highest_risk, now.risk);
}

KsmView ksm_of(const overcommit::HostPicture& picture) {
    using memory::KsmState;
    const overcommit::KsmPicture& merging = picture.merging;
    const bool foreign = picture.ksm.state == KsmState::foreign || picture.ksm.state == KsmState::stopped;
    KsmView view{.state = picture.ksm.state,
                 .why = picture.ksm.why,
                 .now = merging.now,
                 .managed = merging.managed,
                 .set = {},
                 .found = {},
                 .foreign = foreign ? picture.ksm.why : "",
                 .stands_back_until = {},
                 .shared = picture.ledger.shared,
                 .saved = picture.ledger.saved,
                 .expected = picture.saving,
                 .gain_pages_per_cpu_second = picture.ksm.gain,
                 .estimated_cpu_share = picture.ksm.cpu_share};
    if (merging.set) view.set = KsmSetView{merging.set, merging.set_across};
    if (merging.found) view.found = KsmSetView{merging.found->pages_to_scan, merging.found->merge_across_nodes};
    if (merging.stands_back_until > Timestamp()) view.stands_back_until = merging.stands_back_until;
    return view;
}

const overcommit::VmPicture* find_in(const overcommit::Pictures& pictures, const HostId& host, const VmId& vm) {
    const auto at = pictures.find(host);
    if (at == pictures.end()) return nullptr;
    const auto found = std::ranges::find(at->second->vms, vm, &overcommit::VmPicture::vm);
    return found == at->second->vms.end() ? nullptr : &*found;
}

}  // namespace

MemoryView view_of(const Snapshot& snapshot, const overcommit::Pictures& pictures) {
    MemoryView view;
    snapshot.hosts.for_each([&](const Host& host) {
        HostMemoryLine line{.host = host.id, .name = host.name, .policy = host.memory_policy, .now = {}};
        if (const auto at = pictures.find(host.id); at != pictures.end()) {
            line.policy = at->second->policy;
            line.now = now_of(*at->second);
        }
        add(view.sums, line);
        view.hosts.push_back(std::move(line));
    });
    std::ranges::sort(view.hosts, {}, &HostMemoryLine::name);
    return view;
}

HostMemoryView view_of(const Host& host, const overcommit::HostPicture& picture) {
    const memory::HostLedger& ledger = picture.ledger;
    return {.host = host.id,
            .name = host.name,
            .at = picture.at,
            .policy = picture.policy,
            .standing_back = picture.standing_back,
            .total = ledger.total,
            .parts = parts_of(ledger),
            .promises = {.promised = ledger.promised,
                         .resident_guest = ledger.promised - ledger.ballooned - ledger.never_touched,
                         .ballooned = ledger.ballooned,
                         .never_touched = ledger.never_touched},
            .level = picture.level,
            .level_since = picture.level_since,
            .level_why = picture.level_why,
            .admits = picture.admits,
            .risk = picture.risk,
            .unmet = picture.unmet,
            .ksm = ksm_of(picture),
            .exporter = {.sight = picture.sight, .url = host.settings.exporter, .why = picture.sight_why},
            .vms = picture.vms};
}

std::optional<VmMemoryView> view_of(const Vm& vm, const overcommit::Pictures& pictures) {
    HostId host = vm.host.value_or(HostId());
    const overcommit::VmPicture* now = find_in(pictures, host, vm.id);
    for (auto at = pictures.begin(); now == nullptr && at != pictures.end(); ++at) {
        host = at->first;
        now = find_in(pictures, host, vm.id);
    }
    if (now == nullptr) return std::nullopt;
    const overcommit::HostPicture& picture = *pictures.at(host);
    return VmMemoryView{.vm = vm.id,
                        .name = vm.name,
                        .host = host,
                        .at = picture.at,
                        .host_level = picture.level,
                        .standing_back = picture.standing_back,
                        .overcommit = vm.spec.overcommit,
                        .pending = reconcile::alert::pending(vm),
                        .now = *now};
}

MemoryHistoryRow view_of(const store::MemoryRow& row) {
    const store::MemoryFigures& figures = row.figures;
    memory::HostLedger ledger{.total = figures.total,
                              .guest_in_use = figures.guest_in_use,
                              .page_cache = figures.page_cache,
                              .guest_unused = figures.guest_unused,
                              .shared = figures.shared,
                              .overhead = figures.overhead,
                              .host_cache = figures.host_cache,
                              .host_own = figures.host_own,
                              .reserve = figures.reserve,
                              .free = figures.free,
                              .unexplained = {},
                              .saved = {},
                              .promised = {},
                              .ballooned = {},
                              .never_touched = {}};
    ledger.unexplained = ledger.total;
    for (const auto& part : memory::rows_of(ledger))
        if (part.name != "unexplained") ledger.unexplained -= part.bytes;
    return {.at = row.at,
            .watched = row.watched,
            .level = static_cast<memory::Level>(std::clamp(row.level, 0, 3)),
            .risk = row.risk,
            .vms = row.vms,
            .least_free = row.least_free,
            .most_unmet = row.most_unmet,
            .total = figures.total,
            .parts = parts_of(ledger),
            .saved = figures.saved,
            .promised = figures.promised,
            .ballooned = figures.ballooned,
            .never_touched = figures.never_touched};
}

VmMemoryHistoryRow view_of(const store::VmMemoryRow& row) {
    return {.at = row.at,
            .watched = row.watched,
            .balloon = row.figures.balloon,
            .working_set = row.figures.working_set,
            .page_cache = row.figures.page_cache,
            .resident = row.figures.resident,
            .lacked = row.lacked,
            .believed = row.believed};
}

}  // namespace api

}  // namespace ballast
