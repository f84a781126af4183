#include "daemon/jobs/job_queue.h"

#include <utility>

namespace ballast::jobs {

bool takes_slot(std::string_view kind) {
    return kind != "vm.migrate" && kind != "host.evacuate" && kind != "cluster.rebalance";
}

bool is_called_off(const Job& job) {
    return job.state == JobState::queued && job.cancel_requested;
}

void JobQueue::follow(std::shared_ptr<const Snapshot> next) {
    const auto before = std::exchange(snapshot_, std::move(next));
    snapshot_->jobs.for_each_change(before->jobs, [&](const auto& old, const auto& now) {
        if (old) settle(old->id);
        if (now) settle(now->id);
    });
}

void JobQueue::settle(const JobId& id) {
    for (const bool queued : {false, true}) {
        for_a_slot_.erase({queued, id});
        for_none_.erase({queued, id});
    }
    const Job* job = snapshot_->jobs.find(id);
    if (job == nullptr || is_finished(job->state) || taken_.contains(id)) return;
    const bool needs_slot = takes_slot(job->kind) && !is_called_off(*job);
    (needs_slot ? for_a_slot_ : for_none_).insert({job->state == JobState::queued, id});
}

void JobQueue::take(const JobId& id) {
    taken_.insert(id);
    settle(id);
}

void JobQueue::give_back(const JobId& id) {
    taken_.erase(id);
    settle(id);
}

std::optional<std::pair<JobQueue::Turn, std::shared_ptr<const Job>>> JobQueue::next(const Turn& after,
                                                                                    bool slot_is_free) const {
    const auto slotless = for_none_.upper_bound(after);
    const auto slotted = slot_is_free ? for_a_slot_.upper_bound(after) : for_a_slot_.end();
    if (slotless == for_none_.end() && slotted == for_a_slot_.end()) return std::nullopt;
    const bool slotless_first = slotted == for_a_slot_.end() || (slotless != for_none_.end() && *slotless < *slotted);
    const Turn& turn = slotless_first ? *slotless : *slotted;
    return std::pair(turn, snapshot_->jobs.find_ptr(turn.id));
}

}  // namespace ballast::jobs
