#pragma once
// The table of every key: name, documentation, limits, and how it is read and written. Config's defaults are those of
// its members; everything that people read about the configuration is made from this table. Pure.

#include <functional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/values.h"

namespace ballast::config {

struct Key {
    std::string section;
    std::string name;
    std::string doc;    ///< one sentence or two, for the operator
    std::string takes;  ///< "a whole number from 0 to 65535", "a duration from 1s to 1h", …
    std::function<Result<void>(Config&, const Raw&)> read;
    std::function<std::string(const Config&)> show;  ///< as TOML

    [[nodiscard]] std::string path() const { return section + "." + name; }
    /// BALLAST_SERVER_PORT
    [[nodiscard]] std::string variable() const;
};

struct SectionDoc {
    std::string name;
    std::string doc;
};

[[nodiscard]] const std::vector<SectionDoc>& sections();
[[nodiscard]] const std::vector<Key>& keys();
[[nodiscard]] const Key* find_key(std::string_view path);

/// "unknown key 'server.prot'; did you mean 'server.port'?"
[[nodiscard]] std::string unknown_key(std::string_view path);

}  // namespace ballast::config
