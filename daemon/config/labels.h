#pragma once
// [[migration.label]]: what a move may cost for every VM that carries a label. The one place that the file alone can
// set: a list of tables has no environment variable. Pure.

#include <string>
#include <string_view>

#include "daemon/config/config.h"
#include "daemon/config/values.h"

namespace ballast::config {

/// Errors: invalid_argument (unknown key with the nearest known, wrong type, out of range).
[[nodiscard]] Result<void> set_label_field(MigrationLabel& label, std::string_view key, const Raw& raw);

/// The tables as TOML; empty where there are none.
[[nodiscard]] std::string render_labels(const MigrationConfig& config);

/// How to write one, commented out, for the sample file; and its keys, for the manual.
[[nodiscard]] std::string sample_label();
[[nodiscard]] std::string label_keys_text();

}  // namespace ballast::config
