#pragma once
// The API's certificate. Decides when it is made and renewed: self-signed EC P-256 at the first start, renewed with the
// same key 30 days before it ends (SAFETY.md 13), so that a client that pinned the key stays content. A certificate
// that the operator brought is used as it is and never written. Files only; no socket. Any thread.

#include <string>
#include <vector>

#include "core/error.h"
#include "core/units.h"

namespace ballast::api {

struct TlsFiles {
    std::string certificate;         ///< PEM
    std::string key;                 ///< PEM, mode 0600
    bool own = true;                 ///< Ballast makes and renews them; false: the operator does
    std::vector<std::string> names;  ///< further DNS names and addresses, beside localhost and the hostname
};

struct TlsIdentity {
    std::string certificate_pem;
    std::string key_pem;
    std::string key_fingerprint;  ///< "sha256:<hex>" of the public key (SPKI): what a client pins; survives renewal
    std::string certificate_fingerprint;  ///< "sha256:<hex>" of the certificate
    std::vector<std::string> names;       ///< subject alternative names
    Timestamp not_before;
    Timestamp not_after;
};

inline constexpr std::chrono::hours tls_validity{24 * 397};
inline constexpr std::chrono::hours tls_renew_before{24 * 30};

/// Reads the identity; makes it at the first start; renews it when it is due or when a configured name is missing.
/// Errors: failed_precondition (a file that can't be read, a key that does not fit its certificate), internal.
[[nodiscard]] Result<TlsIdentity> load_or_make_tls(TlsFiles files, Timestamp now);

[[nodiscard]] bool is_due(const TlsIdentity& identity, Timestamp now);

}  // namespace ballast::api
