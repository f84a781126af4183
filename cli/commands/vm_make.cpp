// Commands that make VMs: from flags, from documents, or only in thought (explain).
#include <array>

#include "cli/commands/batch.h"
#include "cli/commands/commands.h"
#include "cli/commands/vm_flags.h"
#include "cli/document.h"

namespace ballast::cli {
namespace {

constexpr const char* vms = "/api/v1/vms";

Outcome<> create(Session& session, const VmFlags& options) {
    BALLAST_TRY(auto spec, spec_json(options));
    BALLAST_TRY(Api* const api, session.api());
    Json body{{"name", options.name}, {"spec", std::move(spec)}, {"start", !options.no_start}};
    if (!options.host.empty()) body["host"] = options.host;
    if (!options.reservation.empty()) body["reservation"] = options.reservation;
    if (options.dry_run) {
        BALLAST_TRY(const auto decision, api->write("POST", std::string(vms) + "?dry_run=true", body));
        return print_decision(session, decision.body);
    }
    BALLAST_TRY(const auto answer, api->write("POST", vms, body));
    if (answer.job.empty() || session.globals.no_wait)
        return finish_job(session, answer, options.name + " was created");
    BALLAST_TRY(const auto job, wait_for_job(session, answer.job));
    const std::string host = text_at(job.value("result", Json::object()), "host");
    return session.print_done(job, fmt::format("{} {}{}", options.name, options.no_start ? "is defined" : "runs",
                                               host.empty() ? "" : " on " + host));
}

/// What the document says beyond what may change while the VM keeps its definition; empty: nothing.
std::string unchangeable(const Json& wanted, const Json& is, Json& patch) {
    constexpr std::array<const char*, 9> free{"labels", "host_labels",   "anti_affinity", "placement", "autostart",
                                              "moves",  "memory_policy", "overcommit",    "migration"};
    std::string fixed;
    for (const auto& [key, value] : wanted.items()) {
        if (is.contains(key) && is[key] == value) continue;
        if (std::ranges::find(free, key) != free.end())
            patch[key] = value;
        else
            fixed += (fixed.empty() ? "" : ", ") + key;
    }
    return fixed;
}

/// Both sides in the API's own form: sizes as bytes, and of a disk or NIC only what the document names.
Json normal_form(const Json& spec, const Json& pattern) {
    if (spec.is_object() && pattern.is_object()) {
        Json out = Json::object();
        for (const auto& [key, value] : pattern.items())
            if (spec.contains(key)) out[key] = normal_form(spec[key], value);
        return out;
    }
    if (!spec.is_array() || !pattern.is_array() || spec.size() != pattern.size()) return spec;
    Json out = Json::array();
    for (std::size_t i = 0; i < spec.size(); ++i) out.push_back(normal_form(spec[i], pattern[i]));
    return out;
}

Outcome<> update(Session& session, Api& api, const Document& document, const Answer& row) {
    const Json is = normal_form(row.body.value("spec", Json::object()), document.spec);
    Json patch = Json::object();
    const std::string fixed = unchangeable(document.spec, is, patch);
    if (!fixed.empty())
        return failing(
            Exit::conflict,
            fmt::format("{}: {} exists with another {}, which can't change on an existing VM yet", document.where,
                        document.name, fixed),
            fmt::format("`ballast vm show {}`; delete it first, or give the document another name", document.name));
    if (patch.empty()) return session.print_done(row.body, document.name + " is as the document says");
    BALLAST_TRY(const auto answer,
                api.write("PATCH", fmt::format("{}/{}", vms, encoded(document.name)), Json{{"spec", patch}}, row.etag));
    return finish_job(session, answer, document.name + " was changed");
}

Outcome<> apply_one(Session& session, Api& api, const Document& document) {
    auto row = api.get(fmt::format("{}/{}", vms, encoded(document.name)));
    if (row) return update(session, api, document, *row);
    if (row.error().exit != Exit::not_found) return std::unexpected(row.error());
    Json body{{"name", document.name}, {"spec", document.spec}, {"start", document.start}};
    if (!document.host.empty()) body["host"] = document.host;
    BALLAST_TRY(const auto answer, api.write("POST", vms, body));
    return finish_job(session, answer, document.name + " was created");
}

Outcome<> apply_file(Session& session, const std::string& path) {
    BALLAST_TRY(const auto text, read_text(path));
    BALLAST_TRY(const auto documents, parse_documents(text, path == "-" ? "(standard input)" : path));
    BALLAST_TRY(Api* const api, session.api());
    for (const auto& document : documents) BALLAST_CHECK(apply_one(session, *api, document));
    return {};
}

struct ExplainOptions {
    std::string name;
    VmFlags spec;
    BatchFlags batch;
};

/// Of a VM that exists: where it could go. Without a name: where a VM of these flags would run, or several at once.
Outcome<> explain(Session& session, const ExplainOptions& options) {
    BALLAST_TRY(Api* const api, session.api());
    if (!options.name.empty()) {
        const std::string query = Query().add("to", options.spec.host).str();
        BALLAST_TRY(const auto decision,
                    read_row(*api, fmt::format("{}/{}/placement{}", vms, encoded(options.name), query)));
        return print_decision(session, decision);
    }
    if (options.batch.several()) {
        BALLAST_TRY(auto several, batch_json(options.batch, options.spec, "vm"));
        BALLAST_TRY(const auto answer,
                    api->write("POST", "/api/v1/placements/batch", Json{{"vms", std::move(several)}}));
        return print_batch(session, answer.body);
    }
    BALLAST_TRY(auto spec, spec_json(options.spec));
    BALLAST_TRY(const auto answer,
                api->write("POST", "/api/v1/placements", Json{{"spec", std::move(spec)}, {"host", options.spec.host}}));
    return print_decision(session, answer.body);
}

}  // namespace

void add_vm_make_commands(CLI::App& vm, Session& session) {
    const auto options = std::make_shared<VmFlags>();
    CLI::App* creating = vm.add_subcommand("create", "Create a VM and start it");
    creating->add_option("name", options->name, "Its name")->required()->type_name("");
    add_vm_flags(*creating, *options);
    creating
        ->add_option("--reservation", options->reservation, "Take the room that is held as this; SHOP/WEB1: that place")
        ->type_name("NAME");
    creating->add_flag("--no-start", options->no_start, "Only define it");
    creating->add_flag("--dry-run", options->dry_run, "Only say where it would run, and why not elsewhere");
    on(creating, session, [options](Session& s) { return create(s, *options); });

    const auto file = std::make_shared<std::string>();
    CLI::App* applying = vm.add_subcommand("apply", "Make VMs be as YAML documents say");
    applying->add_option("-f,--file", *file, "The documents; - reads standard input")->required()->type_name("FILE");
    on(applying, session, [file](Session& s) { return apply_file(s, *file); });

    const auto thought = std::make_shared<ExplainOptions>();
    CLI::App* explaining =
        vm.add_subcommand("explain", "Say where a VM (or one with these flags) could run, and why not elsewhere");
    explaining->add_option("name", thought->name, "A VM that exists: where it could go")->type_name("");
    add_batch_flags(*explaining, thought->batch);
    add_vm_flags(*explaining, thought->spec);
    on(explaining, session, [thought](Session& s) { return explain(s, *thought); });
}

}  // namespace ballast::cli
