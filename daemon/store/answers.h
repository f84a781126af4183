#pragma once
// The answers that a reused Idempotency-Key gets again. Thread rule: that of the connection.

#include <optional>

#include "daemon/store/connection.h"
#include "daemon/store/store.h"

namespace ballast::store {

/// The answer, if it was given at or after `not_before`.
[[nodiscard]] std::optional<RememberedAnswer> find_answer(Connection& connection, const std::string& actor,
                                                          const std::string& key, Timestamp not_before);
void remember_answer(Connection& connection, const std::string& actor, const std::string& key,
                     const RememberedAnswer& answer, Timestamp now);
/// At most `limit` of those given before `before`; the number dropped.
[[nodiscard]] std::int64_t drop_answers(Connection& connection, Timestamp before, std::int64_t limit);

}  // namespace ballast::store
