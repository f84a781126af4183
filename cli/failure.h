#pragma once
// How a command ends when it does not end well: the exit code that scripts rely on, one sentence, its causes, and what
// to do next. Every Error of core becomes one by its code. Pure.

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace ballast::cli {

/// Stable: scripts depend on the numbers. `ballast help exit-codes` prints them.
enum class Exit : int {
    ok = 0,
    failed = 1,
    usage = 2,
    not_found = 3,
    conflict = 4,
    denied = 5,
    unavailable = 6,
    no_capacity = 7,
    nothing_to_do = 8,
    plan_made = 9,
};

[[nodiscard]] Exit exit_of(Code code);
[[nodiscard]] std::optional<Code> code_named(std::string_view name);
/// The table of `ballast help exit-codes`.
[[nodiscard]] std::string exit_codes_text();

struct Failure {
    Exit exit = Exit::failed;
    std::string message;  ///< empty: the exit code says it all
    std::vector<std::string> causes;
    std::string next;  ///< what to do about it; empty: nothing is known

    Failure(Exit with, std::string sentence, std::string what_next = {})
        : exit(with), message(std::move(sentence)), next(std::move(what_next)) {}
    // NOLINTNEXTLINE(google-explicit-constructor): BALLAST_TRY turns one into the other
    Failure(const Error& error);
};

template <class T = void>
using Outcome = std::expected<T, Failure>;

[[nodiscard]] inline std::unexpected<Failure> failing(Exit exit, std::string message, std::string next = {}) {
    return std::unexpected(Failure(exit, std::move(message), std::move(next)));
}

/// "error: …" with causes and the 'next:' line, each on a line of its own.
[[nodiscard]] std::string describe(const Failure& failure);

}  // namespace ballast::cli
