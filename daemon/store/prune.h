#pragma once
// What is past retention is dropped (SAFETY.md 14), a little at a time. Thread rule: the writer thread.

#include <array>

#include "daemon/store/transaction.h"

namespace ballast::store {

/// Drops one portion; the number of rows dropped, 0 when there is nothing left to drop.
using PruneStep = std::int64_t (*)(StoreTransaction& transaction, const Retention& retention, Timestamp now);

[[nodiscard]] std::int64_t prune_answers(StoreTransaction& transaction, const Retention& retention, Timestamp now);
/// Finished jobs only.
[[nodiscard]] std::int64_t prune_jobs(StoreTransaction& transaction, const Retention& retention, Timestamp now);
/// Finished migrations that are older than the events, and all but the latest: forecasts learn from the rest.
[[nodiscard]] std::int64_t prune_migrations(StoreTransaction& transaction, const Retention& retention, Timestamp now);
/// Plans of which nothing more will become, past the jobs' retention, and all but the latest.
[[nodiscard]] std::int64_t prune_plans(StoreTransaction& transaction, const Retention& retention, Timestamp now);
/// Everything below the newest base snapshot that is itself past retention: what is kept can be rebuilt.
[[nodiscard]] std::int64_t prune_bases(StoreTransaction& transaction, const Retention& retention, Timestamp now);
[[nodiscard]] std::int64_t prune_base_rows(StoreTransaction& transaction, const Retention& retention, Timestamp now);
[[nodiscard]] std::int64_t prune_events(StoreTransaction& transaction, const Retention& retention, Timestamp now);

/// Every forecast reads all of them.
inline constexpr std::int64_t most_migrations = 10'000;
/// A plan of thousands of moves is a megabyte.
inline constexpr std::int64_t most_plans = 500;

inline constexpr std::array prune_steps{PruneStep{prune_answers}, PruneStep{prune_jobs},  PruneStep{prune_migrations},
                                        PruneStep{prune_plans},   PruneStep{prune_bases}, PruneStep{prune_base_rows},
                                        PruneStep{prune_events}};

}  // namespace ballast::store
