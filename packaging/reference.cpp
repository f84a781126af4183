// Prints what is made from the table of configuration keys: the sample file or the manual page.

#include <string_view>

#include <fmt/format.h>

#include "daemon/config/config.h"

int main(int count, char** words) {
    const std::string_view what = count == 2 ? words[1] : "";
    if (what == "sample") fmt::print("{}", ballast::config::sample());
    if (what == "manual") fmt::print("{}", ballast::config::manual_page());
    if (what == "sample" || what == "manual") return 0;
    fmt::print(stderr, "usage: ballast_reference sample|manual\n");
    return 2;
}
