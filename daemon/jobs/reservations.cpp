#include "daemon/jobs/reservations.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "core/json_impl.h"
#include "core/try.h"
#include "scheduler/fleet/fleet.h"
#include "scheduler/host_view.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(jobs::BatchAsk)
BALLAST_INSTANTIATE_JSON(jobs::ReservationAsk)
BALLAST_INSTANTIATE_JSON(jobs::ReservationView)

}  // namespace ballast

namespace ballast::jobs {
namespace {

using Places = std::vector<std::shared_ptr<const Claim>>;

constexpr std::size_t most_vms = 256;
constexpr std::size_t longest_note = 4096;
constexpr Seconds usual{3600};
constexpr Seconds longest{366L * 24 * 3600};

bool is_reserved(const Claim& claim) {
    return claim.job.empty();
}

/// A claim's name is the reservation's and the VM's: "shop/web1".
std::string_view reservation_of(const Claim& claim) {
    return std::string_view(claim.name).substr(0, claim.name.find('/'));
}

std::string_view vm_name_of(const Claim& claim) {
    return std::string_view(claim.name).substr(std::min(claim.name.size(), claim.name.find('/') + 1));
}

/// Whether a VM that is being made is to get this place. A create that has ended leaves it open again.
bool is_taken(const Snapshot& snapshot, const Claim& claim) {
    const Vm* vm = claim.vm.empty() ? nullptr : snapshot.vms.find(claim.vm);
    return vm != nullptr && vm->job;
}

bool has_expired(const Snapshot& snapshot, const Claim& claim, Timestamp now) {
    return is_reserved(claim) && claim.expires && *claim.expires <= now && !is_taken(snapshot, claim);
}

Places select_places(const Snapshot& snapshot, const std::function<bool(const Claim&)>& wanted) {
    auto places = snapshot.claims.select([&](const Claim& claim) { return is_reserved(claim) && wanted(claim); });
    std::ranges::sort(places, {}, [](const auto& claim) { return claim->name; });
    return places;
}

Places places_of(const Snapshot& snapshot, std::string_view reservation) {
    return select_places(snapshot, [&](const Claim& claim) { return reservation_of(claim) == reservation; });
}

ReservationView view_of(const Snapshot& snapshot, const Places& places) {
    const Claim& first = *places.front();
    ReservationView view{.name = std::string(reservation_of(first)),
                         .note = first.note,
                         .created = first.created,
                         .expires = first.expires,
                         .claims = {}};
    for (const auto& claim : places) {
        view.claims.push_back(*claim);
        if (!is_taken(snapshot, *claim)) view.claims.back().vm = VmId();
    }
    return view;
}

Error unknown(std::string_view name) {
    return Error(Code::not_found, fmt::format("no reservation is named '{}'; see `ballast reservation list`", name));
}

Result<Timestamp> expiry_of(const ReservationAsk& ask, Timestamp now) {
    if (ask.lasts && ask.expires)
        return fail(Code::invalid_argument, "lasts_s and expires: both say when reservation {} ends; give one of them",
                    ask.name);
    const Seconds lasts = ask.lasts.value_or(usual);
    if (lasts <= Seconds(0) || lasts > longest)
        return fail(Code::invalid_argument, "lasts_s: {} is not between 1 and {} (366 days)", lasts.count(),
                    longest.count());
    const Timestamp expires = ask.expires.value_or(now + lasts);
    if (expires <= now)
        return fail(Code::invalid_argument, "expires: {} has passed already, it is {}; give a later moment",
                    to_string(expires), to_string(now));
    if (expires > now + longest)
        return fail(Code::invalid_argument, "expires: {} is more than 366 days ahead; give an earlier moment",
                    to_string(expires));
    return expires;
}

Result<scheduler::BatchMember> member_of(const Snapshot& snapshot, const BatchVm& vm, const std::string& where,
                                         const std::string& default_pool) {
    if (const auto named = check_name("VM", vm.name); !named)
        return fail(Code::invalid_argument, "{}.name: {}", where, named.error().message());
    if (const auto sound = check(vm.spec); !sound)
        return fail(Code::invalid_argument, "{}.spec.{}", where, sound.error().message());
    scheduler::BatchMember member{.name = vm.name, .request = {}};
    member.request.spec = vm.spec;
    for (DiskSpec& disk : member.request.spec.disks)
        if (disk.pool.empty()) disk.pool = default_pool;
    if (!vm.host.empty()) {
        BALLAST_TRY(const auto host, find_host(snapshot, vm.host));
        member.request.only = host->id;
    }
    return member;
}

/// What is said in the words of the batch, with the rules that leave no host where the refusal does not name them.
Error refusal_of(const ReservationAsk& ask, const scheduler::BatchDecision& decision) {
    std::string text = fmt::format("reservation {}: {}", ask.name, decision.text);
    if (!decision.why) return Error(Code::resource_exhausted, std::move(text));
    const auto& conflict = decision.why->conflict;
    if (conflict && text.find(conflict->text) == std::string::npos) text += "; " + conflict->text;
    return Error(scheduler::refusal(*decision.why, decision.failed).code(), std::move(text));
}

/// Where a place is larger than the VM, the VM fits into it.
struct Need {
    Bytes memory;
    int vcpus = 0;
};

Need need_on(const Snapshot& snapshot, const VmSpec& spec, const HostId& host) {
    const Host* row = snapshot.hosts.find(host);
    return {.memory = row != nullptr ? scheduler::memory_demand(spec, *row) : spec.memory, .vcpus = spec.vcpus};
}

Result<void> keep_large_enough(const Snapshot& snapshot, const VmCreateParams& params, Places& places) {
    const Claim largest = **std::ranges::max_element(places, {}, [](const auto& claim) { return claim->memory; });
    std::erase_if(places, [&](const auto& claim) {
        const Need need = need_on(snapshot, params.spec, claim->host);
        return need.memory > claim->memory || need.vcpus > claim->vcpus;
    });
    if (!places.empty()) return {};
    const Need need = need_on(snapshot, params.spec, largest.host);
    return fail(Code::resource_exhausted,
                "reservation {}: VM {} needs {} and {} vCPUs, more than its largest open place {} has: {} and {} "
                "vCPUs; ask for less, or create the VM without the reservation",
                params.reservation, params.name, need.memory, need.vcpus, largest.name, largest.memory, largest.vcpus);
}

Result<void> keep_on_host(const Snapshot& snapshot, const VmCreateParams& params, Places& places) {
    if (params.host.empty()) return {};
    BALLAST_TRY(const auto host, find_host(snapshot, params.host));
    const HostId elsewhere = places.front()->host;
    std::erase_if(places, [&](const auto& claim) { return claim->host != host->id; });
    if (!places.empty()) return {};
    return fail(Code::invalid_argument, "host: reservation {} has no open place on {}, but on {}; leave the host out",
                params.reservation, host->name, host_name(snapshot, elsewhere));
}

}  // namespace

Result<std::vector<scheduler::BatchMember>> batch_of(const Snapshot& snapshot, const std::vector<BatchVm>& vms,
                                                     const std::string& default_pool) {
    if (vms.empty() || vms.size() > most_vms)
        return fail(Code::invalid_argument, "vms: {} are not between 1 and {}", vms.size(), most_vms);
    std::vector<scheduler::BatchMember> members;
    std::set<std::string> names;
    for (std::size_t i = 0; i < vms.size(); ++i) {
        const std::string where = fmt::format("vms[{}]", i);
        if (!names.insert(vms[i].name).second)
            return fail(Code::invalid_argument, "{}.name: '{}' stands twice; give each VM a name of its own", where,
                        vms[i].name);
        BALLAST_TRY(auto member, member_of(snapshot, vms[i], where, default_pool));
        members.push_back(std::move(member));
    }
    return members;
}

PlacedBatch place_batch(const std::shared_ptr<const Snapshot>& snapshot, std::vector<scheduler::BatchMember> members,
                        const scheduler::Preferences& preferences) {
    PlacedBatch batch{.members = std::move(members), .decision = {}, .bases = {}};
    batch.decision = scheduler::plan_batch(*snapshot, batch.members, snapshot->seq, preferences);
    if (!batch.decision.placed) return batch;
    scheduler::Fleet fleet(snapshot);
    fleet.prefer({.policies = {}, .load = preferences.load, .memory = preferences.memory});
    for (std::size_t i = 0; i < batch.members.size(); ++i)
        batch.bases.push_back(fleet.basis_of(batch.decision.places[i].host, batch.members[i].request.spec));
    return batch;
}

Result<ReservationView> reserve(store::Transaction& transaction, const ReservationAsk& ask, const PlacedBatch& batch) {
    BALLAST_CHECK(check_name("reservation", ask.name));
    if (ask.note.size() > longest_note)
        return fail(Code::invalid_argument, "note: {} characters are more than the limit of {}", ask.note.size(),
                    longest_note);
    const Timestamp now = transaction.now();
    BALLAST_TRY(const Timestamp expires, expiry_of(ask, now));
    drop_expired(transaction);
    if (!places_of(transaction.snapshot(), ask.name).empty())
        return fail(Code::already_exists,
                    "a reservation named '{}' exists already; choose another name, or let it go with `ballast "
                    "reservation delete {}`",
                    ask.name, ask.name);
    if (!batch.decision.placed) return std::unexpected(refusal_of(ask, batch.decision));
    for (std::size_t i = 0; i < batch.members.size(); ++i) {
        const auto& [name, host, where] = batch.decision.places[i];
        const auto& request = batch.members[i].request;
        BALLAST_CHECK(scheduler::check_claim(transaction.snapshot(), batch.bases[i], request));
        Claim claim = scheduler::make_claim(transaction.snapshot(), host, request, JobId(), now);
        claim.id = ClaimId(transaction.ids().uuid());
        claim.name = fmt::format("{}/{}", ask.name, name);
        claim.note = ask.note;
        claim.expires = expires;
        const std::string words =
            fmt::format("{} on {} are reserved for {} until {}", claim.memory, where, claim.name, to_string(expires));
        transaction.put(std::move(claim), {"claim.reserved", words});
    }
    return find_reservation(transaction.snapshot(), ask.name);
}

std::vector<ReservationView> list_reservations(const Snapshot& snapshot) {
    std::map<std::string_view, Places> by_name;
    for (const auto& claim : select_places(snapshot, [](const Claim&) { return true; }))
        by_name[reservation_of(*claim)].push_back(claim);
    std::vector<ReservationView> all;
    for (const auto& [name, places] : by_name) all.push_back(view_of(snapshot, places));
    return all;
}

Result<ReservationView> find_reservation(const Snapshot& snapshot, std::string_view name) {
    const Places places = places_of(snapshot, name);
    if (places.empty()) return std::unexpected(unknown(name));
    return view_of(snapshot, places);
}

Result<ReservationView> release(store::Transaction& transaction, std::string_view name) {
    BALLAST_TRY(auto view, find_reservation(transaction.snapshot(), name));
    for (const Claim& claim : view.claims)
        if (!claim.vm.empty())
            return fail(Code::failed_precondition,
                        "reservation {} can't be let go while VM {} takes the place {}; wait until it is created", name,
                        transaction.snapshot().vms.find(claim.vm)->name, claim.name);
    for (const Claim& claim : view.claims)
        transaction.erase(claim.id, {"claim.released", fmt::format("the room for {} is let go", claim.name)});
    return view;
}

Result<std::shared_ptr<const Claim>> find_place(const Snapshot& snapshot, const VmCreateParams& params, Timestamp now) {
    Places places = select_places(snapshot, [&](const Claim& claim) {
        return (claim.name == params.reservation || reservation_of(claim) == params.reservation) &&
               !has_expired(snapshot, claim, now);
    });
    if (places.empty())
        return fail(Code::not_found,
                    "reservation: nothing is reserved as '{}', or no longer; see `ballast reservation list`",
                    params.reservation);
    const std::size_t all = places.size();
    std::erase_if(places, [&](const auto& claim) { return is_taken(snapshot, *claim); });
    if (places.empty())
        return fail(Code::conflict,
                    "reservation {}: other VMs are taking all of its {} places; create the VM without the reservation",
                    params.reservation, all);
    BALLAST_CHECK(keep_on_host(snapshot, params, places));
    BALLAST_CHECK(keep_large_enough(snapshot, params, places));
    const auto own = std::ranges::find_if(places, [&](const auto& claim) { return vm_name_of(*claim) == params.name; });
    return own != places.end() ? *own : places.front();
}

Result<void> take_place(store::Transaction& transaction, const VmCreateParams& params, const VmId& vm) {
    BALLAST_TRY(const auto place, find_place(transaction.snapshot(), params, transaction.now()));
    Claim taken = *place;
    taken.vm = vm;
    const std::string words = fmt::format("VM {} takes the room for {} on {}", params.name, taken.name,
                                          host_name(transaction.snapshot(), taken.host));
    transaction.put(std::move(taken), {"claim.taken", words});
    return {};
}

std::shared_ptr<const Claim> place_of(const Snapshot& snapshot, const VmId& vm) {
    const Places places = select_places(snapshot, [&](const Claim& claim) { return claim.vm == vm; });
    return vm.empty() || places.empty() ? nullptr : places.front();
}

void use_up_place(store::Transaction& transaction, const VmId& vm) {
    if (const auto place = place_of(transaction.snapshot(), vm))
        transaction.erase(place->id, {"claim.used", fmt::format("the VM for {} has come", place->name)});
}

void leave_place(store::Transaction& transaction, const VmId& vm) {
    const auto place = place_of(transaction.snapshot(), vm);
    if (!place) return;
    Claim open = *place;
    open.vm = VmId();
    const std::string words = fmt::format("the room for {} is open again", open.name);
    transaction.put(std::move(open), {"claim.left", words});
}

Result<void> check_nothing_reserved(const Snapshot& snapshot, const Host& host) {
    std::set<std::string> names;
    for (const auto& claim : select_places(snapshot, [&](const Claim& claim) { return claim.host == host.id; }))
        names.emplace(reservation_of(*claim));
    if (names.empty()) return {};
    return fail(Code::failed_precondition,
                "host {} can't be removed while room on it is reserved: {}; let that go with `ballast reservation "
                "delete`, or wait until it expires",
                host.name, fmt::join(names, ", "));
}

bool any_expired(const Snapshot& snapshot, Timestamp now) {
    return snapshot.claims.find_if([&](const Claim& claim) { return has_expired(snapshot, claim, now); }) != nullptr;
}

int drop_expired(store::Transaction& transaction) {
    const Timestamp now = transaction.now();
    const auto expired = transaction.snapshot().claims.select(
        [&](const Claim& claim) { return has_expired(transaction.snapshot(), claim, now); });
    for (const auto& claim : expired)
        transaction.erase(claim->id,
                          {"claim.expired", fmt::format("the room for {} was not taken in time", claim->name)});
    return static_cast<int>(expired.size());
}

}  // namespace ballast::jobs
