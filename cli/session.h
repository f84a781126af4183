#pragma once
// One run of `ballast`: what was asked for (globals and the chosen command), the way to the API, and how answers are
// printed. Commands get a Session and nothing else. One thread.

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/globals.h"
#include "cli/text.h"

namespace ballast::cli {

/// One column of a list, and how a row fills it.
struct Column {
    Table::Heading heading;
    std::function<Cell(const Json& row, Api& api)> cell;
};

/// How rows of one kind are listed, named and shown.
struct View {
    std::string kind;  ///< of events that make a watched list stale: "vm", "host", …
    std::vector<Column> columns;
    std::function<std::string(const Json&)> name = [](const Json& row) { return row.value("name", std::string()); };
    /// Members that the detail page leaves out, as "member" or "member.member".
    std::vector<std::string> hidden = {};
};

class Session {
  public:
    explicit Session(World world) : world_(std::move(world)) {}

    Globals globals;
    std::function<Outcome<>()> act;  ///< the chosen command

    /// Connects at the first use; warns about --insecure there.
    Outcome<Api*> api();
    [[nodiscard]] const World& world() const { return world_; }
    [[nodiscard]] std::ostream& out() const { return *world_.out; }
    [[nodiscard]] std::ostream& err() const { return *world_.err; }
    /// When the waiting ends; nothing without --timeout. Counted from the first call.
    Outcome<std::optional<Moment>> deadline();

    /// Prints a list, or again and again with --watch.
    Outcome<> print_list(const View& view, const std::function<Outcome<Json>(Api&)>& read);
    Outcome<> print_one(const View& view, const std::function<Outcome<Json>(Api&)>& read);
    /// A finished write: the sentence for people, the row for scripts.
    Outcome<> print_done(const Json& row, const std::string& sentence);

    /// Asks for a yes on the terminal; --yes answers. Errors: usage, when nobody can be asked.
    Outcome<> confirm(const std::string& question);

  private:
    Outcome<> repeat(const std::string& kind, const std::function<Outcome<>()>& print);
    void write_table(const View& view, const Json& items, Api& api) const;
    void write_structured(const Json& json) const;
    void write_details(const View& view, const Json& row, Api& api) const;

    World world_;
    std::unique_ptr<Api> api_;
    std::optional<Moment> deadline_;
};

/// "key: value" lines of a row for people: units by the ending of the name, ids replaced by names, empty members left
/// out.
[[nodiscard]] std::string details(const Json& row, const std::vector<std::string>& hidden,
                                  const std::function<std::string(const std::string& key, const std::string& id)>& name,
                                  bool colours);

}  // namespace ballast::cli
