// Migrations: running and past, the queue of their lanes, how good their forecasts were, which knobs go together, and
// what an operator may say to one that runs. Whether that can be followed is the state machine's to say
// (migration/machine.h); cancelling is the job's.
#include <nlohmann/json.hpp>

#include "daemon/api/list.h"
#include "daemon/api/routes/catalog.h"
#include "daemon/api/routes/common.h"
#include "daemon/api/routes/migration_types.h"
#include "daemon/api/schemas.h"
#include "daemon/jobs/migrate/desk.h"
#include "migration/accuracy.h"

namespace ballast::api {
namespace {

using migration::MigrationEventKind;

const ListOf migration_list{"migrations", {"vm", "from_host", "to_host", "mode", "phase"}};

Task<Response> list_migrations(Request request, ContextPtr context) {
    return list_rows<Migration>(std::move(request), std::move(context), &migration_list, &Snapshot::migrations);
}

Result<std::shared_ptr<const Migration>> find_migration(const Snapshot& snapshot, std::string_view id) {
    const auto row = snapshot.migrations.find_ptr(JobId(std::string(id)));
    if (!row) return fail(Code::not_found, "no migration has the id '{}'; see `ballast migration list`", id);
    return row;
}

Task<Response> get_migration(Request request, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto row, find_migration(*snapshot, request.param("id")));
    co_return row_response(request, context, row);
}

Result<jobs::MigrationDesk*> desk_of(const Context& context) {
    if (!context.migrations) return fail(Code::unavailable, "this daemon does no migrations");
    return context.migrations.get();
}

Task<Response> get_queue(Request /*request*/, ContextPtr context) {
    BALLAST_CO_TRY(auto* const desk, desk_of(*context));
    const jobs::QueueView view = desk->lanes().view();
    MigrationQueue queue{.items = {}, .running = view.running, .done = view.done};
    for (const auto& item : view.queued)
        queue.items.push_back({.job = item.job,
                               .vm = item.vm,
                               .position = item.position,
                               .start = item.eta.start,
                               .end = item.eta.end,
                               .late = item.eta.late,
                               .waits = item.eta.waits});
    co_return json_response(200, to_json_text(queue));
}

Task<Response> get_accuracy(Request /*request*/, ContextPtr context) {
    const auto snapshot = context->store->snapshot();
    co_return json_response(200, to_json_text(migration::measure_accuracy(*snapshot)));
}

Task<Response> get_compatibility(Request /*request*/, ContextPtr /*context*/) {
    co_return json_response(200, to_json_text(CompatibilityTable{.items = migration::compatibility_table()}));
}

/// The word goes to the move itself, which records it with its actor; the commit leaves the audit event and the answer
/// for a repeated key.
Task<Response> tell(Request request, ContextPtr context, migration::MigrationEvent event) {
    const auto snapshot = context->store->snapshot();
    BALLAST_CO_TRY(const auto row, find_migration(*snapshot, request.param("id")));
    if (migration::has_ended(row->phase))
        co_return fail(Code::failed_precondition, "migration {} has ended already; see `ballast migration show {}`",
                       row->id, row->id);
    BALLAST_CO_TRY(auto* const desk, desk_of(*context));
    event.actor = request.identity.name;
    BALLAST_CO_CHECK(desk->moves().ask(row->id, event));
    auto answer = co_await commit(request, context, [request, context, id = row->id](store::Transaction& transaction) {
        Result<Response> response = row_response(request, context, transaction.snapshot().migrations.find_ptr(id), 202);
        response->job = id;
        return response;
    });
    co_return answer;
}

Handler verb_of(MigrationEventKind kind) {
    return [kind](Request request, ContextPtr context) {
        return tell(std::move(request), std::move(context), {.kind = kind});
    };
}

/// Errors: invalid_argument naming the field.
Result<migration::Tuning> tuning_of(const TuneAsk& ask) {
    if (!ask.max_downtime && !ask.bandwidth && !ask.post_copy_bandwidth)
        return fail(Code::invalid_argument,
                    "nothing is changed: give max_downtime_ms, bandwidth_bytes_per_second or "
                    "post_copy_bandwidth_bytes_per_second");
    MigrationPolicy policy;
    policy.max_downtime = ask.max_downtime;
    policy.bandwidth = ask.bandwidth;
    policy.post_copy_bandwidth = ask.post_copy_bandwidth;
    BALLAST_CHECK(check(policy, "tune"));
    return migration::Tuning{
        .max_downtime = ask.max_downtime, .bandwidth = ask.bandwidth, .post_copy_bandwidth = ask.post_copy_bandwidth};
}

Task<Response> tune_migration(Request request, ContextPtr context) {
    BALLAST_CO_TRY(const auto ask, co_await parse_body<TuneAsk>(request, context));
    BALLAST_CO_TRY(const auto tuning, tuning_of(ask));
    migration::MigrationEvent event{.kind = MigrationEventKind::tune_requested};
    event.tuning = tuning;
    auto answer = co_await tell(std::move(request), context, std::move(event));
    co_return answer;
}

Route operator_verb(std::string verb, std::string summary, Handler handler, SchemaMaker body = nullptr) {
    return {.verb = Verb::post,
            .path = "/api/v1/migrations/{id}/" + verb,
            .right = Right::operator_,
            .id = "migration_" + verb,
            .tag = "migrations",
            .summary = std::move(summary),
            .body = body,
            .takes = Takes::json,
            .body_optional = body == nullptr,
            .answers = {{202, schema<Migration>}},
            .failures = {Code::failed_precondition, Code::unavailable},
            .handler = std::move(handler)};
}

Route question(std::string name, std::string summary, SchemaMaker answer, Handler handler) {
    return {.path = "/api/v1/migrations/" + name,
            .right = Right::viewer,
            .id = "migration_" + name,
            .tag = "migrations",
            .summary = std::move(summary),
            .answers = {{200, answer}},
            .failures = {Code::unavailable},
            .handler = std::move(handler)};
}

}  // namespace

std::vector<Route> migration_routes() {
    return {
        {.path = "/api/v1/migrations",
         .right = Right::viewer,
         .id = "migration_list",
         .tag = "migrations",
         .summary = "Migrations, running and past.",
         .query = list_parameters(migration_list),
         .answers = {{200, page_schema<Migration>}},
         .handler = list_migrations},
        question("queue", "Those that wait for their lanes, and when they are expected to end.", schema<MigrationQueue>,
                 get_queue),
        question("accuracy", "How far outcomes were from their forecasts, by mode and by pair of hosts.",
                 schema<migration::Accuracy>, get_accuracy),
        question("compatibility", "Which modes and knobs go together, and why the others do not.",
                 schema<CompatibilityTable>, get_compatibility),
        {.path = "/api/v1/migrations/{id}",
         .right = Right::viewer,
         .id = "migration_get",
         .tag = "migrations",
         .summary = "One migration with its rounds; its id is that of its job.",
         .answers = {{200, schema<Migration>}},
         .tagged = true,
         .handler = get_migration},
        operator_verb("finish", "Stop the guest now and copy the rest.", verb_of(MigrationEventKind::finish_requested)),
        operator_verb("switch", "Switch to post-copy now.", verb_of(MigrationEventKind::switch_requested)),
        operator_verb("resume", "Resume a post-copy that broke, at once.",
                      verb_of(MigrationEventKind::recover_requested)),
        operator_verb("tune", "Other limits from now on.", tune_migration, schema<TuneAsk>),
    };
}

}  // namespace ballast::api
