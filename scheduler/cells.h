#pragma once
// NUMA cells of a host, and what VMs that wish to lie on them take. Pure.

#include "scheduler/host_view.h"

namespace ballast::scheduler {

/// What a VM asks of each cell that it lies on.
struct CellNeed {
    int cells = 0;           ///< on so many; 0: wherever its pages are
    Bytes memory;            ///< on each of them
    int cpus = 0;            ///< cores of its own on each of them
    Bytes page;              ///< size of its huge pages; 0: ordinary memory
    std::int64_t pages = 0;  ///< on each of them; with `cells` 0: in all
};

[[nodiscard]] bool wants_cells(const VmPlacement& placement);
[[nodiscard]] CellNeed cell_need(const VmPlacement& placement, Bytes memory, int vcpus);
/// All that the host has: its cells, or one that stands for the whole host where it lists none.
[[nodiscard]] std::vector<CellRoom> empty_cells(const Host& host);
[[nodiscard]] std::int64_t pages_in(const CellRoom& cell, Bytes size);
[[nodiscard]] bool fits_on(const CellRoom& cell, const CellNeed& need);
/// How many cells have that room; with `cells` 0 whether all together have the pages: 1 or 0.
[[nodiscard]] int cells_that_fit(const std::vector<CellRoom>& cells, const CellNeed& need);
/// Takes it from the roomiest cells; what is not there (somebody else promised too much) leaves them at 0.
void take(std::vector<CellRoom>& cells, const CellNeed& need);

}  // namespace ballast::scheduler
