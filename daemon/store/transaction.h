#pragma once
// The Transaction that a change sees: writes each row to SQL and to the working Snapshot at once, numbers and logs the
// events, and can take back what it did in memory. Thread rule: the writer thread.

#include <exception>
#include <vector>

#include "daemon/store/connection.h"
#include "daemon/store/entities.h"
#include "daemon/store/entity_store.h"
#include "daemon/store/event_log.h"
#include "daemon/store/store.h"

namespace ballast::store {

class StoreTransaction final : public Transaction {
  public:
    /// Borrows everything for the item's time.
    StoreTransaction(Connection& connection, Snapshot& working, const WriteContext& context, Timestamp now,
                     IdSource& ids, std::chrono::hours answers_kept)
        : connection_(connection),
          working_(working),
          context_(context),
          now_(now),
          ids_(ids),
          answers_kept_(answers_kept),
          seq_before_(working.seq) {}

    [[nodiscard]] const Snapshot& snapshot() const override { return working_; }
    [[nodiscard]] Timestamp now() const override { return now_; }
    [[nodiscard]] IdSource& ids() override { return ids_; }
    [[nodiscard]] const WriteContext& context() const override { return context_; }

    [[nodiscard]] std::optional<VmId> find_vm_named(const std::string& name) override;

    void put(Host row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Vm row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Pool row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Volume row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Image row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(HostPair row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Job row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Claim row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Migration row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Plan row, EventNote note) override { put_row(std::move(row), std::move(note)); }
    void put(Token row, EventNote note) override { put_row(std::move(row), std::move(note)); }

    void erase(const HostId& id, EventNote note) override { erase_row<Host>(id, std::move(note)); }
    void erase(const VmId& id, EventNote note) override { erase_row<Vm>(id, std::move(note)); }
    void erase(const PoolId& id, EventNote note) override { erase_row<Pool>(id, std::move(note)); }
    void erase(const VolumeId& id, EventNote note) override { erase_row<Volume>(id, std::move(note)); }
    void erase(const ImageId& id, EventNote note) override { erase_row<Image>(id, std::move(note)); }
    void erase(const PairId& id, EventNote note) override { erase_row<HostPair>(id, std::move(note)); }
    void erase(const ClaimId& id, EventNote note) override { erase_row<Claim>(id, std::move(note)); }

    void keep(std::string_view key, std::string text) override;
    void emit(Event event) override;

    [[nodiscard]] std::optional<RememberedAnswer> find_answer(std::string_view actor, std::string_view key) override;
    void remember_answer(std::string_view actor, std::string_view key, RememberedAnswer answer) override;

    /// Erases a row of any kind; jobs are erased by retention only.
    template <class Row>
    void erase_row(typename Table<Row>::Key id, EventNote note);

    [[nodiscard]] Connection& connection() { return connection_; }
    /// What went wrong in SQL, even if the change caught it.
    [[nodiscard]] const std::exception_ptr& failure() const { return failure_; }
    /// Takes back, in memory, everything that this transaction did.
    void undo();
    [[nodiscard]] std::vector<Event> take_events() { return std::move(events_); }

  private:
    template <class Row>
    void put_row(Row row, EventNote note);
    template <class Row>
    void remember_row(typename Table<Row>::Key id);
    void log(Event event, RowChange change);
    /// Runs SQL; remembers its failure for the writer before it passes it on.
    template <class Act>
    auto guarded(Act&& act);

    Connection& connection_;
    Snapshot& working_;
    const WriteContext& context_;
    Timestamp now_;
    IdSource& ids_;
    std::chrono::hours answers_kept_;
    std::uint64_t seq_before_;
    std::vector<Event> events_;
    std::vector<std::function<void(Snapshot&)>> undo_;
    std::exception_ptr failure_;
};

template <class Act>
auto StoreTransaction::guarded(Act&& act) {
    try {
        return act();
    } catch (...) {
        failure_ = std::current_exception();
        throw;
    }
}

template <class Row>
void StoreTransaction::remember_row(typename Table<Row>::Key id) {
    undo_.emplace_back([before = table_of<Row>(working_).find_ptr(id), id = std::move(id)](Snapshot& snapshot) {
        if (before)
            table_of<Row>(snapshot).put(before);
        else
            table_of<Row>(snapshot).erase(id);
    });
}

template <class Row>
void StoreTransaction::erase_row(typename Table<Row>::Key id, EventNote note) {
    const auto before = table_of<Row>(working_).find_ptr(id);
    if (!before) return;
    remember_row<Row>(id);
    Event event;
    event.kind = std::move(note.kind);
    event.message = std::move(note.message);
    event.subject_kind = Entity<Row>::subject_kind;
    event.subject_id = id.str();
    event.subject_name = Entity<Row>::subject_name(*before, working_);
    table_of<Row>(working_).erase(id);
    guarded([&] {
        EntityStore<Row>::erase(connection_, id);
        log(std::move(event), RowChange::erase);
    });
}

}  // namespace ballast::store
