#pragma once
// Who may ask. Bearer tokens: 256 random bits, known only by their SHA-256, looked up in the snapshot and compared in
// constant time. Rights: viewer < operator < admin. Never stores or logs a secret. authenticate() and the checks are
// pure; FailureThrottle is loop thread only.

#include <map>
#include <string>
#include <string_view>

#include "core/snapshot.h"
#include "daemon/api/http.h"
#include "daemon/store/store.h"

namespace ballast::api {

inline constexpr std::string_view token_prefix = "blt_";

struct NewToken {
    Token row;
    std::string secret;  ///< shown once
};

/// Puts a new token into the transaction. Also what `ballastd token recover` calls. Errors: invalid_argument (name),
/// already_exists (an active token of that name).
[[nodiscard]] Result<NewToken> make_token(store::Transaction& transaction, std::string name, Right right,
                                          std::optional<Timestamp> expires = std::nullopt);

/// Revokes it. Errors: not_found, failed_precondition (the last admin token, SAFETY.md 13; revoked already).
[[nodiscard]] Result<Token> revoke_token(store::Transaction& transaction, const TokenId& id);

[[nodiscard]] bool is_active(const Token& token, Timestamp now);

/// The identity behind a request's credentials: `Authorization: Bearer …`, or for a browser's WebSocket the
/// subprotocol "bearer.<token>". Errors: unauthenticated.
[[nodiscard]] Result<Identity> authenticate(const Snapshot& snapshot, const Request& request, Timestamp now);

/// Errors: permission_denied.
[[nodiscard]] Result<void> check_right(const Identity& identity, Right needed);
[[nodiscard]] std::string_view name_of(Right right);

/// Counts failures per peer in windows of a minute, so that guessing is slow and its log small. A valid token is
/// always let in (SAFETY.md 13).
class FailureThrottle {
  public:
    explicit FailureThrottle(int per_minute) : per_minute_(per_minute) {}
    /// Notes one failure; whether the peer is past its limit.
    bool note(const std::string& peer, Timestamp now);

  private:
    struct Window {
        Timestamp start;
        int failures = 0;
    };
    int per_minute_;
    std::map<std::string, Window> windows_;
};

}  // namespace ballast::api
