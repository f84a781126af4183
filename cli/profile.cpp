#include "cli/profile.h"

#include <array>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <toml++/toml.h>

#include "core/json.h"
#include "core/try.h"

namespace ballast::cli {
namespace {

namespace fs = std::filesystem;

struct Field {
    const char* name;
    std::string Profile::* member;
};
constexpr std::array fields{Field{"url", &Profile::url}, Field{"token", &Profile::token}, Field{"ca", &Profile::ca},
                            Field{"fingerprint", &Profile::fingerprint}};

Result<void> read_field(Profile& profile, const toml::key& key, const toml::node& node, const std::string& path) {
    const std::string name(key.str());
    const auto line = key.source().begin.line;
    for (const auto& field : fields) {
        if (name != field.name) continue;
        const auto text = node.value_exact<std::string>();
        if (!text) return fail(Code::invalid_argument, "{}:{}: {}: expected a text in quotes", path, line, name);
        profile.*field.member = *text;
        return {};
    }
    const std::array<std::string, 4> known{"url", "token", "ca", "fingerprint"};
    const std::string near = nearest(name, known);
    return fail(Code::invalid_argument, "{}:{}: unknown key '{}'; {}", path, line, name,
                near.empty() ? "known are url, token, ca, fingerprint" : fmt::format("did you mean '{}'?", near));
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    return text;
}

std::string read_token_file(const World& world) {
    std::ifstream file(fs::path(profile_path(world)).parent_path() / "token");
    std::string token;
    std::getline(file, token);
    return trimmed(token);
}

std::string toml_text(const Profile& profile) {
    toml::table table;
    for (const auto& field : fields)
        if (!(profile.*field.member).empty()) table.insert(field.name, profile.*field.member);
    std::ostringstream text;
    text << "# Written by `ballast login`.\n" << table << "\n";
    return text.str();
}

std::string first_of(std::initializer_list<std::string> candidates) {
    for (const auto& candidate : candidates)
        if (!candidate.empty()) return candidate;
    return {};
}

}  // namespace

std::string profile_path(const World& world) {
    if (const auto path = world.variable("BALLAST_CONFIG"); !path.empty()) return path;
    std::string base = world.variable("XDG_CONFIG_HOME");
    if (base.empty()) base = world.variable("HOME") + "/.config";
    return base + "/ballast/config.toml";
}

Result<Profile> read_profile(const World& world) {
    const std::string path = profile_path(world);
    std::ifstream file(path, std::ios::binary);
    if (!file) return Profile{};
    std::ostringstream text;
    text << file.rdbuf();
    try {
        const toml::table root = toml::parse(text.str(), path);
        Profile profile;
        for (const auto& [key, node] : root) BALLAST_CHECK(read_field(profile, key, node, path));
        return profile;
    } catch (const toml::parse_error& error) {
        return fail(Code::invalid_argument, "{}:{}: this is not TOML: {}", path, error.source().begin.line,
                    error.description());
    }
}

Result<std::string> write_profile(const World& world, const Profile& profile) {
    const std::string path = profile_path(world);
    std::error_code error;
    fs::create_directories(fs::path(path).parent_path(), error);
    const std::string fresh = path + ".new";
    const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0) return fail(Code::permission_denied, "'{}' can't be written: {}", fresh, std::strerror(errno));
    const std::string text = toml_text(profile);
    const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         ::fchmod(file, S_IRUSR | S_IWUSR) == 0 && ::fsync(file) == 0;
    ::close(file);
    if (written && ::rename(fresh.c_str(), path.c_str()) == 0) return path;
    return fail(Code::internal, "'{}' can't be written: {}", path, std::strerror(errno));
}

Result<Access> resolve_access(const World& world, const Globals& globals) {
    BALLAST_TRY(const auto profile, read_profile(world));
    const std::string url = first_of({globals.url, world.variable("BALLAST_URL"), profile.url, default_url});
    // A pin and a token belong to the server they were given for.
    const bool same_server = profile.url.empty() || url == profile.url;
    const Profile kept = same_server ? profile : Profile{};
    Access access;
    BALLAST_TRY(access.endpoint, parse_url(url));
    access.token = first_of({globals.token, world.variable("BALLAST_TOKEN"), kept.token});
    if (access.token.empty() && same_server) access.token = read_token_file(world);
    access.trust.insecure = globals.insecure;
    access.trust.ca_file = first_of({globals.ca, world.variable("BALLAST_CA"), kept.ca});
    access.trust.fingerprint = first_of({globals.fingerprint, world.variable("BALLAST_FINGERPRINT"), kept.fingerprint});
    if (!globals.ca.empty() && globals.fingerprint.empty()) access.trust.fingerprint.clear();
    return access;
}

}  // namespace ballast::cli
