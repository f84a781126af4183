#pragma once
// Enumerators as words in sentences for people: `shut_off` reads "shut off". Any thread.

#include <algorithm>
#include <string>

#include <boost/describe/enum_to_string.hpp>

namespace ballast::reconcile {

template <class Enum>
[[nodiscard]] std::string words(Enum value) {
    std::string text = boost::describe::enum_to_string(value, "unknown");
    std::ranges::replace(text, '_', ' ');
    return text;
}

}  // namespace ballast::reconcile
