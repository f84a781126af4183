#pragma once
// The command line: which commands there are, what they take, and how a run ends. Parsing and dispatch only; what a
// command does is in commands/. One thread.

#include <memory>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "cli/session.h"

namespace ballast::cli {

/// The whole tree of commands, bound to the session. Manual page and completions are made from it, too.
[[nodiscard]] std::unique_ptr<CLI::App> make_app(Session& session);

/// Runs one command line (without the program's name) and gives the exit code.
[[nodiscard]] int run(const std::vector<std::string>& words, World world);

}  // namespace ballast::cli
