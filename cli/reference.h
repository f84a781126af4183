#pragma once
// What is made from the tree of commands: completions for shells and the manual page. Pure.

#include <string>

#include <CLI/App.hpp>

#include "core/error.h"

namespace ballast::cli {

/// For bash, zsh or fish. Errors: invalid_argument.
[[nodiscard]] Result<std::string> completion(const CLI::App& app, const std::string& shell);
/// ballast(1), in roff.
[[nodiscard]] std::string manual_page(const CLI::App& app);

}  // namespace ballast::cli
