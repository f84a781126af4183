#include "cli/session.h"

#include <chrono>
#include <thread>

#include "core/try.h"

namespace ballast::cli {
namespace {

constexpr std::string_view clear_screen = "\x1b[H\x1b[2J";
/// Several events that come together make one refresh.
constexpr std::chrono::milliseconds together{200};

}  // namespace

Outcome<Api*> Session::api() {
    if (api_) return api_.get();
    BALLAST_TRY(auto access, resolve_access(world_, globals));
    if (access.trust.insecure)
        err() << painted("warning: --insecure: whoever answers at " + access.endpoint.url +
                             " is believed, and gets your token. Pin the key instead: "
                             "`ballast login URL --fingerprint sha256:…`.",
                         Colour::red, world_.err_is_terminal && world_.variable("NO_COLOR").empty())
              << "\n";
    auto transport = world_.connect(access.endpoint, access.trust);
    api_ = std::make_unique<Api>(std::move(transport), std::move(access), world_);
    return api_.get();
}

Outcome<std::optional<Moment>> Session::deadline() {
    if (globals.timeout.empty() || deadline_) return deadline_;
    BALLAST_TRY(const auto limit, parse_timeout(globals.timeout));
    deadline_ = std::chrono::steady_clock::now() + limit;
    return deadline_;
}

Outcome<> Session::print_list(const View& view, const std::function<Outcome<Json>(Api&)>& read) {
    BALLAST_TRY(Api* const api, this->api());
    return repeat(view.kind, [&]() -> Outcome<> {
        BALLAST_TRY(const auto items, read(*api));
        if (globals.format == Format::table) {
            write_table(view, items, *api);
        } else if (globals.format == Format::name) {
            for (const auto& item : items) out() << view.name(item) << "\n";
        } else {
            write_structured(items);
        }
        out().flush();
        return {};
    });
}

Outcome<> Session::print_one(const View& view, const std::function<Outcome<Json>(Api&)>& read) {
    BALLAST_TRY(Api* const api, this->api());
    return repeat(view.kind, [&]() -> Outcome<> {
        BALLAST_TRY(const auto row, read(*api));
        if (globals.format == Format::table)
            write_details(view, row, *api);
        else if (globals.format == Format::name)
            out() << view.name(row) << "\n";
        else
            write_structured(row);
        out().flush();
        return {};
    });
}

Outcome<> Session::print_done(const Json& row, const std::string& sentence) {
    if (globals.format == Format::table)
        out() << sentence << "\n";
    else if (globals.format == Format::name)
        out() << row.value("name", row.value("id", std::string())) << "\n";
    else
        write_structured(row);
    return {};
}

Outcome<> Session::confirm(const std::string& question) {
    if (globals.yes) return {};
    if (!world_.in_is_terminal)
        return failing(Exit::usage, fmt::format("{} Nobody can be asked here", question), "repeat it with --yes");
    err() << question << " [y/N] " << std::flush;
    const std::string answer = world_.read_line();
    if (answer == "y" || answer == "Y" || answer == "yes") return {};
    return failing(Exit::failed, "not confirmed: nothing was changed");
}

/// The stream says when to look again: an event of the kind ends the following, and the next look begins after it.
Outcome<> Session::repeat(const std::string& kind, const std::function<Outcome<>()>& print) {
    if (!globals.watch) return print();
    BALLAST_TRY(Api* const api, this->api());
    BALLAST_TRY(const auto end, deadline());
    std::string after;
    Outcome<> printed{};
    const auto look = [&] {
        if (world_.out_is_terminal) out() << clear_screen;
        printed = print();
        return printed.has_value();
    };
    bool first = true;
    while (printed) {
        if (!first && !look()) break;
        Follower follower;
        follower.deadline = end;
        if (first) follower.on_open = look;
        follower.on_event = [&](const ServerEvent& event) {
            if (!event.id.empty()) after = event.id;
            if (event.kind == "gap") return false;  // events were lost: look again
            const Json data = Json::parse(event.data, nullptr, false);
            return !(data.is_object() && data.value("subject_kind", std::string()) == kind);
        };
        first = false;
        auto followed = api->follow("", after, follower);
        if (!printed) break;
        if (!followed && end && std::chrono::steady_clock::now() >= *end) return {};
        if (!followed) return followed;
        std::this_thread::sleep_for(together);
    }
    return printed;
}

void Session::write_table(const View& view, const Json& items, Api& api) const {
    Table table;
    for (const auto& column : view.columns) table.headings.push_back(column.heading);
    for (const auto& item : items) {
        std::vector<Cell> row;
        for (const auto& column : view.columns) {
            Cell cell = column.cell(item, api);
            cell.text = cell.text.empty() ? "-" : printable(cell.text);
            row.push_back(std::move(cell));
        }
        table.rows.push_back(std::move(row));
    }
    out() << render_table(table, world_.out_is_terminal ? world_.width : 0, world_.colours());
}

void Session::write_structured(const Json& json) const {
    if (globals.format == Format::yaml)
        out() << to_yaml(json);
    else
        out() << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

void Session::write_details(const View& view, const Json& row, Api& api) const {
    const auto name = [&api](const std::string& key, const std::string& id) {
        if (key == "host" || key == "from" || key == "to") return api.host_name(id);
        if (key == "vm") return api.vm_name(id);
        return id;
    };
    out() << details(row, view.hidden, name, world_.colours());
}

}  // namespace ballast::cli
