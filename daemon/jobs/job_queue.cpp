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
        const Job& job = now ? *now : *old;
        settle(job.id, job.vm);
    });
}

void JobQueue::settle(const JobId& id) {
    if (const Job* job = snapshot_->jobs.find(id)) settle(id, job->vm);
}

void JobQueue::settle(const JobId& id, const VmId& vm) {
    const auto own = by_vm_.find(vm);
    for (const bool queued : {false, true}) {
        const Turn turn{queued, id};
        for_a_slot_.erase(turn);
        for_none_.erase(turn);
        if (own != by_vm_.end()) own->second.erase(turn);
    }
    if (own != by_vm_.end() && own->second.empty()) by_vm_.erase(own);
    const Job* job = snapshot_->jobs.find(id);
    if (job == nullptr || is_finished(job->state) || taken_.contains(id)) return;
    const Turn turn{job->state == JobState::queued, id};
    const bool needs_slot = takes_slot(job->kind) && !is_called_off(*job);
    (needs_slot ? for_a_slot_ : for_none_).insert(turn);
    if (!vm.empty() && !is_called_off(*job)) by_vm_[vm].insert(turn);
}

bool JobQueue::is_first_of_its_vm(const Job& job) const {
    const auto own = by_vm_.find(job.vm);
    return own == by_vm_.end() || own->second.begin()->id == job.id;
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
