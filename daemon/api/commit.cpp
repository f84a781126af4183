#include "daemon/api/commit.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "daemon/api/audit.h"
#include "daemon/api/crypto.h"
#include "daemon/api/pool.h"

namespace ballast::api {
namespace {

constexpr std::size_t longest_key = 200;

/// One write on its way to the writer thread and back. The writer's acknowledgement orders the accesses.
struct Call {
    Request request;
    RowChange change;
    std::string key;     ///< of idempotency; empty: none
    std::string digest;  ///< of what the key stands for
    Response response;
    bool refused = false;
};

Response replay(const store::RememberedAnswer& answer) {
    Response response = json_response(answer.status, answer.body);
    if (answer.body.empty()) response = no_content();
    response.status = answer.status;
    response.headers["idempotency-replayed"] = "true";
    if (!answer.location.empty()) response.headers["location"] = answer.location;
    return response;
}

Result<bool> answer_again(Call& call, store::Transaction& transaction) {
    if (call.key.empty()) return false;
    const auto answer = transaction.find_answer(call.request.identity.token.str(), call.key);
    if (!answer) return false;
    if (answer->body_sha256 != call.digest)
        return fail(Code::conflict,
                    "the Idempotency-Key '{}' was used for another request within the last 24 hours; use a new key",
                    call.key);
    call.response = replay(*answer);
    return true;
}

void remember(const Call& call, store::Transaction& transaction) {
    if (call.key.empty()) return;
    const auto location = call.response.headers.find("location");
    const std::string body = call.response.body ? *call.response.body : "";
    transaction.remember_answer(call.request.identity.token.str(), call.key,
                                {.body_sha256 = call.digest,
                                 .status = call.response.status,
                                 .location = location == call.response.headers.end() ? "" : location->second,
                                 .body = call.response.remembered.value_or(body)});
}

/// On the writer thread.
Result<void> run(Call& call, store::Transaction& transaction) {
    BALLAST_TRY(const bool answered, answer_again(call, transaction));
    if (answered) return {};
    BALLAST_TRY(call.response, call.change(transaction));
    if (call.response.status >= 400) {
        call.refused = true;
        return fail(Code::cancelled, "the change was refused");
    }
    transaction.emit(audit_event(call.request, call.response.status, "", call.response.job));
    remember(call, transaction);
    return {};
}

/// What an Idempotency-Key stands for: the whole request but its headers.
std::string digest_of(const Request& request) {
    Sha256 hash;
    hash.add(fmt::format("{} {}\n", name_of(request.verb), request.path));
    for (const auto& [name, value] : request.query) hash.add(fmt::format("{}={}\n", name, value));
    hash.add(request.file ? request.file->sha256 : request.body);
    return hash.finish_hex();
}

Task<std::string> find_digest(Request request, ContextPtr context) {
    if (request.body.size() <= context->limits.parse_on_loop) co_return digest_of(request);
    auto digest = co_await on_pool<std::string>(
        context->cpu, [request = std::move(request)]() -> Result<std::string> { return digest_of(request); });
    co_return digest;
}

}  // namespace

Task<Response> commit(Request request, ContextPtr context, RowChange change) {
    auto call = std::make_shared<Call>();
    call->key = request.header("idempotency-key");
    if (call->key.size() > longest_key)
        co_return fail(Code::invalid_argument, "the Idempotency-Key has {} characters; {} is the limit",
                       call->key.size(), longest_key);
    if (!call->key.empty()) {
        BALLAST_CO_TRY(call->digest, co_await find_digest(request, context));
    }
    store::WriteContext who{.actor = request.identity.name};
    call->request = std::move(request);
    call->change = std::move(change);
    auto written = co_await context->store->write(
        std::move(who), [call](store::Transaction& transaction) { return run(*call, transaction); });
    if (!written && !call->refused) co_return std::unexpected(std::move(written).error());
    co_return std::move(call->response);
}

std::string etag_of(std::uint64_t revision) {
    return fmt::format("\"{}\"", revision);
}

bool names_tag(std::string_view header, std::string_view tag) {
    while (!header.empty()) {
        std::string_view item = header.substr(0, header.find(','));
        header.remove_prefix(std::min(header.size(), item.size() + 1));
        while (item.starts_with(' ')) item.remove_prefix(1);
        while (item.ends_with(' ')) item.remove_suffix(1);
        if (item.starts_with("W/")) item.remove_prefix(2);
        if (item == "*" || item == tag) return true;
    }
    return false;
}

Response job_response(const store::Transaction& transaction, const ContextPtr& context, const JobId& job) {
    Response response = json_response(202, context->rows->render(transaction.snapshot().jobs.find_ptr(job)));
    response.headers["location"] = "/api/v1/jobs/" + job.str();
    response.job = job;
    return response;
}

Task<JsonText> checked_body(Request request, ContextPtr context) {
    if (request.body.empty()) co_return JsonText{"{}"};
    const auto parse = [limit = context->limits.body](const std::string& body) -> Result<JsonText> {
        BALLAST_TRY(const Json json, parse_json(body, {.bytes = static_cast<std::size_t>(limit.count())}));
        return JsonText{dump(json)};
    };
    if (request.body.size() <= context->limits.parse_on_loop) co_return parse(request.body);
    auto parsed = co_await on_pool<JsonText>(
        context->cpu, [parse, body = std::move(request.body)]() -> Result<JsonText> { return parse(body); });
    co_return parsed;
}

Result<bool> query_flag(const Request& request, std::string_view name) {
    const std::string_view value = request.query_or(name, "false");
    if (value == "true" || value == "1" || value.empty()) return true;
    if (value == "false" || value == "0") return false;
    return fail(Code::invalid_argument, "the query parameter {}: '{}' is neither true nor false", name, value);
}

Result<std::uint64_t> query_number(const Request& request, std::string_view name, std::uint64_t otherwise) {
    const std::string_view text = request.query_or(name, "");
    if (text.empty()) return otherwise;
    std::uint64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem == std::errc() && end == text.data() + text.size()) return value;
    return fail(Code::invalid_argument, "the query parameter {}: '{}' is not a whole number", name, text);
}

}  // namespace ballast::api
