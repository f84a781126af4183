// How many more VMs of a spec fit, and what breaks first.
#include "cli/commands/commands.h"
#include "cli/commands/vm_flags.h"

namespace ballast::cli {
namespace {

struct CapacityOptions {
    VmFlags vm;
    std::int64_t limit = 10'000;
};

const View& capacity_view() {
    static const View view{
        .kind = "",
        .columns = {{Table::Heading{.text = "HOST"},
                     [](const Json& row, Api&) { return Cell{text_at(row, "name"), Colour::none}; }},
                    {Table::Heading{.text = "MORE", .right = true},
                     [](const Json& row, Api&) { return Cell{std::to_string(number_at(row, "more")), Colour::none}; }},
                    {Table::Heading{.text = "LIMITED BY"},
                     [](const Json& row, Api&) { return Cell{text_at(row, "limited_by"), Colour::none}; }},
                    {Table::Heading{.text = "WHY", .right = false, .flexible = true},
                     [](const Json& row, Api&) { return Cell{text_at(row, "detail"), Colour::none}; }}}};
    return view;
}

Outcome<> capacity(Session& session, const CapacityOptions& options) {
    BALLAST_TRY(auto spec, spec_json(options.vm));
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(const auto answer,
                api->write("POST", "/api/v1/capacity",
                           Json{{"spec", std::move(spec)}, {"host", options.vm.host}, {"limit", options.limit}}));
    if (session.globals.format != Format::table) return session.print_done(answer.body, "");
    const Json hosts = answer.body.value("hosts", Json::array());
    BALLAST_CHECK(session.print_list(capacity_view(), [&hosts](Api&) -> Outcome<Json> { return hosts; }));
    session.out() << printable(text_at(answer.body, "summary")) << "\n";
    return {};
}

}  // namespace

void add_capacity_command(CLI::App& app, Session& session) {
    const auto options = std::make_shared<CapacityOptions>();
    CLI::App* command =
        app.add_subcommand("capacity", "Say how many more VMs with these flags fit, and what breaks first");
    add_vm_flags(*command, options->vm);
    command->add_option("--limit", options->limit, "Try no more than this many")
        ->check(CLI::PositiveNumber.description(""))
        ->type_name("N");
    on(command, session, [options](Session& s) { return capacity(s, *options); });
}

}  // namespace ballast::cli
