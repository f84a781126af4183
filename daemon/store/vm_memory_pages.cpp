#include "daemon/store/vm_memory_pages.h"

#include <algorithm>
#include <bit>

#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>

#include "daemon/store/memory_rollup.h"

namespace ballast::store {
namespace {

using Members = boost::describe::describe_members<VmMemoryFigures, boost::describe::mod_public>;

constexpr Seconds part = memory_resolutions.front().step;  ///< a sweep stands for so long

template <class Act>
void for_each_figure(Act act) {
    boost::mp11::mp_for_each<Members>([&](auto member) { act(member.pointer); });
}

class Packer {
  public:
    void put(std::int64_t value, int bytes) {
        const std::int64_t most = (std::int64_t{1} << (8 * bytes)) - 1;
        const auto kept = static_cast<std::uint64_t>(std::clamp<std::int64_t>(value, 0, most));
        for (int i = 0; i < bytes; ++i) record_.push_back(static_cast<char>((kept >> (8 * i)) & 0xFFU));
    }
    [[nodiscard]] std::string take() && { return std::move(record_); }

  private:
    std::string record_;
};

class Unpacker {
  public:
    explicit Unpacker(std::string_view record) : left_(record) {}
    [[nodiscard]] bool has_row() const { return left_.size() >= packed_size; }
    std::int64_t take(std::size_t bytes) {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < bytes; ++i)
            value |= static_cast<std::uint64_t>(static_cast<unsigned char>(left_[i])) << (8 * i);
        left_.remove_prefix(bytes);
        return static_cast<std::int64_t>(value);
    }

  private:
    std::string_view left_;
};

std::int64_t mebibytes_of(Bytes bytes) {
    return (bytes.count() + mebibytes(1).count() / 2) / mebibytes(1).count();
}

}  // namespace

std::string pack(std::span<const NumberedRow> rows) {
    Packer packer;
    for (const auto& [number, row] : rows) {
        packer.put(number % vms_per_page, 1);
        packer.put(row.believed ? 0 : 1, 1);
        packer.put(row.watched.count(), 2);
        packer.put(row.lacked.count(), 2);
        for_each_figure([&](auto figure) { packer.put(mebibytes_of(row.figures.*figure), 3); });
    }
    return std::move(packer).take();
}

std::vector<NumberedRow> unpack(std::int64_t page, std::string_view record, Timestamp at) {
    std::vector<NumberedRow> rows;
    for (Unpacker unpacker(record); unpacker.has_row();) {
        NumberedRow& one = rows.emplace_back();
        one.number = page * vms_per_page + unpacker.take(1);
        one.row.at = at;
        one.row.believed = unpacker.take(1) == 0;
        one.row.watched = Seconds(unpacker.take(2));
        one.row.lacked = Seconds(unpacker.take(2));
        for_each_figure([&](auto figure) { one.row.figures.*figure = mebibytes(unpacker.take(3)); });
    }
    return rows;
}

std::vector<NumberedRow> rolled_up(std::span<const NumberedRow> rows, Timestamp at) {
    std::map<std::int64_t, VmMemoryRow> by_number;
    for (const auto& [number, row] : rows) {
        VmMemoryRow& sum = by_number[number];
        sum.watched += row.watched;
        sum.lacked += row.lacked;
        sum.believed = sum.believed && row.believed;
        for_each_figure([&](auto figure) { sum.figures.*figure += row.figures.*figure * row.watched.count(); });
    }
    std::vector<NumberedRow> made;
    made.reserve(by_number.size());
    for (auto& [number, sum] : by_number) {
        sum.at = at;
        const std::int64_t seconds = std::max<std::int64_t>(1, sum.watched.count());
        for_each_figure([&](auto figure) { sum.figures.*figure = sum.figures.*figure / seconds; });
        made.push_back({number, sum});
    }
    return made;
}

std::vector<std::pair<VmId, VmMemoryRow>> OpenVmRows::close() {
    std::vector<std::pair<VmId, VmMemoryRow>> over;
    over.reserve(sums_.size());
    for (auto& [vm, sums] : sums_) {
        VmMemoryRow row{.at = begin_,
                        .watched = part * std::popcount(sums.seen),
                        .figures = sums.figures,
                        .lacked = part * std::popcount(sums.lacked),
                        .believed = sums.believed};
        for_each_figure([&](auto figure) { row.figures.*figure = row.figures.*figure / sums.sweeps; });
        over.emplace_back(vm, row);
    }
    std::ranges::sort(over, {}, [](const auto& one) { return one.first; });
    sums_.clear();
    return over;
}

std::vector<std::pair<VmId, VmMemoryRow>> OpenVmRows::note(std::span<const VmMemoryPoint> points, Timestamp now) {
    const Timestamp begin = begin_of(now, vm_memory_resolutions.front().step);
    std::vector<std::pair<VmId, VmMemoryRow>> over;
    if (begin != begin_) {
        over = close();
        begin_ = begin;
    }
    const unsigned bit = 1U << static_cast<unsigned>((now - begin) / part);
    for (const VmMemoryPoint& point : points) {
        Sums& sums = sums_[point.vm];
        ++sums.sweeps;
        sums.seen |= bit;
        if (point.lacks) sums.lacked |= bit;
        sums.believed = sums.believed && point.believed;
        for_each_figure([&](auto figure) { sums.figures.*figure += point.figures.*figure; });
    }
    return over;
}

}  // namespace ballast::store
