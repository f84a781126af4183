#include "daemon/api/auth.h"

#include <algorithm>

#include "core/try.h"
#include "daemon/api/crypto.h"

namespace ballast::api {
namespace {

constexpr std::string_view bearer = "bearer ";
constexpr std::string_view protocol_bearer = "bearer.";
constexpr std::size_t longest_secret = 256;
constexpr std::size_t peers_remembered = 10'000;

bool starts_with_any_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() &&
           std::ranges::equal(text.substr(0, prefix.size()), prefix,
                              [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

std::string_view find_secret(const Request& request) {
    const std::string_view authorization = request.header("authorization");
    if (starts_with_any_case(authorization, bearer)) return trimmed(authorization.substr(bearer.size()));
    std::string_view offered = request.header("sec-websocket-protocol");
    while (!offered.empty()) {
        const std::string_view item = offered.substr(0, offered.find(','));
        offered.remove_prefix(std::min(offered.size(), item.size() + 1));
        if (trimmed(item).starts_with(protocol_bearer)) return trimmed(item).substr(protocol_bearer.size());
    }
    return {};
}

}  // namespace

bool is_active(const Token& token, Timestamp now) {
    return !token.revoked && (!token.expires || now < *token.expires);
}

std::string_view name_of(Right right) {
    switch (right) {
        case Right::viewer:
            return "viewer";
        case Right::operator_:
            return "operator";
        case Right::admin:
            return "admin";
    }
    std::unreachable();
}

Result<NewToken> make_token(store::Transaction& transaction, std::string name, Right right,
                            std::optional<Timestamp> expires) {
    BALLAST_CHECK(check_name("token", name));
    const Timestamp now = transaction.now();
    if (expires && *expires <= now)
        return fail(Code::invalid_argument, "the token '{}' would end at {}, which is past; choose a later time", name,
                    to_string(*expires));
    const Token* taken = transaction.snapshot().tokens.find_if(
        [&](const Token& token) { return token.name == name && is_active(token, now); });
    if (taken != nullptr)
        return fail(Code::already_exists, "a token named '{}' is active already; revoke it or choose another name",
                    name);
    NewToken made;
    made.secret = std::string(token_prefix) + base64url(random_bytes(32));
    made.row = Token{.id = TokenId(transaction.ids().uuid()),
                     .name = std::move(name),
                     .right = right,
                     .sha256 = sha256_hex(made.secret),
                     .created = now,
                     .expires = expires,
                     .revoked = std::nullopt};
    transaction.put(made.row, {"token.created",
                               fmt::format("token {} with the right {} was created", made.row.name, name_of(right))});
    return made;
}

Result<Token> revoke_token(store::Transaction& transaction, const TokenId& id) {
    const Snapshot& snapshot = transaction.snapshot();
    const Timestamp now = transaction.now();
    const Token* found = snapshot.tokens.find(id);
    if (found == nullptr) return fail(Code::not_found, "no token has the id '{}'; see `ballast token list`", id);
    if (found->revoked) return fail(Code::failed_precondition, "token '{}' is revoked already", found->name);
    const Token* other = snapshot.tokens.find_if(
        [&](const Token& token) { return token.right == Right::admin && token.id != id && is_active(token, now); });
    if (found->right == Right::admin && is_active(*found, now) && other == nullptr)
        return fail(
            Code::failed_precondition,
            "'{}' is the last admin token: revoking it would lock everybody out; create another admin token first",
            found->name);
    Token token = *found;
    token.revoked = now;
    transaction.put(token, {"token.revoked", fmt::format("token {} was revoked", token.name)});
    return token;
}

Result<Identity> authenticate(const Snapshot& snapshot, const Request& request, Timestamp now) {
    const std::string_view secret = find_secret(request);
    if (secret.empty()) return fail(Code::unauthenticated, "a token is needed: send `Authorization: Bearer blt_…`");
    if (secret.size() > longest_secret) return fail(Code::unauthenticated, "this is not a token of this cluster");
    const std::string sha256 = sha256_hex(secret);
    const Token* found = nullptr;
    snapshot.tokens.for_each([&](const Token& token) {
        if (equal_in_constant_time(token.sha256, sha256)) found = &token;
    });
    if (found == nullptr) return fail(Code::unauthenticated, "this is not a token of this cluster");
    if (found->revoked) return fail(Code::unauthenticated, "the token '{}' was revoked", found->name);
    if (!is_active(*found, now)) return fail(Code::unauthenticated, "the token '{}' has expired", found->name);
    return Identity{found->id, found->name, found->right};
}

Result<void> check_right(const Identity& identity, Right needed) {
    if (identity.right >= needed) return {};
    return fail(Code::permission_denied, "this needs the right '{}'; the token '{}' has '{}'", name_of(needed),
                identity.name, name_of(identity.right));
}

bool FailureThrottle::note(const std::string& peer, Timestamp now) {
    if (windows_.size() >= peers_remembered)
        std::erase_if(windows_, [&](const auto& entry) { return now - entry.second.start >= std::chrono::minutes(1); });
    if (windows_.size() >= peers_remembered) windows_.clear();
    Window& window = windows_[peer];
    if (now - window.start >= std::chrono::minutes(1)) window = {now, 0};
    return ++window.failures > per_minute_;
}

}  // namespace ballast::api
