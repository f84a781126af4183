#include "daemon/api/audit.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "core/json.h"
#include "daemon/api/metrics.h"

namespace ballast::api {
namespace {

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

/// By value: the coroutine outlives the caller's line.
boost::asio::awaitable<void> write_refusal(ContextPtr context, Event event) {
    store::WriteContext who{.actor = event.actor};
    auto written =
        co_await context->store->write(std::move(who), [event](store::Transaction& transaction) -> Result<void> {
            transaction.emit(event);
            return {};
        });
    if (!written) spdlog::warn("the audit log misses '{}': {}", event.message, written.error().chain());
}

}  // namespace

Event audit_event(const Request& request, int status, std::string_view code, const JobId& job) {
    Event event;
    event.kind = "audit." + lower(name_of(request.verb));
    event.subject_kind = "request";
    event.subject_id = request.id;
    event.subject_name = request.path;
    event.actor = request.identity.name.empty() ? "nobody" : request.identity.name;
    event.job = job;
    event.message = fmt::format("{} {}: {}{}", name_of(request.verb), request.path, status,
                                code.empty() ? "" : fmt::format(" ({})", code));
    event.after.text = dump(Json{{"operation", request.operation},
                                 {"method", std::string(name_of(request.verb))},
                                 {"path", request.path},
                                 {"status", status},
                                 {"code", std::string(code)},
                                 {"allowed", status < 400},
                                 {"token", request.identity.token.str()},
                                 {"peer", request.peer},
                                 {"request", request.id}});
    return event;
}

void audit_refusal(ContextPtr context, const Request& request, int status, std::string_view code) {
    const auto dropped = context->metrics->admit_refusal(context->clock->now());
    if (!dropped) return;
    Event event = audit_event(request, status, code, {});
    if (*dropped > 0) event.message += fmt::format("; {} more refusals were not logged", *dropped);
    const auto loop = context->loop;
    boost::asio::co_spawn(loop, write_refusal(std::move(context), std::move(event)), boost::asio::detached);
}

}  // namespace ballast::api
