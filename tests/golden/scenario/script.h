#pragma once
// script.txt of a scenario: one act a line, done on a Stage in their order, each with what it led to in the log. What
// can be said is the table in script.cpp; README.md of this folder describes it.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/golden/scenario/stage.h"

namespace ballast::testing {

/// "create web1 memory=2G start=no" -> words {"create", "web1"}, values {memory, start}.
struct Line {
    std::vector<std::string> words;
    std::map<std::string, std::string> values;
    std::string text;
    std::string rest;  ///< everything after the first two words
    [[nodiscard]] const std::string& word(std::size_t number) const;
    [[nodiscard]] std::string value_or(const std::string& key, const std::string& otherwise) const;
};

/// "30s", "250ms", "5min", "24h".
[[nodiscard]] Milliseconds time_in(const std::string& text);

class Script {
  public:
    explicit Script(Stage& stage);
    /// Does the line. Throws std::runtime_error naming it when it can't be understood, or when what it waits for never
    /// comes.
    void act(const std::string& line);
    /// Nothing that SAFETY.md forbids has happened. Throws otherwise.
    void check_safety() const;

  private:
    using Act = std::function<void(const Line&)>;

    void add_vm_acts();
    void add_host_acts();
    void add_faults();
    void add_questions();
    void add_memory();
    void add_time();
    [[nodiscard]] Act on_vm(std::string verb, std::function<Json(const Line&)> body);
    [[nodiscard]] Act on_host(std::string verb, std::function<Json(const Line&)> body);
    void request(const Line& line, api::Verb verb, const std::string& path, const Json& body);
    void virsh(const Line& line);
    void wait_for_job(const JobId& id);
    void show_vm(const std::string& name);
    void show_host(const std::string& name);
    void show_memory(const std::string& name);
    /// How short the host's memory is by its last sweep; empty: nobody looked.
    [[nodiscard]] std::string memory_level(const HostId& host) const;
    [[nodiscard]] std::string left_alone(const HostId& host, const VmId& vm) const;
    [[nodiscard]] Vm vm(const std::string& name) const;
    [[nodiscard]] std::string id_of(const std::string& name) const;
    [[nodiscard]] std::optional<JobId> open_job(const std::string& name) const;
    void wait_until(const Line& line);

    Stage& stage_;
    std::map<std::string, Act> acts_;
    std::map<std::string, VmId> known_;  ///< by name: also of VMs that are gone
    bool in_background_ = false;
    int by_hand_ = 0;  ///< copies that an outsider started: two of one VM are its doing then
};

}  // namespace ballast::testing
