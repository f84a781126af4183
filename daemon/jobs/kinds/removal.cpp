#include "daemon/jobs/kinds/removal.h"

#include <algorithm>

#include "core/try.h"
#include "storage/resolve.h"

namespace ballast::jobs {
namespace {

/// Pools of the name, and those that look at the same folder under another name: the file may be reached through
/// either.
std::vector<std::shared_ptr<const Pool>> pools_that_see(const Snapshot& snapshot, const std::string& name,
                                                        const std::string& path) {
    const std::string folder = path.substr(0, path.rfind('/'));
    return snapshot.pools.select(
        [&](const Pool& pool) { return pool.name == name || (!folder.empty() && pool.path == folder); });
}

bool uses(const VmSpec& spec, const std::string& path) {
    const bool disk =
        std::ranges::any_of(spec.disks, [&](const DiskSpec& candidate) { return candidate.path == path; });
    return disk || spec.boot.kernel == path || spec.boot.initrd == path;
}

Task<> check_on_host(RunPtr run, std::shared_ptr<const Pool> pool, std::string path, VmId except) {
    BALLAST_CO_TRY(const auto driver, run->services().hosts->reachable(pool->host));
    const std::string host = host_name(*run->snapshot(), pool->host);
    BALLAST_CO_TRY(const auto domains, co_await driver->compute().list_domains());
    for (const auto& domain : domains)
        if (domain.id != except && uses(domain.spec, path))
            co_return fail(Code::failed_precondition, "{} is in use by VM {} on {}; nothing was removed", path,
                           domain.name, host);
    if (!pool->active) co_return Result<void>{};  // it lists no volumes; its domains were asked
    BALLAST_CO_TRY(const auto volumes, co_await driver->storage().list_volumes(pool->name));
    for (const auto& volume : volumes)
        if (volume.backing_path == path)
            co_return fail(Code::failed_precondition, "{} is the backing file of {} on {}; nothing was removed", path,
                           volume.path, host);
    co_return Result<void>{};
}

}  // namespace

Task<> check_removable(RunPtr run, std::string pool, std::string path, VmId except) {
    const auto snapshot = run->snapshot();
    const auto users = storage::users_of(*snapshot, path, except);
    if (!users.empty())
        co_return fail(Code::failed_precondition, "{} is still needed by {}; nothing was removed", path,
                       fmt::join(users, ", "));
    for (const auto& row : pools_that_see(*snapshot, pool, path)) {
        const Host* host = snapshot->hosts.find(row->host);
        if (host == nullptr || host->confirmed_dead) continue;
        const Result<void> checked = co_await check_on_host(run, row, path, except);
        if (!checked && checked.error().code() == Code::unavailable)
            co_return std::unexpected(
                Error(Code::unavailable,
                      fmt::format("whether host {} uses {} can't be asked now; nothing was removed", host->name, path))
                    .caused_by(checked.error()));
        BALLAST_CO_CHECK(checked);
    }
    co_return Result<void>{};
}

}  // namespace ballast::jobs
