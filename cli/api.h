#pragma once
// The API as commands use it: JSON in and out, problem details as Failures, a fresh Idempotency-Key with every write so
// that a request whose answer was lost is sent again without harm, pages followed to their end, names for ids.
// Blocking; one thread.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/failure.h"
#include "cli/globals.h"
#include "cli/profile.h"
#include "core/json.h"

namespace ballast::cli {

/// Percent-encoded for one path segment or one query value.
[[nodiscard]] std::string encoded(std::string_view text);

struct Answer {
    int status = 0;
    Json body;
    std::string etag;
    std::string job;  ///< from Location: /api/v1/jobs/{id}
};

class Api {
  public:
    Api(std::unique_ptr<Transport> transport, Access access, const World& world)
        : transport_(std::move(transport)), access_(std::move(access)), world_(world) {}

    Outcome<Answer> get(const std::string& path);
    /// `verb` is POST, PUT, PATCH or DELETE; `if_match` empty: whatever the revision.
    Outcome<Answer> write(const std::string& verb, const std::string& path, const Json& body,
                          const std::string& if_match = {});
    Outcome<Answer> upload(const std::string& path, const std::string& file,
                           std::function<void(std::int64_t, std::int64_t)> on_sent);
    /// All pages of a list, from after the cursor `after` on; `limit` 0: no limit.
    Outcome<Json> list(const std::string& path, std::size_t limit = 0, std::string after = {});

    /// Follows the event stream, through lost connections, until on_event returns false. `after`: the last event that
    /// is already known, or empty. on_open is called whenever the stream is (again) open: what was missed is asked for
    /// there.
    Outcome<> follow(const std::string& query, std::string after, const Follower& follower);

    Outcome<std::string> console(const std::string& path);

    /// The name of a host or VM by its id (read once), or the id itself.
    std::string host_name(const std::string& id);
    std::string vm_name(const std::string& id);

    [[nodiscard]] const std::string& url() const { return access_.endpoint.url; }

  private:
    Headers headers(bool with_key);
    Outcome<Answer> exchange(HttpRequest request);
    Failure explain(const Error& error) const;
    Failure explain(const HttpResponse& answer) const;
    std::string name_in(std::optional<std::map<std::string, std::string>>& names, const std::string& path,
                        const std::string& id);

    std::unique_ptr<Transport> transport_;
    Access access_;
    const World& world_;
    std::optional<std::map<std::string, std::string>> hosts_;
    std::optional<std::map<std::string, std::string>> vms_;
};

}  // namespace ballast::cli
