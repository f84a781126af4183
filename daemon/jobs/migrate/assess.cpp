// Both hosts, asked twice in turn: what was the same both times, with no call of ours that may change it yet, is
// settled.
#include "core/try.h"
#include "daemon/jobs/kinds/common.h"
#include "daemon/jobs/migrate/move.h"

namespace ballast::jobs {
namespace {

bool is_busy(drivers::MigrationStatus status) {
    using enum drivers::MigrationStatus;
    return status == setup || status == active || status == post_copy || status == post_copy_paused;
}

void describe(migration::SideSays& says, const drivers::DomainView& view, const std::string& cluster) {
    says.present = true;
    says.state = view.state;
    says.persistent = view.persistent;
    says.foreign = view.stamp && view.stamp->cluster != cluster;
    says.epoch = view.stamp ? view.stamp->epoch : 0;
}

}  // namespace

/// What one host says now. No answer is an answer too: `silent`.
Task<migration::SideSays> Move::ask(HostId host) {
    const auto snapshot = run_->snapshot();
    const Host* row = snapshot->hosts.find(host);
    migration::SideSays says;
    if (row != nullptr && row->confirmed_dead) says.reach = migration::Reach::confirmed_dead;
    const auto driver = run_->services().hosts->reachable(host);
    if (!driver || says.reach == migration::Reach::confirmed_dead) co_return says;
    const auto view = co_await look_at(*driver, vm_);
    if (!view) co_return says;
    says.reach = migration::Reach::answered;
    if (*view) describe(says, **view, snapshot->cluster);
    co_return says;
}

Task<migration::SourceSays> Move::ask_source() {
    migration::SourceSays says;
    BALLAST_CO_TRY(static_cast<migration::SideSays&>(says), co_await ask(from_));
    if (says.reach != migration::Reach::answered || !is_active(says.state)) co_return says;
    const auto progress = co_await source_->migration().progress(vm_);
    if (progress)
        says.job_active = is_busy(progress->status);
    else if (progress.error().code() != Code::not_found)
        says.reach = migration::Reach::silent;
    co_return says;
}

Task<migration::Verdict> Move::assess() {
    BALLAST_CO_TRY(const auto first_source, co_await ask_source());
    BALLAST_CO_TRY(const auto first_target, co_await ask(to_));
    BALLAST_CO_TRY(const auto source, co_await ask_source());
    BALLAST_CO_TRY(const auto second_target, co_await ask(to_));
    migration::TargetSays target;
    static_cast<migration::SideSays&>(target) = second_target;
    const bool called = calling_ && migration::may_yet_be_changed_by_a_call(source, target);
    const bool settled = source == first_source && second_target == first_target && !called;
    const auto vm = run_->snapshot()->vms.find_ptr(vm_);
    const std::uint64_t epoch = vm != nullptr ? vm->epoch : 0;
    co_return migration::judge(source, target, migration::journal_of(memo(), epoch, settled));
}

}  // namespace ballast::jobs
