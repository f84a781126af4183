#include <filesystem>

#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

constexpr const char* images = "/api/v1/images";

std::string path_of(const std::string& name) {
    return fmt::format("{}/{}", images, encoded(name));
}

struct ImportOptions {
    std::string name;
    std::string disk;
    std::string kernel;
    std::string initrd;
    std::string cmdline;
    std::string pool;
    std::string host;
};

/// Sends one file to the upload folder of ballastd; gives its name there.
Outcome<std::string> upload(Session& session, Api& api, const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error))
        return failing(Exit::usage, fmt::format("there is no file '{}'", path));
    const bool draws = session.world().err_is_terminal;
    const std::string file = std::filesystem::path(path).filename().string();
    const auto on_sent = [&](std::int64_t sent, std::int64_t total) {
        if (!draws || total == 0) return;
        session.err() << fmt::format("\r\x1b[K{}  uploading {}", bar(static_cast<int>(sent * 100 / total), 24), file)
                      << std::flush;
    };
    auto answer = api.upload("/api/v1/uploads?name=" + encoded(file), path, on_sent);
    if (draws) session.err() << "\r\x1b[K" << std::flush;
    if (!answer) return std::unexpected(answer.error());
    return text_at(answer->body, "name");
}

Outcome<> import(Session& session, const ImportOptions& options) {
    if (options.disk.empty() && options.kernel.empty())
        return failing(Exit::usage, "an image needs a disk or a kernel", "`ballast image import NAME --disk FILE`");
    BALLAST_TRY(Api* const api, session.api());
    Json body{{"name", options.name}};
    const std::pair<const char*, const std::string&> files[]{
        {"disk_file", options.disk}, {"kernel_file", options.kernel}, {"initrd_file", options.initrd}};
    for (const auto& [key, path] : files) {
        if (path.empty()) continue;
        BALLAST_TRY(body[key], upload(session, *api, path));
    }
    if (!options.cmdline.empty()) body["cmdline"] = options.cmdline;
    if (!options.pool.empty()) body["pool"] = options.pool;
    if (!options.host.empty()) body["host"] = options.host;
    BALLAST_TRY(const auto answer, api->write("POST", images, body));
    return finish_job(session, answer,
                      fmt::format("image {0} is ready. next: `ballast vm create NAME --image {0}`", options.name));
}

Outcome<> remove(Session& session, const std::string& name) {
    BALLAST_CHECK(session.confirm(fmt::format("Delete image {}, for good?", name)));
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer, api->write("DELETE", path_of(name), Json()));
    return finish_job(session, answer, fmt::format("image {} is gone", name));
}

}  // namespace

void add_image_commands(CLI::App& app, Session& session) {
    CLI::App& image = group(app, "image", "Images that VMs are made from");
    const auto options = std::make_shared<ImportOptions>();
    CLI::App* importing = image.add_subcommand("import", "Upload an image from files of this machine");
    importing->add_option("name", options->name, "What to call it")->required()->type_name("");
    importing->add_option("--disk", options->disk, "Disk file, qcow2 or raw")->type_name("FILE");
    importing->add_option("--kernel", options->kernel, "Kernel for direct boot")->type_name("FILE");
    importing->add_option("--initrd", options->initrd, "Initrd for direct boot")->type_name("FILE");
    importing->add_option("--cmdline", options->cmdline, "Default kernel command line");
    importing->add_option("--pool", options->pool, "Pool that keeps it; default: that of the cluster");
    importing->add_option("--host", options->host, "The host through which it is written");
    on(importing, session, [options](Session& s) { return import(s, *options); });
    on(image.add_subcommand("list", "All images"), session,
       [](Session& s) { return s.print_list(image_view(), [](Api& api) { return api.list(images); }); });
    named(image, "show", "Everything about one image", session, [](Session& s, const std::string& name) {
        return s.print_one(image_view(), [&name](Api& api) { return read_row(api, path_of(name)); });
    });
    named(image, "delete", "Delete an image that no volume is a child of", session, remove);
}

}  // namespace ballast::cli
