#include "drivers/libvirt/error.h"

#include <cerrno>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

namespace ballast::drivers::libvirt {
namespace {

bool says(std::string_view detail, std::string_view words) {
    return detail.find(words) != std::string_view::npos;
}

/// A peer that nobody answers at, as the host that tried says it: libvirt has no error number for that.
bool is_unreachable(std::string_view detail, int system_errno) {
    switch (system_errno) {
        case ECONNREFUSED:
        case ECONNRESET:
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ETIMEDOUT:
            return true;
        default:
            return says(detail, "unable to connect to server") || says(detail, "Failed to connect to") ||
                   says(detail, "Unable to resolve address");
    }
}

/// Numbers that libvirt uses for many things: the text decides.
Code code_of_failure(std::string_view detail, int system_errno, Code otherwise) {
    if (system_errno == ENOSPC || system_errno == ENOMEM || system_errno == EDQUOT) return Code::resource_exhausted;
    if (says(detail, "No space left") || says(detail, "Cannot allocate memory") ||
        says(detail, "cannot set up guest memory"))
        return Code::resource_exhausted;
    if (says(detail, "already exists")) return Code::already_exists;
    if (is_unreachable(detail, system_errno)) return Code::unavailable;
    if (lacks_certificates(detail)) return Code::failed_precondition;
    if (says(detail, "to the same host") || says(detail, "before the start of migration"))
        return Code::failed_precondition;
    if (system_errno == ENOENT && otherwise == Code::internal) return Code::not_found;
    return otherwise;
}

}  // namespace

bool lacks_certificates(std::string_view detail) {
    // A server that does not believe its client says so to nobody: the client sees the stream end (QEMU 7.2).
    return says(detail, "Unable to access credentials") || says(detail, "TLS directory not configured") ||
           says(detail, "ertificate") || says(detail, "TLS handshake failed") ||
           says(detail, "TLS channel: Input/output error");
}

Code code_of(int number, std::string_view detail, int system_errno) {
    switch (number) {
        case VIR_ERR_NO_DOMAIN:
        case VIR_ERR_NO_STORAGE_POOL:
        case VIR_ERR_NO_STORAGE_VOL:
        case VIR_ERR_NO_NETWORK:
        case VIR_ERR_NO_DOMAIN_METADATA:
        case VIR_ERR_NO_DOMAIN_SNAPSHOT:
        case VIR_ERR_NO_DOMAIN_CHECKPOINT:
        case VIR_ERR_NO_SECRET:
            return Code::not_found;
        case VIR_ERR_DOM_EXIST:
        case VIR_ERR_NETWORK_EXIST:
        case VIR_ERR_STORAGE_VOL_EXIST:
            return Code::already_exists;
        case VIR_ERR_INVALID_ARG:
        case VIR_ERR_XML_ERROR:
        case VIR_ERR_XML_DETAIL:
        case VIR_ERR_XML_INVALID_SCHEMA:
        case VIR_ERR_INVALID_MAC:
            return Code::invalid_argument;
        case VIR_ERR_OPERATION_INVALID:
        case VIR_ERR_OPERATION_UNSUPPORTED:
        case VIR_ERR_CONFIG_UNSUPPORTED:
        case VIR_ERR_MIGRATE_UNSAFE:
        case VIR_ERR_CPU_INCOMPATIBLE:
        case VIR_ERR_RESOURCE_BUSY:
            return Code::failed_precondition;
        case VIR_ERR_NO_SUPPORT:
        case VIR_ERR_ARGUMENT_UNSUPPORTED:
            return Code::unimplemented;
        case VIR_ERR_AUTH_FAILED:
        case VIR_ERR_AUTH_CANCELLED:
        case VIR_ERR_AUTH_UNAVAILABLE:
        case VIR_ERR_OPERATION_DENIED:
        case VIR_ERR_ACCESS_DENIED:
            return Code::permission_denied;
        case VIR_ERR_OPERATION_ABORTED:
            return Code::cancelled;
        case VIR_ERR_OPERATION_TIMEOUT:  // libvirt could not get the domain's job lock: nothing was done
        case VIR_ERR_AGENT_UNRESPONSIVE:
        case VIR_ERR_NO_CONNECT:
        case VIR_ERR_RPC:
        case VIR_ERR_SSH:
        case VIR_ERR_LIBSSH:
        case VIR_ERR_GNUTLS_ERROR:
            return Code::unavailable;
        case VIR_ERR_NO_MEMORY:
            return Code::resource_exhausted;
        case VIR_ERR_OPERATION_FAILED:
            return code_of_failure(detail, 0, Code::failed_precondition);
        case VIR_ERR_SYSTEM_ERROR:
            return code_of_failure(detail, system_errno, Code::internal);
        default:
            return code_of_failure(detail, 0, Code::internal);
    }
}

Error last_error(std::string doing) {
    const virError* error = virGetLastError();
    if (error == nullptr || error->code == VIR_ERR_OK)
        return {Code::internal, fmt::format("{}: libvirt failed without a reason", doing)};
    const std::string detail = error->message != nullptr ? error->message : "no reason given";
    return {code_of(error->code, detail, error->int1), fmt::format("{}: {}", doing, detail)};
}

int last_error_number() {
    const virError* error = virGetLastError();
    return error == nullptr ? static_cast<int>(VIR_ERR_OK) : error->code;
}

void silence_libvirt() {
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

}  // namespace ballast::drivers::libvirt
