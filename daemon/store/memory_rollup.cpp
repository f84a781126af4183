#include "daemon/store/memory_rollup.h"

#include <algorithm>

#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>

namespace ballast::store {
namespace {

using Members = boost::describe::describe_members<MemoryFigures, boost::describe::mod_public>;

/// `sum` holds sums of figures until all rows are added.
void add(MemoryRow& sum, const MemoryRow& row) {
    sum.least_free = sum.watched == Seconds(0) ? row.least_free : std::min(sum.least_free, row.least_free);
    sum.watched += row.watched;
    boost::mp11::mp_for_each<Members>([&](auto member) {
        sum.figures.*member.pointer += Bytes((row.figures.*member.pointer).count() * row.watched.count());
    });
    sum.most_unmet = std::max(sum.most_unmet, row.most_unmet);
    sum.risk = std::max(sum.risk, row.risk);
    sum.level = std::max(sum.level, row.level);
    sum.vms = std::max(sum.vms, row.vms);
}

void divide(MemoryRow& sum) {
    boost::mp11::mp_for_each<Members>([&](auto member) {
        Bytes& figure = sum.figures.*member.pointer;
        figure = Bytes(figure.count() / std::max<std::int64_t>(1, sum.watched.count()));
    });
}

/// All sweeps of one host within a step weigh the same.
MemoryRow row_of(const MemoryPoint& point) {
    return {.at = {},
            .host = point.host,
            .watched = Seconds(1),
            .figures = point.figures,
            .least_free = point.figures.free,
            .most_unmet = point.unmet,
            .risk = point.risk,
            .level = point.level,
            .vms = point.vms};
}

}  // namespace

Timestamp begin_of(Timestamp time, Seconds step) {
    const auto since = std::chrono::floor<Seconds>(time.time_since_epoch());
    return Timestamp(since - since % step);
}

std::vector<MemoryRow> rolled_up(std::span<const MemoryRow> rows, Timestamp at) {
    std::map<HostId, MemoryRow> by_host;
    for (const auto& row : rows) add(by_host[row.host], row);
    std::vector<MemoryRow> made;
    made.reserve(by_host.size());
    for (auto& [host, sum] : by_host) {
        divide(sum);
        sum.at = at;
        sum.host = host;
        made.push_back(std::move(sum));
    }
    return made;
}

std::vector<MemoryRow> OpenRows::note(std::span<const MemoryPoint> points, Timestamp now) {
    const Seconds step = memory_resolutions.front().step;
    const Timestamp begin = begin_of(now, step);
    std::vector<MemoryRow> over;
    if (begin != begin_) {
        over = rolled_up(readings_, begin_);
        for (auto& row : over) row.watched = step;
        readings_.clear();
        begin_ = begin;
    }
    for (const auto& point : points) readings_.push_back(row_of(point));
    return over;
}

}  // namespace ballast::store
