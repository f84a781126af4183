#pragma once
// What can go wrong, in thirteen canonical codes. An Error names the object, the limit and the way out in one sentence,
// knows where it was made, and keeps the chain of its causes. Pure: no I/O, no log. Values: safe to copy and to send
// between threads.

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace ballast {

enum class Code : std::uint8_t {
    invalid_argument,
    unauthenticated,
    permission_denied,
    not_found,
    already_exists,
    conflict,
    failed_precondition,
    resource_exhausted,
    cancelled,
    deadline_exceeded,
    unavailable,
    unimplemented,
    internal,
};

inline constexpr std::array all_codes{
    Code::invalid_argument, Code::unauthenticated,   Code::permission_denied,   Code::not_found,
    Code::already_exists,   Code::conflict,          Code::failed_precondition, Code::resource_exhausted,
    Code::cancelled,        Code::deadline_exceeded, Code::unavailable,         Code::unimplemented,
    Code::internal};

[[nodiscard]] std::string_view name_of(Code code);

/// The HTTP status of a code (RFC 9110). One switch without default: a new code does not compile until it is decided
/// here.
[[nodiscard]] int http_status(Code code);

/// Whether the same call may succeed later without any change by the caller.
[[nodiscard]] bool is_retryable(Code code);

class Error {
  public:
    Error(Code code, std::string message, std::source_location where = std::source_location::current())
        : code_(code), message_(std::move(message)), where_(where) {}

    [[nodiscard]] Code code() const noexcept { return code_; }
    [[nodiscard]] const std::string& message() const noexcept { return message_; }
    [[nodiscard]] const std::source_location& where() const noexcept { return where_; }
    [[nodiscard]] const Error* cause() const noexcept { return cause_.get(); }

    [[nodiscard]] Error caused_by(Error cause) && {
        cause_ = std::make_shared<const Error>(std::move(cause));
        return std::move(*this);
    }

    /// The message and those of its causes, outermost first, joined by ": ".
    [[nodiscard]] std::string chain() const;

    friend bool operator==(const Error& a, const Error& b) { return a.code_ == b.code_ && a.chain() == b.chain(); }

  private:
    Code code_;
    std::string message_;
    std::source_location where_;
    std::shared_ptr<const Error> cause_;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// A code with the place that named it, so that fail() can take a format string and still know its caller.
struct CodeAt {
    Code code;
    std::source_location where;
    // NOLINTNEXTLINE(google-explicit-constructor): the implicit conversion is its purpose
    CodeAt(Code c, std::source_location w = std::source_location::current()) : code(c), where(w) {}
};

/// `return fail(Code::not_found, "no host is named '{}'", name);`
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(CodeAt at, fmt::format_string<Args...> text, Args&&... args) {
    return std::unexpected(Error(at.code, fmt::format(text, std::forward<Args>(args)...), at.where));
}

/// Wraps an error in a sentence that says what was being done; the code stays that of the cause.
template <class... Args>
[[nodiscard]] Error while_doing(Error cause, fmt::format_string<Args...> text, Args&&... args) {
    const Code code = cause.code();
    return Error(code, fmt::format(text, std::forward<Args>(args)...)).caused_by(std::move(cause));
}

}  // namespace ballast
