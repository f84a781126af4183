#pragma once
// What a list of each kind shows, one View per kind. A new column is one line here.

#include "cli/session.h"

namespace ballast::cli {

[[nodiscard]] const View& host_view();
[[nodiscard]] const View& vm_view();
[[nodiscard]] const View& pool_view();
[[nodiscard]] const View& volume_view();
[[nodiscard]] const View& image_view();
[[nodiscard]] const View& job_view();
[[nodiscard]] const View& migration_view();
[[nodiscard]] const View& plan_view();
/// Rounds with `duration_ms` and `in_it_bytes` of each alone.
[[nodiscard]] const View& round_view();
[[nodiscard]] const View& queue_view();
/// Lines of migration::Accuracy.
[[nodiscard]] const View& accuracy_view();
[[nodiscard]] const View& compatibility_view();
[[nodiscard]] const View& event_view();
[[nodiscard]] const View& token_view();
[[nodiscard]] const View& pair_view();
[[nodiscard]] const View& check_view();

/// The worst verdict of a pair's checks: refused, unknown, warning or ok.
[[nodiscard]] std::string pair_verdict(const Json& pair);

/// The member, as text; empty where it is absent, null or something else.
[[nodiscard]] std::string text_at(const Json& row, const char* key);
[[nodiscard]] std::int64_t number_at(const Json& row, const char* key);

}  // namespace ballast::cli
