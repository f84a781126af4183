#include "cli/commands/commands.h"

namespace ballast::cli {
namespace {

constexpr const char* migrations = "/api/v1/migrations";

struct ListOptions {
    std::string vm;
    std::size_t limit = 50;
};

}  // namespace

void add_migration_commands(CLI::App& app, Session& session) {
    CLI::App& migration = group(app, "migration", "Migrations, running and past");
    const auto options = std::make_shared<ListOptions>();
    CLI::App* list = migration.add_subcommand("list", "The latest migrations");
    list->add_option("--vm", options->vm, "Only those of this VM");
    list->add_option("--limit", options->limit, "At most so many; 0: all");
    on(list, session, [options](Session& s) {
        const std::string query = Query().add("sort", "-id").add("vm", options->vm).str();
        return s.print_list(migration_view(),
                            [query, options](Api& api) { return api.list(migrations + query, options->limit); });
    });
    const auto rounds = std::make_shared<bool>(false);
    CLI::App* show = named(
        migration, "show", "One migration: what it moved, and how long it took", session,
        [rounds](Session& s, const std::string& id) {
            const auto read = [id](Api& api) { return read_row(api, fmt::format("{}/{}", migrations, encoded(id))); };
            if (!*rounds) return s.print_one(migration_view(), read);
            return s.print_list(round_view(), [read](Api& api) -> Outcome<Json> {
                BALLAST_TRY(const auto row, read(api));
                return row.value("rounds", Json::array());
            });
        },
        "Id (that of its job)");
    show->add_flag("--rounds", *rounds, "The table of its rounds");
}

}  // namespace ballast::cli
