#include "drivers/libvirt/probe.h"

#include <array>
#include <random>

#include <fmt/format.h>
#include <libvirt/virterror.h>

#include "core/try.h"
#include "drivers/libvirt/error.h"
#include "drivers/libvirt/events.h"
#include "drivers/libvirt/facts.h"
#include "drivers/libvirt/lookups.h"
#include "drivers/libvirt/uri.h"

namespace ballast::drivers::libvirt {
namespace {

std::string random_uuid() {
    std::random_device random;
    const auto bits = [&random](std::uint32_t mask) { return random() & mask; };
    return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:08x}{:04x}", bits(0xffffffffU), bits(0xffffU), bits(0xfffU),
                       bits(0xfffU), bits(0xffffffffU), bits(0xffffU));
}

Result<std::string> probe_xml(const std::string& name, const std::string& uuid, const Platform& platform) {
    DomainDefinition definition;
    definition.id = VmId(uuid);
    definition.name = name;
    definition.spec.memory = mebibytes(1);
    return make_domain_xml(definition, platform);
}

/// The probe's domain, gone again at the end of the scope whatever happened.
class ProbeDomain {
  public:
    explicit ProbeDomain(Domain domain) : domain_(std::move(domain)) {}
    ProbeDomain(const ProbeDomain&) = delete;
    ProbeDomain& operator=(const ProbeDomain&) = delete;
    ~ProbeDomain() { virDomainUndefine(domain_.get()); }
    [[nodiscard]] virDomainPtr get() const { return domain_.get(); }

  private:
    Domain domain_;
};

/// What an earlier probe left behind when its daemon was killed.
void remove_leftovers(virConnectPtr connection) {
    virDomainPtr* raw = nullptr;
    const int count = virConnectListAllDomains(connection, &raw, VIR_CONNECT_LIST_DOMAINS_INACTIVE);
    if (count < 0) return;
    for (const auto& domain : adopt_list<Domain>(raw, count))
        if (is_probe_name(virDomainGetName(domain.get()))) virDomainUndefine(domain.get());
}

PairCheck verdict_of_refusal(const std::string& peer_uri) {
    const Error error = last_error("");
    const std::string& words = error.message();
    if (words.find("does not match source") != std::string::npos)
        return {"peer_trust", CheckVerdict::ok, fmt::format("this host's libvirtd reaches {} and is let in", peer_uri),
                ""};
    // The connection comes before everything that could fail otherwise: these are its errors.
    const bool refused_there = last_error_number() == VIR_ERR_SYSTEM_ERROR || error.code() == Code::permission_denied ||
                               error.code() == Code::unavailable || words.find("connect") != std::string::npos ||
                               words.find("resolve") != std::string::npos;
    if (refused_there)
        return {
            "peer_trust", CheckVerdict::refused,
            fmt::format("this host's libvirtd can't connect to {}{}", peer_uri, words),
            "let this host's libvirtd reach that address and accept its certificate or key (TLS client certificate in "
            "/etc/pki/libvirt, or root's SSH key), or set peer_uri of the other host"};
    return {"peer_trust", CheckVerdict::unknown, fmt::format("the probe ended otherwise than foreseen{}", words),
            "the first migration between the two hosts will tell"};
}

PairCheck probe_trust(virConnectPtr connection, const std::string& peer_uri, const Platform& platform) {
    remove_leftovers(connection);
    const std::string uuid = random_uuid();
    const std::string name = fmt::format("{}{}", probe_name_prefix, uuid.substr(0, 8));
    const auto xml = probe_xml(name, uuid, platform);
    const auto other = probe_xml(name, random_uuid(), platform);
    if (!xml || !other)
        return {"peer_trust", CheckVerdict::unknown, xml ? other.error().message() : xml.error().message(), ""};
    Domain defined(virDomainDefineXML(connection, xml->c_str()));
    if (!defined)
        return {"peer_trust", CheckVerdict::unknown, last_error("the probe's domain can't be defined").message(),
                "the first migration between the two hosts will tell"};
    const ProbeDomain domain(std::move(defined));
    TypedParams params;
    params.add(VIR_MIGRATE_PARAM_DEST_XML, *other);
    constexpr unsigned int flags = VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_OFFLINE | VIR_MIGRATE_PERSIST_DEST;
    if (virDomainMigrateToURI3(domain.get(), peer_uri.c_str(), params.data(), static_cast<unsigned int>(params.count()),
                               flags) == 0)
        return {"peer_trust", CheckVerdict::unknown, "the probe was not refused as foreseen",
                "look for a stray domain on the peer"};
    return verdict_of_refusal(peer_uri);
}

}  // namespace

Result<std::vector<PairCheck>> probe_peer_from(virConnectPtr connection, const std::string& peer_uri,
                                               const std::string& migration_address) {
    BALLAST_CHECK(parse_uri(peer_uri));
    BALLAST_TRY(const auto platform, read_platform(connection));
    if (platform.mock) return fail(Code::unimplemented, "libvirt's test driver has no peers to probe");
    std::vector<PairCheck> checks;
    checks.push_back(probe_trust(connection, peer_uri, platform));
    const std::string where = migration_address.empty() ? "the peer's own choice of address" : migration_address;
    checks.push_back({"migration_port", CheckVerdict::unknown,
                      fmt::format("whether {} accepts ports 49152 to 49215 from this host can't be seen without moving "
                                  "something",
                                  where),
                      "open ports 49152-49215 between the hosts; the first migration proves it"});
    return checks;
}

}  // namespace ballast::drivers::libvirt
