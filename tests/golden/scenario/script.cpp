#include "tests/golden/scenario/script.h"

#include <algorithm>
#include <sstream>

#include <nlohmann/json.hpp>

#include "core/json_impl.h"
#include "migration/machine.h"

namespace ballast::testing {
namespace {

Line parse(const std::string& text) {
    Line line;
    line.text = text;
    std::istringstream in(text);
    for (std::string word; in >> word;) {
        const auto equals = word.find('=');
        if (equals != std::string::npos && !line.words.empty())
            line.values[word.substr(0, equals)] = word.substr(equals + 1);
        else
            line.words.push_back(word);
    }
    const std::string head = line.words.size() > 1 ? line.words[0] + " " + line.words[1] : std::string();
    if (!head.empty() && text.size() > head.size()) line.rest = text.substr(head.size() + 1);
    return line;
}

std::int64_t bytes_in(const std::string& text) {
    const auto parsed = parse_bytes(text);
    if (!parsed) throw std::runtime_error(parsed.error().message());
    return parsed->count();
}

bool flag(const Line& line, const std::string& key) {
    const std::string value = line.value_or(key, "no");
    return value == "yes" || value == "true";
}

/// Keys "label.app=web" as {"app": "web"}.
Json group(const Line& line, const std::string& prefix) {
    Json all = Json::object();
    for (const auto& [key, value] : line.values)
        if (key.starts_with(prefix + ".")) all[key.substr(prefix.size() + 1)] = value;
    return all;
}

Json policy_in(const Line& line) {
    Json policy = Json::object();
    const auto has = [&](const char* key) { return line.values.contains(key); };
    if (has("downtime")) policy["max_downtime_ms"] = time_in(line.values.at("downtime")).count();
    if (has("total")) policy["max_total_ms"] = time_in(line.values.at("total")).count();
    if (has("post_copy")) policy["post_copy"] = flag(line, "post_copy");
    if (has("bandwidth")) policy["bandwidth_bytes_per_second"] = bytes_in(line.values.at("bandwidth"));
    if (has("pull_bandwidth"))
        policy["post_copy_bandwidth_bytes_per_second"] = bytes_in(line.values.at("pull_bandwidth"));
    if (has("throttle")) policy["max_throttle"] = std::stoi(line.values.at("throttle"));
    return policy;
}

Json creation_in(const Line& line) {
    Json spec{{"memory", line.value_or("memory", "1G")}, {"vcpus", std::stoi(line.value_or("vcpus", "1"))}};
    if (line.values.contains("disk")) spec["disks"] = Json::array({{{"size", line.values.at("disk")}}});
    if (line.values.contains("moves")) spec["moves"] = line.values.at("moves");
    if (line.values.contains("anti_affinity")) spec["anti_affinity"] = line.values.at("anti_affinity");
    if (flag(line, "autostart")) spec["autostart"] = true;
    spec["labels"] = group(line, "label");
    spec["host_labels"] = group(line, "host_label");
    Json body{{"name", line.word(1)}, {"spec", spec}, {"start", line.value_or("start", "yes") == "yes"}};
    if (line.values.contains("host")) body["host"] = line.values.at("host");
    return body;
}

Json migration_in(const Line& line) {
    Json body{{"policy", policy_in(line)}};
    if (line.values.contains("to")) body["to"] = line.values.at("to");
    body["mode"] = line.value_or("mode", "auto");
    if (flag(line, "copy_disks")) body["knobs"] = {{"copy_disks", "full"}};
    if (flag(line, "auto_converge")) body["knobs"] = {{"auto_converge", true}};
    return body;
}

Json nothing(const Line&) {
    return Json::object();
}

}  // namespace

Milliseconds time_in(const std::string& text) {
    std::size_t end = 0;
    const long long number = std::stoll(text, &end);
    const std::string unit = text.substr(end);
    if (unit == "ms") return Milliseconds(number);
    if (unit == "s") return std::chrono::seconds(number);
    if (unit == "min") return std::chrono::minutes(number);
    if (unit == "h") return std::chrono::hours(number);
    throw std::runtime_error("'" + text + "' is no length of time (ms, s, min, h)");
}

const std::string& Line::word(std::size_t number) const {
    if (number >= words.size()) throw std::runtime_error("'" + text + "' is too short");
    return words[number];
}

std::string Line::value_or(const std::string& key, const std::string& otherwise) const {
    const auto at = values.find(key);
    return at == values.end() ? otherwise : at->second;
}

Script::Script(Stage& stage) : stage_(stage) {
    for (const auto& laid : stage_.layout().vms) known_[laid.name] = laid.id;
    add_vm_acts();
    add_host_acts();
    add_faults();
    add_questions();
    add_memory();
    add_time();
}

void Script::act(const std::string& text) {
    if (text.empty() || text.starts_with('#')) return stage_.log_bare(text);
    Line line = parse(text);
    in_background_ = line.words.front() == "begin";
    if (in_background_) line = parse(text.substr(std::string("begin ").size()));
    const auto act = acts_.find(line.words.front());
    if (act == acts_.end()) throw std::runtime_error("'" + text + "': nobody knows how to do this");
    stage_.log_bare("> " + text);
    act->second(line);
    stage_.advance(Milliseconds(0));
    for (const auto& row : stage_.snapshot()->vms.rows()) known_.insert_or_assign(row->name, row->id);
    check_safety();
}

void Script::check_safety() const {
    if (const auto damage = stage_.world().damage(); !damage.empty()) throw std::runtime_error(damage.front());
    if (by_hand_ > 0) return;
    for (const auto& [name, id] : known_)
        if (stage_.world().running_copies(id).size() > 1)
            throw std::runtime_error("two copies of " + name + " run: SAFETY.md 4 is broken");
}

// What is asked of the API.

void Script::request(const Line&, api::Verb verb, const std::string& path, const Json& body) {
    const auto response = stage_.ask(verb, path, dump(body));
    const Json answer = response.body ? Json::parse(*response.body, nullptr, false) : Json();
    if (response.status >= 400) {
        stage_.log(fmt::format("refused: {}", answer.value("detail", "without a word")));
        for (const auto& cause : answer.value("causes", Json::array()))
            stage_.log(fmt::format("  because {}", cause.get<std::string>()));
        return;
    }
    const bool job = response.status == 202 && answer.is_object() && answer.contains("kind");
    if (job && !in_background_) wait_for_job(JobId(answer.at("id").get<std::string>()));
}

void Script::wait_for_job(const JobId& id) {
    const auto ended = [&] {
        const auto job = stage_.snapshot()->jobs.find_ptr(id);
        return job != nullptr && is_finished(job->state);
    };
    if (!stage_.until(ended)) throw std::runtime_error("the job has not ended in two hours");
    const auto job = stage_.snapshot()->jobs.find_ptr(id);
    if (!job->error) return;
    for (const auto& cause : job->error->causes) stage_.log(fmt::format("  because {}", cause));
}

Vm Script::vm(const std::string& name) const {
    const auto row = find_vm(*stage_.snapshot(), name);
    if (!row) throw std::runtime_error(row.error().message());
    return **row;
}

std::string Script::id_of(const std::string& name) const {
    const auto row = find_vm(*stage_.snapshot(), name);
    return row ? (*row)->id.str() : name;
}

std::optional<JobId> Script::open_job(const std::string& name) const {
    const VmId id = known_.contains(name) ? known_.at(name) : VmId();
    const auto now = stage_.snapshot();
    const Host* host = find_host(*now, name).value_or(nullptr).get();
    const Job* job = now->jobs.find_if([&](const Job& one) {
        const bool about = (!id.empty() && one.vm == id) || (host != nullptr && one.host == host->id);
        return about && !is_finished(one.state);
    });
    if (job == nullptr) return std::nullopt;
    return job->id;
}

Script::Act Script::on_vm(std::string verb, std::function<Json(const Line&)> body) {
    return [this, verb = std::move(verb), body = std::move(body)](const Line& line) {
        request(line, api::Verb::post, "/api/v1/vms/" + id_of(line.word(1)) + "/" + verb, body(line));
    };
}

Script::Act Script::on_host(std::string verb, std::function<Json(const Line&)> body) {
    return [this, verb = std::move(verb), body = std::move(body)](const Line& line) {
        request(line, api::Verb::post, "/api/v1/hosts/" + line.word(1) + "/" + verb, body(line));
    };
}

void Script::add_vm_acts() {
    acts_["create"] = [this](const Line& line) { request(line, api::Verb::post, "/api/v1/vms", creation_in(line)); };
    acts_["start"] = on_vm("start", [](const Line& line) {
        Json body = Json::object();
        if (line.values.contains("host")) body["host"] = line.values.at("host");
        return body;
    });
    acts_["shutdown"] = on_vm("shutdown", [](const Line& line) {
        return Json{{"timeout_s", time_in(line.value_or("timeout", "60s")).count() / 1000},
                    {"force", flag(line, "force")}};
    });
    acts_["reboot"] = on_vm("reboot", nothing);
    acts_["destroy"] = on_vm("destroy", nothing);
    acts_["delete"] = on_vm("delete", [](const Line& line) {
        return Json{{"force", flag(line, "force")}, {"keep_disks", flag(line, "keep_disks")}};
    });
    acts_["migrate"] = on_vm("migrate", migration_in);
    acts_["set"] = [this](const Line& line) {
        Json spec = Json::object();
        for (const auto& [key, value] : line.values)
            spec[key] = value == "yes" ? Json(true) : value == "no" ? Json(false) : Json(value);
        request(line, api::Verb::patch, "/api/v1/vms/" + id_of(line.word(1)), {{"spec", spec}});
    };
    acts_["adopt"] = [this](const Line& line) {
        request(line, api::Verb::post, "/api/v1/vms/adopt", {{"names", Json::array({line.word(1)})}});
    };
    for (const std::string verb : {"finish", "switch", "resume", "tune"})
        acts_[verb] = [this, verb](const Line& line) {
            const auto job = open_job(line.word(1));
            const Json body = verb == "tune" ? policy_in(line) : Json::object();
            request(line, api::Verb::post, "/api/v1/migrations/" + (job ? job->str() : "none") + "/" + verb, body);
        };
    acts_["cancel"] = [this](const Line& line) {
        const auto job = open_job(line.word(1));
        request(line, api::Verb::post, "/api/v1/jobs/" + (job ? job->str() : "none") + "/cancel", Json::object());
    };
}

void Script::add_host_acts() {
    const auto reason = [](const Line& line) { return Json{{"reason", line.rest.empty() ? "none" : line.rest}}; };
    acts_["evacuate"] =
        on_host("evacuate", [](const Line& line) { return Json{{"maintenance", flag(line, "maintenance")}}; });
    acts_["maintenance"] = on_host("maintenance", nothing);
    acts_["maintenance-end"] = on_host("maintenance-end", nothing);
    acts_["manage"] = on_host("manage", nothing);
    acts_["observe"] = on_host("observe", nothing);
    acts_["confirm-dead"] = on_host("confirm-dead", [](const Line& line) {
        return Json{{"name", line.value_or("name", line.word(1))}, {"reason", "its power is off"}};
    });
    acts_["resolve"] = on_host("resolve-quarantine", [reason](const Line& line) {
        Json body = reason(line);
        body["reason"] = "looked at by an operator";
        body["force"] = flag(line, "force");
        return body;
    });
    acts_["remove-host"] = [this](const Line& line) {
        request(line, api::Verb::delete_, "/api/v1/hosts/" + line.word(1), Json::object());
    };
    acts_["add-host"] = [this](const Line& line) {
        request(line, api::Verb::post, "/api/v1/hosts",
                {{"name", line.word(1)}, {"uri", line.value_or("uri", "sim://" + line.word(1))}});
    };
}

}  // namespace ballast::testing
