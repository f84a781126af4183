// The compute role: what a host is, which domains it has, and the verbs on one domain.

#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/libvirt/domain_xml.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/facts.h"
#include "drivers/libvirt/inventory.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/roles.h"

namespace ballast::drivers::libvirt {
namespace {

/// Ending a QEMU that hangs in the kernel takes libvirt 15 s and more before it gives up.
constexpr Milliseconds long_verb{60'000};
/// Memory goes to disk, or comes from it: 64 GiB at 100 MB/s.
constexpr Milliseconds saving{11 * 60'000};

Result<void> act(virConnectPtr connection, const VmId& vm, const char* verb, int (*call)(virDomainPtr)) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    if (call(domain.get()) < 0) return refused("can't {} domain {}", verb, vm);
    return {};
}

Result<void> write_stamp(virConnectPtr connection, const VmId& vm, const Stamp& stamp) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    const std::string xml = make_stamp_xml(stamp);
    const bool persistent = virDomainIsPersistent(domain.get()) == 1;
    const bool active = virDomainIsActive(domain.get()) == 1;
    const unsigned int flags = (persistent ? VIR_DOMAIN_AFFECT_CONFIG : 0U) | (active ? VIR_DOMAIN_AFFECT_LIVE : 0U);
    if (virDomainSetMetadata(domain.get(), VIR_DOMAIN_METADATA_ELEMENT, xml.c_str(), metadata_prefix, metadata_uri,
                             flags) < 0)
        return refused("can't write the owner into the metadata of domain {}", vm);
    int autostart = 0;
    if (!persistent || virDomainGetAutostart(domain.get(), &autostart) < 0 || autostart == 0) return {};
    if (virDomainSetAutostart(domain.get(), 0) < 0) return refused("can't clear libvirt's autostart of domain {}", vm);
    return {};
}

Result<void> write_definition(virConnectPtr connection, const DomainDefinition& definition) {
    BALLAST_TRY(const auto platform, read_platform(connection));
    BALLAST_TRY(const auto xml, make_domain_xml(definition, platform));
    const Domain domain(virDomainDefineXMLFlags(connection, xml.c_str(), VIR_DOMAIN_DEFINE_VALIDATE));
    if (!domain) return refused("can't define VM '{}' ({})", definition.name, definition.id);
    return {};
}

/// Only the definition: with a managed save or snapshots libvirt refuses, and so it should (SAFETY.md 11).
Result<void> remove_definition(virConnectPtr connection, const VmId& vm) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    if (virDomainIsActive(domain.get()) == 1)
        return fail(Code::failed_precondition, "domain {} is active: undefining it would only make it transient", vm);
    if (virDomainUndefineFlags(domain.get(), VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) == 0) return {};
    const int number = last_error_number();
    const bool lacks_flag = number == VIR_ERR_INVALID_ARG || number == VIR_ERR_NO_SUPPORT;
    if (lacks_flag && virDomainUndefine(domain.get()) == 0) return {};
    return refused("can't undefine domain {}", vm);
}

/// Whether it runs now. A domain that was saved is left to a call that may take its time: its memory is read first.
Result<bool> start_unless_saved(virConnectPtr connection, const VmId& vm) {
    BALLAST_TRY(const auto domain, find_domain(connection, vm));
    if (virDomainHasManagedSaveImage(domain.get(), 0) == 1 && virDomainIsActive(domain.get()) != 1) return false;
    if (virDomainCreate(domain.get()) < 0) return refused("can't start domain {}", vm);
    return true;
}

int save_managed(virDomainPtr domain) {
    return virDomainManagedSave(domain, 0);
}

class LibvirtCompute final : public Compute {
  public:
    explicit LibvirtCompute(ExecutorPtr executor) : executor_(std::move(executor)) {}

    Task<HostFacts> read_facts() override {
        return Executor::call<HostFacts>(executor_, {.what = "read the host's facts", .expected_slow = true},
                                         libvirt::read_facts);
    }
    Task<std::vector<DomainView>> list_domains() override {
        return Executor::call<std::vector<DomainView>>(executor_, {.what = "list the domains"}, read_domains);
    }
    Task<DomainView> read_domain(VmId vm) override {
        return Executor::call<DomainView>(executor_, about("read", vm),
                                          [vm](virConnectPtr c) { return read_one_domain(c, vm); });
    }
    Task<> define(DomainDefinition definition) override {
        auto spec = about("define", definition.id);
        return Executor::call<void>(executor_, std::move(spec), [definition = std::move(definition)](virConnectPtr c) {
            return write_definition(c, definition);
        });
    }
    Task<> undefine(VmId vm) override {
        return Executor::call<void>(executor_, about("undefine", vm),
                                    [vm](virConnectPtr c) { return remove_definition(c, vm); });
    }
    Task<> start(VmId vm) override {
        const auto executor = executor_;  // the host may be let go meanwhile
        const auto begin = [vm](virConnectPtr c) { return start_unless_saved(c, vm); };
        BALLAST_CO_TRY(const bool started,
                       co_await Executor::call<bool>(executor, about("start", vm, long_verb), begin));
        if (started) co_return Result<void>{};
        co_return co_await long_verb_on(executor, "restore", vm, virDomainCreate);
    }
    Task<> shutdown(VmId vm) override {
        return Executor::call<void>(executor_, about("shut down", vm), [vm](virConnectPtr c) -> Result<void> {
            BALLAST_TRY(const auto domain, find_domain(c, vm));
            if (virDomainShutdownFlags(domain.get(), VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) == 0) return {};
            if (virDomainShutdown(domain.get()) == 0) return {};  // drivers without a choice of ways
            return refused("can't ask domain {} to shut down", vm);
        });
    }
    Task<> reboot(VmId vm) override {
        return verb("reboot", std::move(vm), [](virDomainPtr d) { return virDomainReboot(d, 0); });
    }
    Task<> destroy(VmId vm) override { return verb("destroy", std::move(vm), virDomainDestroy, long_verb); }
    Task<> save(VmId vm) override { return long_verb_on(executor_, "save", std::move(vm), save_managed); }
    Task<> stamp(VmId vm, Stamp stamp) override {
        return Executor::call<void>(executor_, about("stamp", vm), [vm, stamp = std::move(stamp)](virConnectPtr c) {
            return write_stamp(c, vm, stamp);
        });
    }
    Task<std::shared_ptr<Console>> open_console(VmId vm) override {
        return libvirt::open_console(executor_, std::move(vm));
    }

  private:
    static CallSpec about(const char* verb, const VmId& vm, Milliseconds deadline = Milliseconds(0)) {
        return {.what = fmt::format("{} domain {}", verb, vm), .domain = vm, .deadline = deadline};
    }

    Task<> verb(const char* word, VmId vm, int (*call)(virDomainPtr), Milliseconds deadline = Milliseconds(0)) {
        auto spec = about(word, vm, deadline);
        return Executor::call<void>(executor_, std::move(spec), [vm = std::move(vm), word, call](virConnectPtr c) {
            return act(c, vm, word, call);
        });
    }

    /// On a connection of its own: it may take minutes, and the control lane has four places.
    static Task<> long_verb_on(ExecutorPtr executor, const char* word, VmId vm, int (*call)(virDomainPtr)) {
        auto spec = about(word, vm, saving);
        return Executor::job<void>(
            std::move(executor), std::move(spec),
            [vm = std::move(vm), word, call](virConnectPtr c) { return act(c, vm, word, call); });
    }

    ExecutorPtr executor_;
};

}  // namespace

std::unique_ptr<Compute> make_compute(ExecutorPtr executor) {
    return std::make_unique<LibvirtCompute>(std::move(executor));
}

}  // namespace ballast::drivers::libvirt
