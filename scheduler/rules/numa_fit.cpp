#include "scheduler/rules/numa_fit.h"

#include <algorithm>

#include "scheduler/cells.h"

namespace ballast::scheduler {
namespace {

CellNeed need_of(const Candidate& candidate) {
    const VmSpec& spec = candidate.spec();
    return cell_need(spec.placement, spec.memory, spec.vcpus);
}

bool fits_cells(const std::vector<CellRoom>& cells, const CellNeed& need) {
    return cells_that_fit(cells, need) >= std::max(1, need.cells);
}

/// What is asked of each cell: "4 GiB, 2 cores of its own and 2048 pages of 2 MiB".
std::string in_words(const CellNeed& need) {
    std::vector<std::string> parts;
    if (need.memory > Bytes(0)) parts.push_back(fmt::format("{}", need.memory));
    if (need.cpus > 0) parts.push_back(fmt::format("{} cores of its own", need.cpus));
    if (need.pages > 0) parts.push_back(fmt::format("{} pages of {}", need.pages, need.page));
    return fmt::format("{}", fmt::join(parts, " and "));
}

std::string rooms(const std::vector<CellRoom>& cells, Bytes page) {
    std::vector<std::string> parts;
    for (const CellRoom& cell : cells)
        parts.push_back(fmt::format("cell {}: {}, {} cores{}", cell.cell, cell.memory, cell.cpus,
                                    page > Bytes(0) ? fmt::format(", {} pages", pages_in(cell, page)) : ""));
    return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

bool NumaFit::fits(const Candidate& candidate) const {
    return !wants_cells(candidate.spec().placement) || fits_cells(candidate.view.cells, need_of(candidate));
}

RuleVerdict NumaFit::operator()(const Candidate& candidate) const {
    if (!wants_cells(candidate.spec().placement)) return accept("no wish about cells or pages");
    const CellNeed need = need_of(candidate);
    const auto& cells = candidate.view.cells;
    const std::string wish = need.cells > 0 ? fmt::format("{} cells with {} each", need.cells, in_words(need))
                                            : fmt::format("{} in all", in_words(need));
    if (fits_cells(cells, need)) return accept("has {}", wish);
    const RuleVerdict verdict = reject("needs {}, free are {}", wish, rooms(cells, need.page));
    const auto whole = empty_cells(candidate.host());
    if (fits_cells(whole, need)) {
        const int missing = std::max(1, need.cells) - cells_that_fit(cells, need);
        return lacks_room(verdict, fmt::format("VMs leave {} of its cells", missing));
    }
    return fits_if(verdict, need.cells > std::ssize(whole)
                                ? fmt::format("the VM asks for at most {} cells", whole.size())
                                : "the VM asks for less of each cell");
}

}  // namespace ballast::scheduler
