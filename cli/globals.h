#pragma once
// What every command knows: how to reach ballastd, how to print, how long to wait; and the world around the process,
// given from outside so that tests bring their own.

#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/failure.h"
#include "cli/transport.h"
#include "core/units.h"

namespace ballast::cli {

/// `wide` is a table with all there is: once the words are read, a table and Globals::wide.
enum class Format { table, json, yaml, name, wide };

/// As the flags say; empty where none was given.
struct Globals {
    std::string url;
    std::string token;
    std::string ca;
    std::string fingerprint;
    bool insecure = false;
    Format format = Format::table;
    bool wide = false;
    bool watch = false;
    bool no_wait = false;
    bool yes = false;
    std::string timeout;
};

struct World {
    std::map<std::string, std::string> environment;
    std::ostream* out = nullptr;
    std::ostream* err = nullptr;
    bool out_is_terminal = false;
    bool err_is_terminal = false;
    bool in_is_terminal = false;
    std::size_t width = 0;  ///< of the terminal; 0: none
    std::function<std::string()> read_line;
    std::function<Timestamp()> now;
    std::function<std::string()> random_key;
    std::function<std::unique_ptr<Transport>(Endpoint, Trust)> connect;

    [[nodiscard]] std::string variable(const std::string& name) const {
        const auto at = environment.find(name);
        return at == environment.end() ? "" : at->second;
    }
    [[nodiscard]] bool colours() const { return out_is_terminal && variable("NO_COLOR").empty(); }
};

/// "90s", "5min", "1h", "7d" or plain seconds.
[[nodiscard]] Result<Milliseconds> parse_timeout(std::string_view text);

}  // namespace ballast::cli
