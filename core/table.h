#pragma once
// Table<Row>: the rows of one kind, as a value that is cheap to copy. Dense slots in chunks of 128 `shared_ptr<const
// Row>` under a copy-on-write spine; the id index is a chunked table of its own. A copy shares every chunk; a put
// copies one chunk, one bucket and (after a copy) the two spines: at 50,000 rows about 72 µs for a batch of 32, where a
// deep copy costs 21 to 141 ms (ARCHITECTURE.md 2). Thread rule: a Table is a value. One thread writes its own copy;
// readers hold copies that never change.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace ballast {

/// Says which parts a table may still write in place: those made since it was last copied. A copy ends the right of
/// both sides. (A part's use_count() would say it too, but reads it without synchronising with the reader that has just
/// let go.)
class WriteRight {
  public:
    WriteRight() = default;
    WriteRight(const WriteRight& other) { other.number_.store(0, std::memory_order_relaxed); }
    WriteRight(WriteRight&& other) noexcept : number_(other.number_.exchange(0, std::memory_order_relaxed)) {}
    WriteRight& operator=(const WriteRight& other) {
        other.number_.store(0, std::memory_order_relaxed);
        number_.store(0, std::memory_order_relaxed);
        return *this;
    }
    WriteRight& operator=(WriteRight&& other) noexcept {
        number_.store(other.number_.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
        return *this;
    }
    ~WriteRight() = default;

    /// The number that parts made now carry; never 0.
    [[nodiscard]] std::uint64_t number() {
        if (number_.load(std::memory_order_relaxed) == 0) number_.store(next(), std::memory_order_relaxed);
        return number_.load(std::memory_order_relaxed);
    }

  private:
    static std::uint64_t next() {
        static std::atomic<std::uint64_t> last{0};
        return ++last;
    }
    mutable std::atomic<std::uint64_t> number_{0};
};

template <class Row>
class Table {
  public:
    using Key = decltype(Row::id);
    using Ptr = std::shared_ptr<const Row>;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    /// The row, or nullptr. Valid as long as this table (or a copy of it that still holds the row) lives.
    [[nodiscard]] const Row* find(const Key& id) const { return find_ptr(id).get(); }

    [[nodiscard]] Ptr find_ptr(const Key& id) const {
        const auto slot = slot_of(id);
        return slot ? chunks_[*slot / chunk_size]->content.at(*slot % chunk_size) : Ptr{};
    }

    /// Inserts the row or replaces the one with its id.
    void put(Row row) { put(std::make_shared<const Row>(std::move(row))); }

    void put(Ptr row) {
        if (const auto slot = slot_of(row->id)) {
            own(chunks_[*slot / chunk_size]).at(*slot % chunk_size) = std::move(row);
            return;
        }
        const std::size_t slot = take_slot();
        index(row->id, slot);
        own(chunks_[slot / chunk_size]).at(slot % chunk_size) = std::move(row);
        ++size_;
    }

    bool erase(const Key& id) {
        const auto slot = slot_of(id);
        if (!slot) return false;
        own(chunks_[*slot / chunk_size]).at(*slot % chunk_size).reset();
        auto& bucket = own(buckets_[bucket_of(id)]);
        std::erase_if(bucket, [&](const Entry& entry) { return entry.first == id; });
        free_.push_back(*slot);
        --size_;
        return true;
    }

    /// Calls `visit(const Row&)` for every row, in slot order (not sorted).
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const auto& chunk : chunks_)
            for (const auto& row : chunk->content)
                if (row) visit(*row);
    }

    /// Every row that `wanted` accepts.
    template <class Wanted>
    [[nodiscard]] std::vector<Ptr> select(Wanted&& wanted) const {
        std::vector<Ptr> found;
        for (const auto& chunk : chunks_)
            for (const auto& row : chunk->content)
                if (row && wanted(*row)) found.push_back(row);
        return found;
    }

    [[nodiscard]] std::vector<Ptr> rows() const {
        return select([](const Row&) { return true; });
    }

    /// The first row (in slot order) that `wanted` accepts, or nullptr.
    template <class Wanted>
    [[nodiscard]] const Row* find_if(Wanted&& wanted) const {
        for (const auto& chunk : chunks_)
            for (const auto& row : chunk->content)
                if (row && wanted(*row)) return row.get();
        return nullptr;
    }

    /// Calls `visit(const Ptr& before, const Ptr& now)` for every slot whose row differs from the one in `before`;
    /// null: none. What the two share since one was copied from the other is passed over chunk by chunk, so it costs
    /// what has changed and a 128th of the rows. Rows are told apart by their place in memory: one that was put again
    /// unchanged counts as changed, and where rows moved between slots a row may be `before` of one slot and `now` of
    /// another.
    template <class Visit>
    void for_each_change(const Table& before, Visit&& visit) const {
        static const std::array<Ptr, chunk_size> none{};
        for (std::size_t i = 0; i < std::max(chunks_.size(), before.chunks_.size()); ++i) {
            const Chunk* const old = i < before.chunks_.size() ? before.chunks_[i].get() : nullptr;
            const Chunk* const now = i < chunks_.size() ? chunks_[i].get() : nullptr;
            if (old == now) continue;
            const auto& old_rows = old != nullptr ? old->content : none;
            const auto& now_rows = now != nullptr ? now->content : none;
            for (std::size_t slot = 0; slot < chunk_size; ++slot)
                if (old_rows[slot] != now_rows[slot]) visit(old_rows[slot], now_rows[slot]);
        }
    }

  private:
    static constexpr std::size_t chunk_size = 128;
    static constexpr std::size_t rows_per_bucket = 32;
    using Entry = std::pair<Key, std::size_t>;
    template <class Content>
    struct Part {
        Content content{};
        std::uint64_t writer = 0;
    };
    using Chunk = Part<std::array<Ptr, chunk_size>>;
    using Bucket = Part<std::vector<Entry>>;

    /// The part's content for writing: in place if this table made it since its last copy, else a copy of it.
    template <class Content>
    Content& own(std::shared_ptr<Part<Content>>& part) {
        if (part->writer != right_.number()) {
            part = std::make_shared<Part<Content>>(*part);
            part->writer = right_.number();
        }
        return part->content;
    }

    [[nodiscard]] std::size_t bucket_of(const Key& id) const { return std::hash<Key>{}(id) % buckets_.size(); }

    [[nodiscard]] std::optional<std::size_t> slot_of(const Key& id) const {
        if (buckets_.empty()) return std::nullopt;
        for (const auto& [key, slot] : buckets_[bucket_of(id)]->content)
            if (key == id) return slot;
        return std::nullopt;
    }

    std::size_t take_slot() {
        if (!free_.empty()) {
            const std::size_t slot = free_.back();
            free_.pop_back();
            return slot;
        }
        if (end_ == chunks_.size() * chunk_size) chunks_.push_back(std::make_shared<Chunk>());
        return end_++;
    }

    void index(const Key& id, std::size_t slot) {
        if (size_ >= buckets_.size() * rows_per_bucket) grow();
        own(buckets_[bucket_of(id)]).emplace_back(id, slot);
    }

    void grow() {
        std::vector<std::shared_ptr<Bucket>> old = std::move(buckets_);
        buckets_.assign(old.empty() ? 8 : old.size() * 2, nullptr);
        for (auto& bucket : buckets_) bucket = std::make_shared<Bucket>();
        for (const auto& bucket : old)
            for (const auto& entry : bucket->content) buckets_[bucket_of(entry.first)]->content.push_back(entry);
    }

    WriteRight right_;
    std::vector<std::shared_ptr<Chunk>> chunks_;
    std::vector<std::shared_ptr<Bucket>> buckets_;
    std::vector<std::size_t> free_;
    std::size_t end_ = 0;
    std::size_t size_ = 0;
};

}  // namespace ballast
