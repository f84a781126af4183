// What the inventory knows about the move of a running VM.
#include <algorithm>

#include "migration/forecast.h"

namespace ballast::migration {
namespace {

/// What the first round of a migration sent, every page that was not zero then; of a move that sends memory once, all
/// of it. Nothing where its rounds were too quick to be told apart.
std::optional<Bytes> content_sent(const Migration& row) {
    constexpr int nearly_first = 2;  // a short second round was seen together with the first
    if (row.phase != MigrationPhase::succeeded || !row.finished) return {};
    if (!row.rounds.empty() && row.rounds.front().round <= nearly_first) return row.rounds.front().sent;
    const bool one_copy = row.mode == MigrationMode::stop_and_copy || row.mode == MigrationMode::post_copy;
    return one_copy ? row.sent : std::nullopt;
}

/// By the VM's last migration that tells.
Bytes sent_last_time(const Snapshot& snapshot, const VmId& vm) {
    std::optional<Timestamp> latest;
    Bytes content;
    snapshot.migrations.for_each([&](const Migration& row) {
        if (row.vm != vm || (latest && row.finished && *row.finished <= *latest)) return;
        const auto sent = content_sent(row);
        if (!sent) return;
        latest = row.finished;
        content = *sent;
    });
    return content;
}

/// Pages stay where they are used: what went over last time is there still, and what the guest uses now may be more.
Bytes content_of(Bytes in_use, Bytes last, Bytes memory) {
    const Bytes content = in_use.count() <= 0 ? last
                          : last.count() <= 0 ? in_use
                                              : std::clamp(in_use, last, last + last / 2);
    return std::min(content, memory);
}

/// What XBZRLE made of this VM's pages in its last move that used it: bytes sent per byte of memory, of the pages that
/// its cache held. A few pages say nothing.
std::optional<double> delta_of(const Snapshot& snapshot, const VmId& vm) {
    constexpr std::int64_t enough_pages = 256;
    constexpr double page = 4096;
    const Migration* last = nullptr;
    snapshot.migrations.for_each([&](const Migration& row) {
        if (row.vm != vm || !row.compression) return;
        if (row.compression->pages + row.compression->overflows < enough_pages) return;
        if (last == nullptr || row.started > last->started) last = &row;
    });
    if (last == nullptr) return std::nullopt;
    const MigrationCompression& seen = *last->compression;
    const auto pages = static_cast<double>(seen.pages + seen.overflows);
    const double sent = static_cast<double>(seen.sent.count()) + static_cast<double>(seen.overflows) * page;
    return std::clamp(sent / (pages * page), 0.0, 1.0);
}

/// Why QEMU on the target may not pull pages; empty: it may, or nobody knows.
std::string obstacle_to_post_copy(const Snapshot& snapshot, const HostId& from, const HostId& to) {
    if (const HostPair* pair = find_pair(snapshot, from, to)) {
        for (const PairCheck& check : pair->checks) {
            if (check.name != "userfaultfd") continue;
            if (check.verdict == CheckVerdict::refused) return check.detail;
            if (check.verdict == CheckVerdict::ok) return {};
        }
    }
    const Host* host = snapshot.hosts.find(to);
    if (host == nullptr || host->facts.userfaultfd_likely) return {};
    return fmt::format("QEMU on {} may not use userfaultfd", host->name);
}

}  // namespace

ForecastInput input_for(const Snapshot& snapshot, const PairHistories& histories, const Vm& vm, const HostId& to,
                        Bytes in_use, Timestamp now, const std::optional<JobId>& self) {
    ForecastInput input;
    input.from = vm.host.value_or(HostId());
    input.to = to;
    input.memory = vm.balloon.count() > 0 ? vm.balloon : vm.spec.memory;
    input.content = content_of(in_use, sent_last_time(snapshot, vm.id), input.memory);
    input.link = estimate_link(snapshot, histories, input.from, to, self);
    input.past = histories.of(input.from, to);
    input.past.overrun = overrun_to_expect(snapshot, input.past, input.from, to);
    input.no_post_copy = obstacle_to_post_copy(snapshot, input.from, to);
    input.delta = delta_of(snapshot, vm.id);
    input.now = now;
    return input;
}

}  // namespace ballast::migration
