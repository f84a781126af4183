#pragma once
// Early return for Result. Statement macros: `BALLAST_TRY(const auto host, find_host(name));`. libstdc++ 12's
// std::expected has no and_then, and a statement keeps one co_await per statement (ARCHITECTURE.md 2).

#include <utility>

#include "core/error.h"

#define BALLAST_CONCAT_INNER(a, b) a##b
#define BALLAST_CONCAT(a, b) BALLAST_CONCAT_INNER(a, b)

#define BALLAST_TRY_IMPL(tmp, decl, expr, ret)             \
    auto tmp = (expr);                                     \
    if (!tmp) ret std::unexpected(std::move(tmp).error()); \
    decl = *std::move(tmp)

#define BALLAST_CHECK_IMPL(tmp, expr, ret) \
    if (auto tmp = (expr); !tmp) ret std::unexpected(std::move(tmp).error())

/// Declares `decl` from the value of `expr`, or returns its error.
#define BALLAST_TRY(decl, expr) BALLAST_TRY_IMPL(BALLAST_CONCAT(ballast_try_, __LINE__), decl, expr, return)
/// The same in a coroutine: `BALLAST_CO_TRY(auto facts, co_await host.read_facts());`.
#define BALLAST_CO_TRY(decl, expr) BALLAST_TRY_IMPL(BALLAST_CONCAT(ballast_try_, __LINE__), decl, expr, co_return)
/// For Result<void>: returns the error, if any.
#define BALLAST_CHECK(expr) BALLAST_CHECK_IMPL(BALLAST_CONCAT(ballast_try_, __LINE__), expr, return)
#define BALLAST_CO_CHECK(expr) BALLAST_CHECK_IMPL(BALLAST_CONCAT(ballast_try_, __LINE__), expr, co_return)
