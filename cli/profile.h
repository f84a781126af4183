#pragma once
// Where the client finds ballastd and its token: flags over environment over ~/.config/ballast/config.toml over
// defaults. `ballast login` writes that file, readable by its owner alone. Reads and writes these files only.

#include <string>

#include "cli/globals.h"

namespace ballast::cli {

struct Profile {
    std::string url;
    std::string token;
    std::string ca;
    std::string fingerprint;
};

inline constexpr const char* default_url = "https://127.0.0.1:8470";

/// BALLAST_CONFIG, or $XDG_CONFIG_HOME/ballast/config.toml, or ~/.config/ballast/config.toml.
[[nodiscard]] std::string profile_path(const World& world);
/// An absent file is an empty profile. Errors: invalid_argument (not TOML, unknown key), naming file and line.
[[nodiscard]] Result<Profile> read_profile(const World& world);
/// Mode 0600, written whole or not at all.
[[nodiscard]] Result<std::string> write_profile(const World& world, const Profile& profile);

struct Access {
    Endpoint endpoint;
    Trust trust;
    std::string token;
};
/// A token file ~/.config/ballast/token is read when nothing else names a token.
[[nodiscard]] Result<Access> resolve_access(const World& world, const Globals& globals);

}  // namespace ballast::cli
