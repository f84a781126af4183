// PlanetLab CPU traces: one file a VM, one percentage a line, one line per five minutes.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/try.h"
#include "drivers/simulated/cluster.h"

namespace ballast::drivers::simulated {
namespace {

namespace fs = std::filesystem;

Result<Trace> read_trace(const fs::path& path) {
    std::ifstream in(path);
    if (!in) return fail(Code::not_found, "the trace '{}' can't be read", path.string());
    Trace trace;
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
        if (const auto end = line.find_last_not_of(" \r\t"); end != std::string::npos) line.resize(end + 1);
        char* rest = nullptr;
        const double percent = std::strtod(line.c_str(), &rest);
        if (line.empty() || *rest != '\0' || !std::isfinite(percent) || percent < 0 || percent > 100)
            return fail(Code::invalid_argument, "{}:{}: '{}' is not a percentage from 0 to 100", path.string(), number,
                        line.substr(0, 40));
        trace.push_back(percent / 100);
    }
    if (trace.empty()) return fail(Code::invalid_argument, "the trace '{}' is empty", path.string());
    return trace;
}

/// Traces have no ending; what has one (README.md, an archive) is something else.
bool is_trace(const fs::directory_entry& entry) {
    return entry.is_regular_file() && !entry.path().has_extension();
}

}  // namespace

Result<std::vector<std::shared_ptr<const Trace>>> read_traces(const std::string& folder) {
    std::error_code error;
    std::vector<fs::path> paths;
    for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        if (is_trace(*at)) paths.push_back(at->path());
    if (error) return fail(Code::not_found, "the folder of traces '{}' can't be read: {}", folder, error.message());
    if (paths.empty())
        return fail(Code::not_found,
                    "the folder '{}' holds no trace (files without an ending); unpack its archives: tar -xzf", folder);
    std::ranges::sort(paths);
    std::vector<std::shared_ptr<const Trace>> traces;
    for (const auto& path : paths) {
        BALLAST_TRY(Trace trace, read_trace(path));
        traces.push_back(std::make_shared<const Trace>(std::move(trace)));
    }
    return traces;
}

}  // namespace ballast::drivers::simulated
