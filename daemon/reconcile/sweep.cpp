// The sweep of one host: statistics in one bulk call, and what they show to differ from the rows.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "core/try.h"
#include "daemon/reconcile/reconciler.h"

namespace ballast::reconcile {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

namespace {

constexpr Milliseconds longest_pause{5 * 60'000};

/// A host that takes long is asked less often: at most a fifth of the time is spent asking it.
Milliseconds pause_after(Milliseconds interval, Milliseconds took, int failures) {
    const Milliseconds polite = std::max(interval, took * 4);
    return std::min(polite * (1 << std::min(failures, 5)), std::max(longest_pause, interval));
}

/// States that only a job may leave standing.
bool is_transitional(VmState state) {
    return state == VmState::creating || state == VmState::starting || state == VmState::stopping ||
           state == VmState::migrating || state == VmState::deleting;
}

/// Whether the row does not say what the sweep saw.
bool differs(const Vm* row, const HostId& host, const drivers::DomainStats& seen) {
    if (row == nullptr) return true;
    const auto here = std::ranges::find(row->definitions, host, &Definition::host);
    if (here == row->definitions.end() || here->stale_view || here->state != seen.state) return true;
    if (row->host != host) return false;
    if (!row->job && is_transitional(row->state) && state_of(here->state) != row->state) return true;
    return is_active(seen.state) && row->balloon != seen.balloon;
}

bool asks_for_vcpus(std::map<VmId, std::pair<int, int>>& asked, const Vm* row, const HostId& host,
                    const drivers::DomainStats& seen) {
    if (row == nullptr || row->host != host || row->spec.vcpus == seen.vcpus) {
        asked.erase(seen.id);
        return false;
    }
    const std::pair now(seen.vcpus, row->spec.vcpus);
    return std::exchange(asked[seen.id], now) != now;
}

}  // namespace

/// Within a tenth, so that hosts do not all answer in the same moment.
Milliseconds Reconciler::jittered(Milliseconds time) {
    std::uniform_real_distribution<double> factor(0.9, 1.1);
    return std::chrono::duration_cast<Milliseconds>(time * factor(jitter_));
}

asio::awaitable<void> Reconciler::sweep_for_ever(HostId host, std::uint64_t round) {
    const auto self = shared_from_this();
    auto next_list = Steady::now() + jittered(options_.list_interval);
    int failures = 0;
    Milliseconds pause{0};
    while (current(host, round) != nullptr) {
        co_await Pauses::wait(pauses_, pause);
        if (current(host, round) == nullptr) co_return;
        const auto begun = Steady::now();
        auto done = co_await sweep(host);
        const auto took = std::chrono::duration_cast<Milliseconds>(Steady::now() - begun);
        if (done && Steady::now() >= next_list && registry_->is_listed(host)) {
            done = co_await observe_host(host);
            next_list = Steady::now() + jittered(options_.list_interval);
        }
        failures = done ? 0 : failures + 1;
        pause = jittered(pause_after(options_.sweep_interval, took, failures));
        if (!done)
            spdlog::warn("host={} the sweep failed, again in {}: {}", host, to_string(pause), done.error().chain());
    }
}

drivers::Task<> Reconciler::sweep(HostId host) {
    const auto driver = registry_->find(host);
    if (!driver) co_return fail(Code::unavailable, "host {} has no connection", host);
    BALLAST_CO_TRY(auto swept, co_await driver->statistics().sweep());
    const auto before = board_->find(host);
    HostSample sample = make_sample(host, std::move(swept), clock_->now(), Steady::now(), before.get());
    compare(host, sample);
    board_->publish(std::move(sample));
    co_return Result<void>{};
}

void Reconciler::compare(const HostId& host, const HostSample& sample) {
    const auto at = work_.find(host);
    if (at == work_.end() || !at->second.listed) return;
    Work& work = at->second;
    const auto snapshot = store_->snapshot();
    for (const auto& [vm, seen] : sample.vms) {
        const Vm* row = snapshot->vms.find(vm);
        const bool other = differs(row, host, seen.stats);
        if (other || asks_for_vcpus(work.vcpus_asked, row, host, seen.stats)) mark_dirty(host, vm);
    }
    for (const auto& vm : work.domains)  // gone, or only busy: the reading will tell
        if (!sample.vms.contains(vm)) mark_dirty(host, vm);
    std::erase_if(work.vcpus_asked, [&](const auto& asked) { return !sample.vms.contains(asked.first); });
}

}  // namespace ballast::reconcile
