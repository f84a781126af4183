#include "daemon/store/transaction.h"

#include <ranges>

#include "daemon/store/answers.h"
#include "daemon/store/kept.h"

namespace ballast::store {

template <class Row>
void StoreTransaction::put_row(Row row, EventNote note) {
    const Row* before = table_of<Row>(working_).find(row.id);
    if (!settle_revisions(row, before)) return;
    const std::string doc = to_json_text(row);
    Event event;
    event.kind = std::move(note.kind);
    event.message = std::move(note.message);
    event.subject_kind = Entity<Row>::subject_kind;
    event.subject_id = row.id.str();
    event.subject_name = Entity<Row>::subject_name(row, working_);
    if constexpr (requires { Entity<Row>::redacted(row); })
        event.after.text = to_json_text(Entity<Row>::redacted(row));
    else
        event.after.text = doc;
    guarded([&] {
        EntityStore<Row>::put(connection_, row, doc);
        log(std::move(event), RowChange::put);
    });
    remember_row<Row>(row.id);
    table_of<Row>(working_).put(std::move(row));
}

void StoreTransaction::keep(std::string_view key, std::string text) {
    guarded([&] { keep_text(connection_, std::string(key), text); });
}

void StoreTransaction::emit(Event event) {
    guarded([&] { log(std::move(event), RowChange::none); });
}

void StoreTransaction::log(Event event, RowChange change) {
    event.seq = working_.seq + 1;
    event.time = now_;
    event.origin = context_.origin;
    if (event.actor.empty()) event.actor = context_.actor;
    if (event.job.empty()) event.job = context_.job;
    append_event(connection_, event, change);
    working_.seq = event.seq;
    events_.push_back(std::move(event));
}

std::optional<VmId> StoreTransaction::find_vm_named(const std::string& name) {
    return guarded([&]() -> std::optional<VmId> {
        static const std::string by_name = "SELECT id FROM vms WHERE name = ? LIMIT 1";
        Query query = connection_.cached(by_name);
        query.bind(name);
        return query.step() ? std::optional(VmId(query.text(0))) : std::nullopt;
    });
}

std::optional<RememberedAnswer> StoreTransaction::find_answer(std::string_view actor, std::string_view key) {
    return guarded(
        [&] { return store::find_answer(connection_, std::string(actor), std::string(key), now_ - answers_kept_); });
}

void StoreTransaction::remember_answer(std::string_view actor, std::string_view key, RememberedAnswer answer) {
    guarded([&] { store::remember_answer(connection_, std::string(actor), std::string(key), answer, now_); });
}

void StoreTransaction::undo() {
    for (const auto& step : std::views::reverse(undo_)) step(working_);
    undo_.clear();
    events_.clear();
    working_.seq = seq_before_;
}

}  // namespace ballast::store
