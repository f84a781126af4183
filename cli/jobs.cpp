#include "cli/jobs.h"

#include <csignal>
#include <unistd.h>
#include <utility>

#include "core/try.h"

namespace ballast::cli {
namespace {

/// What Ctrl-C says while a job is waited for: made beforehand, a signal handler may only write.
std::string interrupted_text;  // NOLINT: read by the signal handler

void on_interrupt(int /*signal*/) {
    static_cast<void>(!::write(STDERR_FILENO, interrupted_text.data(), interrupted_text.size()));
    ::_exit(130);
}

class InterruptNote {
  public:
    explicit InterruptNote(const std::string& id) {
        interrupted_text =
            fmt::format("\nthe job goes on. next: `ballast job watch {0}` or `ballast job cancel {0}`\n", id);
        before_ = std::signal(SIGINT, on_interrupt);
    }
    ~InterruptNote() { std::signal(SIGINT, before_); }
    InterruptNote(const InterruptNote&) = delete;
    InterruptNote& operator=(const InterruptNote&) = delete;

  private:
    void (*before_)(int) = nullptr;
};

/// What makes a line worth printing where nothing can be redrawn: not a time that counts down.
std::string milestone_of(const Json& progress) {
    const int tenth = progress.value("percent", 0) / 10;
    const Json data = progress.value("data", Json::object());
    if (data.is_object() && data.contains("phase"))
        return fmt::format("{}|{}|{}|{}", tenth, dump(data["phase"]), dump(data.value("round", Json())),
                           dump(data.value("queue", Json::object()).value("position", Json())));
    if (data.is_object() && data.contains("moved"))
        return fmt::format("{}|{}|{}", dump(data["moved"]), dump(data.value("failed", Json())),
                           dump(data.value("waiting", Json())));
    return fmt::format("{}|{}", tenth, progress.value("text", std::string()));
}

/// A bar that is redrawn on a terminal; elsewhere a line whenever there is something new to say.
class ProgressLine {
  public:
    explicit ProgressLine(Session& session) : session_(session), terminal_(session.world().err_is_terminal) {}
    ~ProgressLine() { clear(); }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void show(const Json& progress) {
        const int percent = progress.value("percent", 0);
        const std::string text = progress_text(progress);
        if (terminal_) {
            const std::size_t width = session_.world().width == 0 ? 80 : session_.world().width;
            session_.err() << "\r\x1b[K" << clipped(bar(percent, 24) + "  " + text, width - 1) << std::flush;
            drawn_ = true;
            return;
        }
        const std::string milestone = milestone_of(progress);
        if (std::exchange(milestone_, milestone) == milestone) return;
        session_.err() << fmt::format("{:>3} %  {}", percent, text) << std::endl;
    }

    void clear() {
        if (std::exchange(drawn_, false)) session_.err() << "\r\x1b[K" << std::flush;
    }

  private:
    Session& session_;
    bool terminal_;
    bool drawn_ = false;
    std::string milestone_;
};

Json parsed(const std::string& text) {
    return Json::parse(text, nullptr, false);
}

/// Looks at the job when the stream opens (so that an end in between is not missed) and whenever an event names it.
class Waiter {
  public:
    Waiter(Session& session, Api& api, std::string id)
        : session_(session), api_(api), id_(std::move(id)), line_(session) {}

    Outcome<Json> wait() {
        BALLAST_TRY(const auto deadline, session_.deadline());
        const InterruptNote note(id_);
        Follower follower;
        follower.deadline = deadline;
        follower.on_open = [this] { return look(); };
        follower.on_event = [this](const ServerEvent& event) { return note_event(event); };
        const auto followed = api_.follow("?subject_kind=job&subject=" + encoded(id_), "", follower);
        line_.clear();
        if (!looked_) return std::unexpected(looked_.error());
        if (is_finished(*looked_)) return looked_;
        if (!followed && deadline && std::chrono::steady_clock::now() >= *deadline)
            return failing(Exit::unavailable,
                           fmt::format("job {} is not finished after {}; it goes on", id_, session_.globals.timeout),
                           fmt::format("`ballast job watch {}`", id_));
        if (followed) return failing(Exit::failed, fmt::format("the waiting for job {} ended early", id_));
        Failure failure = followed.error();
        failure.next = fmt::format("the job goes on: `ballast job watch {}`", id_);
        return std::unexpected(std::move(failure));
    }

  private:
    /// False when there is nothing more to wait for.
    bool look() {
        auto answer = api_.get("/api/v1/jobs/" + encoded(id_));
        if (!answer)
            looked_ = std::unexpected(answer.error());
        else
            looked_ = std::move(answer->body);
        return looked_ && !is_finished(*looked_);
    }

    bool note_event(const ServerEvent& event) {
        if (event.kind == "gap") return look();  // events were lost: read again
        const Json data = parsed(event.data);
        if (!data.is_object()) return true;
        if (event.kind == "progress") {
            if (data.value("job", std::string()) == id_) line_.show(data);
            return true;
        }
        const bool ours =
            data.value("subject_kind", std::string()) == "job" && data.value("subject_id", std::string()) == id_;
        return !ours || look();
    }

    Session& session_;
    Api& api_;
    std::string id_;
    ProgressLine line_;
    Outcome<Json> looked_ = Json::object();
};

std::int64_t number_in(const Json& object, const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_number() ? at->get<std::int64_t>() : 0;
}

}  // namespace

bool is_finished(const Json& job) {
    const std::string state = job.value("state", std::string());
    return state == "succeeded" || state == "failed" || state == "cancelled";
}

std::string progress_text(const Json& progress) {
    const std::string text = printable(progress.value("text", std::string()));
    const Json data = progress.value("data", Json::object());
    if (!data.is_object() || !data.contains("phase") || data.contains("queue")) return text;
    std::string out = data["phase"].is_string() ? data["phase"].get<std::string>() : "";
    std::ranges::replace(out, '_', '-');
    if (const auto round = number_in(data, "round"); round > 0) out += fmt::format(", round {}", round);
    if (data.contains("sent_bytes")) out += fmt::format(", {} sent", Bytes(number_in(data, "sent_bytes")));
    if (data.contains("remaining_bytes")) out += fmt::format(", {} left", Bytes(number_in(data, "remaining_bytes")));
    if (const auto rate = number_in(data, "throughput_bytes_per_second"); rate > 0) out += ", " + rate_text(rate);
    if (data.contains("converges") && data["converges"] == false) out += ", does not converge yet";
    if (data.contains("left_ms") && data["left_ms"].is_number())
        out += fmt::format(", about {} to go",
                           to_string(std::chrono::ceil<Seconds>(Milliseconds(number_in(data, "left_ms")))));
    return out;
}

Failure failure_of(const Json& job) {
    const std::string what = fmt::format("job {} ({} {})", job.value("id", std::string()),
                                         job.value("kind", std::string()), job.value("subject", std::string()));
    if (job.value("state", std::string()) == "cancelled") return {Exit::failed, what + " was cancelled"};
    Failure failure(Exit::failed, what + " failed",
                    fmt::format("`ballast job show {}` has its steps", job.value("id", std::string())));
    const Json error = job.value("error", Json());
    if (!error.is_object()) return failure;
    failure.message = fmt::format("{}: {}", failure.message, error.value("message", std::string()));
    if (error.value("code", std::string()) == name_of(Code::resource_exhausted)) failure.exit = Exit::no_capacity;
    for (const auto& cause : error.value("causes", Json::array()))
        if (cause.is_string()) failure.causes.push_back(cause.get<std::string>());
    return failure;
}

Outcome<Json> wait_for_job(Session& session, const std::string& id) {
    BALLAST_TRY(Api* const api, session.api());
    BALLAST_TRY(auto job, Waiter(session, *api, id).wait());
    if (job.value("state", std::string()) != "succeeded") return std::unexpected(failure_of(job));
    return job;
}

Outcome<> finish_job(Session& session, const Answer& answer, const std::string& done) {
    if (answer.job.empty()) return session.print_done(answer.body, done);
    if (session.globals.no_wait) {
        if (session.globals.format == Format::table) {
            session.out() << fmt::format("job {0} was accepted. next: `ballast job watch {0}`\n", answer.job);
            return {};
        }
        return session.print_done(Json{{"id", answer.job}}, "");
    }
    BALLAST_TRY(const auto job, wait_for_job(session, answer.job));
    return session.print_done(job, done);
}

std::string migration_summary(const Json& migration, Api& api) {
    std::string out = fmt::format("{} moved from {} to {}", api.vm_name(migration.value("vm", std::string())),
                                  api.host_name(migration.value("from", std::string())),
                                  api.host_name(migration.value("to", std::string())));
    if (migration.contains("total_ms") && migration["total_ms"].is_number())
        out += " in " + to_string(Milliseconds(number_in(migration, "total_ms")));
    if (migration.contains("downtime_ms") && migration["downtime_ms"].is_number())
        out += ", downtime " + to_string(Milliseconds(number_in(migration, "downtime_ms")));
    if (migration.contains("sent_bytes") && migration["sent_bytes"].is_number())
        out += fmt::format(", {} sent", Bytes(number_in(migration, "sent_bytes")));
    if (const auto rounds = migration.value("rounds", Json::array()); !rounds.empty())
        out += fmt::format(", {} round{}", rounds.size(), rounds.size() == 1 ? "" : "s");
    return out;
}

}  // namespace ballast::cli
