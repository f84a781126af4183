#include "daemon/reconcile/applier.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/reconcile/autostart.h"

namespace ballast::reconcile {
namespace {

constexpr std::size_t vms_per_write = 200;

store::WriteContext context_of(const Cause& cause) {
    store::WriteContext context;
    context.job = cause.job;
    context.origin = cause.job.empty() ? cause.origin : Origin::ballast;
    context.actor = context.origin == Origin::outside ? "outside" : "ballast";
    return context;
}

void put(store::Transaction& transaction, const VmId& id, const Merged& merged) {
    if (!merged.row) {
        if (transaction.snapshot().vms.find(id) != nullptr)
            transaction.erase(id, {merged.notes.front().kind, merged.notes.front().message});
        return;
    }
    if (merged.notes.empty()) return;
    transaction.put(*merged.row, {merged.notes.front().kind, merged.notes.front().message});
    if (merged.notes.size() == 1) return;
    // The row is written once: what else is new of it are events of their own, with the row, as one without says that
    // it is gone.
    const JsonText after{to_json_text(*transaction.snapshot().vms.find(id))};
    for (const auto& note : merged.notes | std::views::drop(1)) {
        Event event;
        event.kind = note.kind;
        event.message = note.message;
        event.subject_kind = "vm";
        event.subject_id = id.str();
        event.subject_name = merged.row->name;
        event.after = after;
        transaction.emit(std::move(event));
    }
}

std::set<HostId> active_hosts(const std::optional<Vm>& row, const std::vector<HostSaid>& said) {
    std::set<HostId> hosts;
    if (row)
        for (const auto& one : row->definitions)
            if (is_active(one.state) && !one.stale_view) hosts.insert(one.host);
    for (const auto& one : said)
        if (one.view && is_active(one.view->state)) hosts.insert(one.host);
    return hosts;
}

/// The start and the event that says why are one with what the host's list changed: a crash between them can't lose it.
void start(store::Transaction& transaction, const VmId& id, const std::string& why, const Cause& cause) {
    const auto queued = cause.start(transaction, id);
    if (!queued) {
        spdlog::warn("vm={} is not started by itself: {}", id, queued.error().chain());
        return;
    }
    Vm vm = *transaction.snapshot().vms.find(id);
    vm.state_reason = why + "; Ballast starts it";
    const std::string message = vm.state_reason;
    transaction.put(std::move(vm), {"vm.autostart", message});
}

}  // namespace

/// Filled on the writer thread, read on the loop after the commit.
struct Applier::Outcome {
    Leftover leftover;
    std::map<JobId, std::vector<std::size_t>> of_jobs;  ///< groups to be written again in the name of that job
    std::vector<std::size_t> due;  ///< groups to be written again with a start, in Ballast's own name
};

void Applier::supersede(const HostId& host, std::uint64_t ticket) {
    auto& until = void_until_[host];
    until = std::max(until, ticket);
    std::erase_if(applied_[host], [&](const auto& known) { return known.second <= ticket; });
}

bool Applier::is_overtaken(const Reading& reading) const {
    const auto voided = void_until_.find(reading.said.host);
    if (voided != void_until_.end() && reading.ticket < voided->second) return true;
    const auto host = applied_.find(reading.said.host);
    if (host == applied_.end()) return false;
    const auto last = host->second.find(reading.vm);
    return last != host->second.end() && reading.ticket < last->second;
}

/// Those that are to be written in another's name: a later reading may have been written meanwhile.
std::shared_ptr<const std::vector<Applier::Group>> Applier::still_current(
    const std::vector<Group>& groups, const std::vector<std::size_t>& indices) const {
    auto part = std::make_shared<std::vector<Group>>();
    for (const std::size_t index : indices) {
        Group group = groups[index];
        std::erase_if(group.second, [this](const Reading& reading) { return is_overtaken(reading); });
        if (!group.second.empty()) part->push_back(std::move(group));
    }
    return part;
}

std::vector<Applier::Group> Applier::group(std::vector<Reading> readings) {
    std::map<VmId, std::vector<Reading>> by_vm;
    for (auto& reading : readings) {
        if (is_overtaken(reading)) continue;
        applied_[reading.said.host][reading.vm] = reading.ticket;
        const VmId vm = reading.vm;
        by_vm[vm].push_back(std::move(reading));
    }
    return {std::make_move_iterator(by_vm.begin()), std::make_move_iterator(by_vm.end())};
}

boost::asio::awaitable<Result<Leftover>> Applier::apply(std::vector<Reading> readings, Cause cause) {
    const auto self = shared_from_this();
    Leftover leftover;
    auto groups = group(std::move(readings));
    for (std::size_t begin = 0; begin < groups.size(); begin += vms_per_write) {
        const std::size_t end = std::min(groups.size(), begin + vms_per_write);
        auto chunk = std::make_shared<std::vector<Group>>(
            std::make_move_iterator(groups.begin() + static_cast<std::ptrdiff_t>(begin)),
            std::make_move_iterator(groups.begin() + static_cast<std::ptrdiff_t>(end)));
        auto outcome = std::make_shared<Outcome>();
        BALLAST_CO_CHECK(co_await write(chunk, cause, outcome));
        for (const auto& [job, indices] : std::exchange(outcome->of_jobs, {})) {
            const auto part = still_current(*chunk, indices);
            Cause by_job = cause;
            by_job.job = job;
            BALLAST_CO_CHECK(co_await write(part, by_job, outcome));
            for (const auto& [other, left] : std::exchange(outcome->of_jobs, {}))
                for (const std::size_t index : left) outcome->leftover.again.push_back((*part)[index].first);
        }
        if (!outcome->due.empty()) {
            const auto part = still_current(*chunk, std::exchange(outcome->due, {}));
            Cause own = cause;
            own.origin = Origin::ballast;
            BALLAST_CO_CHECK(co_await write(part, own, outcome));
            for (const auto& [job, indices] : std::exchange(outcome->of_jobs, {}))
                for (const std::size_t index : indices) outcome->leftover.again.push_back((*part)[index].first);
        }
        leftover.doubtful.merge(outcome->leftover.doubtful);
        leftover.vanished.merge(outcome->leftover.vanished);
        std::ranges::move(outcome->leftover.again, std::back_inserter(leftover.again));
    }
    co_return leftover;
}

boost::asio::awaitable<Result<void>> Applier::write(std::shared_ptr<const std::vector<Group>> groups, Cause cause,
                                                    std::shared_ptr<Outcome> outcome) {
    store::Change what = [groups, cause, outcome](store::Transaction& transaction) {
        return change(transaction, *groups, cause, *outcome);
    };
    BALLAST_CO_CHECK(co_await store_->write(context_of(cause), std::move(what)));
    co_return Result<void>{};
}

std::optional<std::string> Applier::find_due(const Snapshot& snapshot, const std::optional<Vm>& before,
                                             const Merged& merged, const std::vector<Reading>& readings,
                                             const Cause& cause) {
    if (!cause.start || !before || !merged.row || merged.doubtful || merged.vanished || readings.size() != 1)
        return std::nullopt;
    const HostSaid& said = readings.front().said;
    const Host* host = snapshot.hosts.find(said.host);
    if (host == nullptr || !said.view) return std::nullopt;
    const auto stopped = last_stop(snapshot, before->id);
    return reason_to_start(*host, {*before, *merged.row, *said.view, cause.booted, stopped});
}

Result<void> Applier::change(store::Transaction& transaction, const std::vector<Group>& groups, const Cause& cause,
                             Outcome& outcome) {
    for (std::size_t i = 0; i < groups.size(); ++i) {
        const auto& [id, readings] = groups[i];
        const auto found = transaction.snapshot().vms.find_ptr(id);
        if (!found && readings.front().was_known) {
            outcome.leftover.again.push_back(id);
            continue;
        }
        const JobId working = found && found->job ? *found->job : JobId();
        if (working != cause.job && (cause.job.empty() || !working.empty())) {
            outcome.of_jobs[working].push_back(i);
            continue;
        }
        std::vector<HostSaid> said;
        for (const auto& reading : readings) said.push_back(reading.said);
        const std::optional<Vm> row = found ? std::optional(*found) : std::nullopt;
        const MergeContext context{.cluster = transaction.snapshot().cluster,
                                   .now = transaction.now(),
                                   .hosts = transaction.snapshot().hosts,
                                   .proven = cause.proven,
                                   .searched = cause.searched,
                                   .host_is_new = cause.host_is_new};
        const Merged merged = merge(row, said, context);
        const auto due = find_due(transaction.snapshot(), row, merged, readings, cause);
        if (due && cause.origin != Origin::ballast) {
            outcome.due.push_back(i);
            continue;
        }
        if (merged.doubtful)
            outcome.leftover.doubtful.emplace(id, active_hosts(row, said));
        else if (merged.vanished)
            outcome.leftover.vanished.insert(id);
        else if (!merged.notes.empty())
            put(transaction, id, merged);
        if (due) start(transaction, id, *due, cause);
    }
    return {};
}

}  // namespace ballast::reconcile
