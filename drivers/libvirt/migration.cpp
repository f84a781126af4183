// The migration role. Always peer to peer with PERSIST_DEST | UNDEFINE_SOURCE, so that a migration outlives ballastd
// (SAFETY.md 6). The blocking call runs on a connection of its own; everything that watches or steers it on the control
// connection. What the blocking call returns is a hint, never the outcome (ARCHITECTURE.md 2).

#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/libvirt/dirty_rate.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/migration_params.h"
#include "drivers/libvirt/probe.h"
#include "drivers/libvirt/progress.h"
#include "drivers/libvirt/roles.h"

namespace ballast::drivers::libvirt {
namespace {

constexpr Milliseconds probe_limit{20'000};

Result<void> write_downtime_limit(virDomainPtr domain, const VmId& vm, Milliseconds limit) {
    if (virDomainMigrateSetMaxDowntime(domain, static_cast<unsigned long long>(limit.count()), 0) < 0)
        return refused("can't set the downtime limit of domain {} to {}", vm, to_string(limit));
    return {};
}

constexpr std::string_view certificates_way_out =
    "; each host needs ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem and client-key.pem of one "
    "authority, made out to the migration address of the host, in the folder that its qemu.conf names "
    "(migrate_tls_x509_cert_dir; /etc/pki/qemu where it names none); or leave tls out";

/// "Domain not found" is said of the incoming copy, when that has ended meanwhile: the domain to move had been found.
std::unexpected<Error> migration_refused(const MigrationRequest& request) {
    const bool copy_is_gone = virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
    const Error error =
        last_error(fmt::format("the migration of domain {} to {} did not succeed", request.vm, request.peer_uri));
    const Code code = copy_is_gone ? Code::failed_precondition : error.code();
    const bool certificates = request.knobs.tls && lacks_certificates(error.message());
    return std::unexpected(Error(code, error.message() + std::string(certificates ? certificates_way_out : "")));
}

Result<void> run_migration(virConnectPtr connection, const MigrationRequest& request) {
    BALLAST_TRY(const auto domain, find_domain(connection, request.vm));
    // QEMU keeps the limit for the migration that follows; set before the start it holds from the first round on.
    if (!request.resume_post_copy)
        BALLAST_CHECK(write_downtime_limit(domain.get(), request.vm, request.downtime_limit));
    TypedParams params;
    fill(params, request);
    if (virDomainMigrateToURI3(domain.get(), request.peer_uri.c_str(), params.data(),
                               static_cast<unsigned int>(params.count()), flags_of(request)) < 0)
        return migration_refused(request);
    return {};
}

class LibvirtMigration final : public MigrationRole {
  public:
    explicit LibvirtMigration(ExecutorPtr executor) : executor_(std::move(executor)) {}

    Task<> migrate(MigrationRequest request) override {
        CallSpec spec{.what = fmt::format("migrate domain {}", request.vm), .domain = request.vm};
        return Executor::job<void>(executor_, std::move(spec), [request = std::move(request)](virConnectPtr c) {
            return run_migration(c, request);
        });
    }
    Task<MigrationProgress> progress(VmId vm) override {
        return Executor::call<MigrationProgress>(executor_, about("report on the migration of", vm),
                                                 [vm](virConnectPtr c) { return read_progress(c, vm); });
    }
    Task<MigrationProgress> completed(VmId vm) override {
        return Executor::call<MigrationProgress>(executor_, about("report on the last job of", vm),
                                                 [vm](virConnectPtr c) { return read_completed(c, vm); });
    }
    Task<> abort(VmId vm) override { return verb("abort the job of", std::move(vm), virDomainAbortJob); }
    Task<> start_post_copy(VmId vm) override {
        return verb("switch to post-copy", std::move(vm),
                    [](virDomainPtr d) { return virDomainMigrateStartPostCopy(d, 0); });
    }
    Task<> pause_post_copy(VmId vm) override {
        return verb("pause the post-copy of", std::move(vm),
                    [](virDomainPtr d) { return virDomainAbortJobFlags(d, VIR_DOMAIN_ABORT_JOB_POSTCOPY); });
    }
    Task<> set_downtime_limit(VmId vm, Milliseconds limit) override {
        return Executor::call<void>(executor_, about("limit the downtime of", vm),
                                    [vm, limit](virConnectPtr c) -> Result<void> {
                                        BALLAST_TRY(const auto domain, find_domain(c, vm));
                                        return write_downtime_limit(domain.get(), vm, limit);
                                    });
    }
    Task<> set_bandwidth(VmId vm, BytesPerSecond bandwidth, bool post_copy) override {
        return Executor::call<void>(
            executor_, about("limit the migration bandwidth of", vm),
            [vm, bandwidth, post_copy](virConnectPtr c) { return write_bandwidth(c, vm, bandwidth, post_copy); });
    }
    Task<> start_dirty_rate(VmId vm, Seconds window) override {
        return Executor::call<void>(executor_, about("measure the dirty rate of", vm),
                                    [vm, window](virConnectPtr c) { return begin_dirty_rate(c, vm, window); });
    }
    Task<DirtyRate> dirty_rate(VmId vm) override {
        return Executor::call<DirtyRate>(executor_, about("read the dirty rate of", vm),
                                         [vm](virConnectPtr c) { return read_dirty_rate(c, vm); });
    }
    Task<> resume(VmId vm) override { return verb("resume", std::move(vm), virDomainResume); }
    Task<> suspend(VmId vm) override { return verb("suspend", std::move(vm), virDomainSuspend); }
    Task<std::vector<PairCheck>> probe_peer(std::string peer_uri, std::string migration_address) override {
        CallSpec spec{.what = fmt::format("probe its peer {}", peer_uri), .deadline = probe_limit};
        return Executor::job<std::vector<PairCheck>>(
            executor_, std::move(spec),
            [peer = std::move(peer_uri), address = std::move(migration_address)](virConnectPtr c) {
                return probe_peer_from(c, peer, address);
            });
    }

  private:
    static CallSpec about(const char* verb, const VmId& vm) {
        return {.what = fmt::format("{} domain {}", verb, vm), .domain = vm};
    }

    static Result<void> write_bandwidth(virConnectPtr connection, const VmId& vm, BytesPerSecond bandwidth,
                                        bool post_copy) {
        BALLAST_TRY(const auto domain, find_domain(connection, vm));
        const unsigned int flags = post_copy ? VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY : 0U;
        if (virDomainMigrateSetMaxSpeed(domain.get(), static_cast<unsigned long>(mebibytes_per_second(bandwidth)),
                                        flags) < 0)
            return refused("can't limit the migration bandwidth of domain {}", vm);
        return {};
    }

    Task<> verb(const char* word, VmId vm, int (*call)(virDomainPtr)) {
        auto spec = about(word, vm);
        return Executor::call<void>(executor_, std::move(spec),
                                    [vm = std::move(vm), word, call](virConnectPtr c) -> Result<void> {
                                        BALLAST_TRY(const auto domain, find_domain(c, vm));
                                        if (call(domain.get()) < 0) return refused("can't {} domain {}", word, vm);
                                        return {};
                                    });
    }

    ExecutorPtr executor_;
};

}  // namespace

std::unique_ptr<MigrationRole> make_migration(ExecutorPtr executor) {
    return std::make_unique<LibvirtMigration>(std::move(executor));
}

}  // namespace ballast::drivers::libvirt
