#include "scheduler/cells.h"

#include <algorithm>

namespace ballast::scheduler {
namespace {

void take_pages(CellRoom& cell, Bytes size, std::int64_t& wanted) {
    for (HugePages& pages : cell.pages) {
        if (pages.size != size) continue;
        const std::int64_t taken = std::min(pages.count, wanted);
        pages.count -= taken;
        wanted -= taken;
    }
}

void take_from(CellRoom& cell, const CellNeed& need) {
    cell.memory = saturating_sub(cell.memory, need.memory);
    cell.cpus = std::max(0, cell.cpus - need.cpus);
    std::int64_t wanted = need.pages;
    take_pages(cell, need.page, wanted);
}

}  // namespace

bool wants_cells(const VmPlacement& placement) {
    return placement.numa.cells > 0 || placement.hugepage_size.has_value();
}

CellNeed cell_need(const VmPlacement& placement, Bytes memory, int vcpus) {
    const int cells = placement.numa.cells;
    const int parts = std::max(1, cells);
    CellNeed need;
    need.cells = cells;
    const Bytes share = (memory + Bytes(parts - 1)) / parts;
    if (cells > 0) need.memory = share;
    if (placement.numa.pinned) need.cpus = (vcpus + parts - 1) / parts;
    if (!placement.hugepage_size) return need;
    need.page = *placement.hugepage_size;
    need.pages = (share.count() + need.page.count() - 1) / need.page.count();
    return need;
}

std::vector<CellRoom> empty_cells(const Host& host) {
    std::vector<CellRoom> cells;
    for (const NumaCell& cell : host.facts.numa)
        cells.push_back({.cell = cell.cell, .memory = cell.memory, .cpus = cell.cpus, .pages = cell.pages});
    if (cells.empty()) cells.push_back({.cell = 0, .memory = host.facts.memory, .cpus = host.facts.cpus, .pages = {}});
    return cells;
}

std::int64_t pages_in(const CellRoom& cell, Bytes size) {
    const auto at = std::ranges::find(cell.pages, size, &HugePages::size);
    return at != cell.pages.end() ? at->count : 0;
}

bool fits_on(const CellRoom& cell, const CellNeed& need) {
    return cell.memory >= need.memory && cell.cpus >= need.cpus &&
           (need.pages == 0 || pages_in(cell, need.page) >= need.pages);
}

int cells_that_fit(const std::vector<CellRoom>& cells, const CellNeed& need) {
    if (need.cells > 0)
        return static_cast<int>(
            std::ranges::count_if(cells, [&](const CellRoom& cell) { return fits_on(cell, need); }));
    std::int64_t pages = 0;
    for (const CellRoom& cell : cells) pages += pages_in(cell, need.page);
    return pages >= need.pages ? 1 : 0;
}

void take(std::vector<CellRoom>& cells, const CellNeed& need) {
    if (need.cells == 0) {
        std::int64_t wanted = need.pages;
        for (CellRoom& cell : cells) take_pages(cell, need.page, wanted);
        return;
    }
    std::vector<CellRoom*> order;
    for (CellRoom& cell : cells) order.push_back(&cell);
    std::ranges::sort(order, [&](const CellRoom* a, const CellRoom* b) {
        return std::make_tuple(fits_on(*a, need), a->memory, b->cell) >
               std::make_tuple(fits_on(*b, need), b->memory, a->cell);
    });
    for (int i = 0; i < need.cells && i < std::ssize(order); ++i) take_from(*order[static_cast<std::size_t>(i)], need);
}

}  // namespace ballast::scheduler
