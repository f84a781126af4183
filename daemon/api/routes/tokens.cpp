// Tokens: made (the secret is shown once), listed, revoked.
#include <nlohmann/json.hpp>

#include "daemon/api/auth.h"
#include "daemon/api/list.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/routes/types.h"
#include "daemon/api/schemas.h"

namespace ballast::api {
namespace {

const ListOf token_list{"tokens", {"name", "right"}};

Task<Response> list_tokens(Request request, ContextPtr context) {
    return list_rows<Token>(std::move(request), std::move(context), &token_list, &Snapshot::tokens);
}

/// By id, or by the name of an active one.
Result<std::shared_ptr<const Token>> find_token(const Snapshot& snapshot, std::string_view id, Timestamp now) {
    if (auto token = snapshot.tokens.find_ptr(TokenId(std::string(id)))) return token;
    const auto named =
        snapshot.tokens.select([&](const Token& token) { return token.name == id && is_active(token, now); });
    if (!named.empty()) return named.front();
    return fail(Code::not_found, "no active token is named '{}'; see `ballast token list`", id);
}

Task<Response> get_token(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto token, find_token(*snapshot, request.param("id"), context->clock->now()));
    co_return row_response(request, context, token);
}

TokenView view_of(const Token& token) {
    return {.id = token.id,
            .name = token.name,
            .right = token.right,
            .created = token.created,
            .expires = token.expires,
            .revoked = token.revoked,
            .revision = token.revision};
}

Task<Response> create_token(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<TokenAsk>(request, context));
    auto work = [ask](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto made, make_token(transaction, ask.name, ask.right, ask.expires));
        const TokenView view = view_of(*transaction.snapshot().tokens.find(made.row.id));
        Response response = json_response(201, to_json_text(TokenMade{view, made.secret}));
        response.headers["location"] = "/api/v1/tokens/" + made.row.id.str();
        response.headers["cache-control"] = "no-store";
        response.remembered = to_json_text(TokenMade{view, std::nullopt});  // the secret is never stored
        return response;
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

Task<Response> delete_token(Request request, ContextPtr context) {
    auto work = [request, context](store::Transaction& transaction) -> Result<Response> {
        BALLAST_TRY(const auto token, find_token(transaction.snapshot(), request.param("id"), transaction.now()));
        if (auto stale = refuse_stale(request, context, "token " + token->name, token)) return *std::move(stale);
        BALLAST_TRY(const auto revoked, revoke_token(transaction, token->id));
        return row_response(request, context, transaction.snapshot().tokens.find_ptr(revoked.id));
    };
    auto answer = co_await commit(std::move(request), context, std::move(work));
    co_return answer;
}

}  // namespace

std::vector<Route> token_routes() {
    return {
        {.path = "/api/v1/tokens",
         .right = Right::admin,
         .id = "token_list",
         .tag = "tokens",
         .summary = "Tokens, without their secrets.",
         .query = list_parameters(token_list),
         .answers = {{200, page_schema<TokenView>}},
         .handler = list_tokens},
        {.path = "/api/v1/tokens/{id}",
         .right = Right::admin,
         .id = "token_get",
         .tag = "tokens",
         .summary = "One token, without its secret.",
         .answers = {{200, schema<TokenView>}},
         .tagged = true,
         .handler = get_token},
        {.verb = Verb::post,
         .path = "/api/v1/tokens",
         .right = Right::admin,
         .id = "token_create",
         .tag = "tokens",
         .summary = "Make a token; its secret is in this answer and nowhere else.",
         .body = schema<TokenAsk>,
         .takes = Takes::json,
         .answers = {{201, schema<TokenMade>}},
         .failures = {Code::already_exists},
         .handler = create_token},
        {.verb = Verb::delete_,
         .path = "/api/v1/tokens/{id}",
         .right = Right::admin,
         .id = "token_revoke",
         .tag = "tokens",
         .summary = "Revoke a token. The last admin token stays.",
         .answers = {{200, schema<TokenView>}},
         .failures = {Code::failed_precondition},
         .tagged = true,
         .handler = delete_token},
    };
}

}  // namespace ballast::api
