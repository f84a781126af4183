// The serial console of a VM as a WebSocket: bytes in both directions until either side ends.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "daemon/api/audit.h"
#include "daemon/api/checks.h"
#include "daemon/api/commit.h"
#include "daemon/api/routes/catalog.h"

namespace ballast::api {
namespace {

using ConsolePtr = std::shared_ptr<drivers::Console>;
constexpr std::uint16_t normal_closure = 1000;
constexpr std::uint16_t try_again_later = 1013;

/// From the guest to the client. Ends when the guest's side ends; then the client is told.
boost::asio::awaitable<void> pump_out(std::shared_ptr<WebSocket> socket, ConsolePtr console) {
    while (true) {
        auto bytes = co_await console->read();
        if (!bytes || bytes->empty()) {
            const std::string why = bytes ? "the guest's console ended" : bytes.error().message();
            static_cast<void>(co_await socket->close(bytes ? normal_closure : try_again_later, why));
            co_return;
        }
        auto sent = co_await socket->write({.bytes = *std::move(bytes), .text = false});
        if (!sent) break;
    }
    console->close();
}

/// From the client to the guest. Ends when the client leaves.
Task<> pump_in(std::shared_ptr<WebSocket> socket, ConsolePtr console) {
    while (true) {
        auto frame = co_await socket->read();
        if (!frame || !*frame) break;
        auto written = co_await console->write(std::move((*frame)->bytes));
        if (!written) break;
    }
    console->close();
    co_return Result<void>{};
}

Task<Response> open_console(Request request, ContextPtr context) {
    if (request.header("upgrade").empty())
        co_return fail(Code::invalid_argument, "the console is a WebSocket; send `Upgrade: websocket`");
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto vm, find_vm(*snapshot, request.param("id")));
    if (!vm->host) co_return fail(Code::failed_precondition, "VM {} is on no host", vm->name);
    const Host* host = snapshot->hosts.find(*vm->host);
    if (host == nullptr)
        co_return fail(Code::failed_precondition, "the host of VM {} is not in the inventory", vm->name);
    BALLAST_CO_CHECK(check_managed(*host));  // keys typed into a guest change it
    BALLAST_CO_TRY(const auto driver, context->hosts->reachable(*vm->host));
    BALLAST_CO_TRY(const auto console, co_await driver->compute().open_console(vm->id));
    store::WriteContext who{.actor = request.identity.name};
    const Event event = audit_event(request, 101, "", {});
    BALLAST_CO_TRY(const auto logged, co_await context->store->write(
                                          std::move(who), [event](store::Transaction& transaction) -> Result<void> {
                                              transaction.emit(event);
                                              return {};
                                          }));
    static_cast<void>(logged);
    Response response;
    response.status = 101;
    response.upgrade = [console, context](std::shared_ptr<WebSocket> socket) -> Task<> {
        boost::asio::co_spawn(context->loop, pump_out(socket, console), boost::asio::detached);
        return pump_in(socket, console);
    };
    co_return response;
}

}  // namespace

std::vector<Route> console_routes() {
    return {{.path = "/api/v1/vms/{id}/console",
             .right = Right::operator_,
             .id = "vm_console",
             .tag = "vms",
             .summary = "Its serial console, as a WebSocket. A browser sends its token as the subprotocol "
                        "`bearer.<token>` beside `ballast.console`.",
             .answers = {{101, nullptr, ""}},
             .failures = {Code::failed_precondition, Code::unavailable},
             .websocket = true,
             .handler = open_console}};
}

}  // namespace ballast::api
