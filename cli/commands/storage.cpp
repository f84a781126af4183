#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

constexpr const char* volumes = "/api/v1/volumes";

struct VolumeOptions {
    std::string name;
    std::string pool;
    std::string host;
    std::string format = "qcow2";
    std::string size;
};

Outcome<> create(Session& session, const VolumeOptions& options) {
    Json body{{"name", options.name}, {"format", options.format}};
    BALLAST_TRY(body["capacity_bytes"], size_json("--size", options.size));
    if (!options.pool.empty()) body["pool"] = options.pool;
    if (!options.host.empty()) body["host"] = options.host;
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("POST", volumes, body));
    return finish_job(session, answer, fmt::format("volume {} is ready", options.name));
}

Outcome<> remove(Session& session, const std::string& id) {
    BALLAST_CHECK(session.confirm(fmt::format("Delete volume {} and what is on it, for good?", id)));
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("DELETE", fmt::format("{}/{}", volumes, encoded(id)), Json()));
    return finish_job(session, answer, fmt::format("volume {} is gone", id));
}

}  // namespace

void add_storage_commands(CLI::App& app, Session& session) {
    CLI::App& volume = group(app, "volume", "Volumes that Ballast made");
    on(volume.add_subcommand("list", "All volumes"), session,
       [](Session& s) { return s.print_list(volume_view(), [](Api& api) { return api.list(volumes); }); });
    const auto options = std::make_shared<VolumeOptions>();
    CLI::App* creating = volume.add_subcommand("create", "Make an empty volume");
    creating->add_option("name", options->name, "Its name")->required()->type_name("");
    creating->add_option("--size", options->size, "Its size (10G)")->required()->type_name("SIZE");
    creating->add_option("--pool", options->pool, "Its pool; default: that of the cluster");
    creating->add_option("--host", options->host, "The host through which it is made");
    creating->add_option("--format", options->format, "qcow2 or raw")->check(CLI::IsMember({"qcow2", "raw"}));
    on(creating, session, [options](Session& s) { return create(s, *options); });
    named(volume, "delete", "Delete a volume that nothing uses", session, remove, "Id (`ballast volume list`)");

    CLI::App& pool = group(app, "pool", "Storage pools of the hosts");
    on(pool.add_subcommand("list", "All pools"), session,
       [](Session& s) { return s.print_list(pool_view(), [](Api& api) { return api.list("/api/v1/pools"); }); });
}

}  // namespace ballast::cli
