#pragma once
// What a Result is expected to be.

#include <gmock/gmock.h>

#include "core/error.h"

namespace ballast::testing {

MATCHER(Succeeds, "") {
    if (!arg.has_value()) *result_listener << name_of(arg.error().code()) << ": " << arg.error().chain();
    return arg.has_value();
}

MATCHER_P2(Refuses, code, words, "") {
    if (arg.has_value()) {
        *result_listener << "succeeded";
        return false;
    }
    *result_listener << name_of(arg.error().code()) << ": " << arg.error().chain();
    return arg.error().code() == code && arg.error().chain().find(words) != std::string::npos;
}

}  // namespace ballast::testing
