#pragma once
// What benchmarks in C++ share: which cases are asked for, CPU time, and the JSON line of a figure (ARCHITECTURE.md 6).

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace ballast::bench {

struct Cases {
    bool quick = false;
    bool check = false;
    std::vector<std::string> cases;  ///< empty: all of them
    [[nodiscard]] bool wants(const std::string& name) const {
        return cases.empty() || std::ranges::find(cases, name) != cases.end();
    }
};

/// Of this thread.
inline double cpu_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// One figure. `target` and `met` are JSON: null where there is no target.
inline void print_line(std::string_view bench, std::string_view name, std::string_view metric, double value,
                       std::string_view unit, std::string_view target, std::string_view met) {
    fmt::print(R"({{"bench":"{}","case":"{}","metric":"{}","value":{:.6g},"unit":"{}","target":{},"met":{}}})"
               "\n",
               bench, name, metric, value, unit, target, met);
    std::fflush(stdout);
}

}  // namespace ballast::bench
