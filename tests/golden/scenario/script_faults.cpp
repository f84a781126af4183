// What a script does to the world behind Ballast's back, and what it asks of it.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/json_impl.h"
#include "migration/machine.h"
#include "tests/golden/scenario/script.h"

namespace ballast::testing {
namespace {

using drivers::simulated::Call;
using drivers::simulated::Cut;
using drivers::simulated::When;

Call call_named(const std::string& word) {
    static const std::map<std::string, Call> calls{{"start", Call::start},
                                                   {"define", Call::define},
                                                   {"undefine", Call::undefine},
                                                   {"destroy", Call::destroy},
                                                   {"migrate", Call::migrate},
                                                   {"abort", Call::abort},
                                                   {"stamp", Call::stamp},
                                                   {"upload", Call::upload},
                                                   {"progress", Call::progress},
                                                   {"read", Call::read_domain},
                                                   {"create_volume", Call::create_volume},
                                                   {"delete_volume", Call::delete_volume},
                                                   {"sweep", Call::sweep},
                                                   {"resume", Call::resume}};
    const auto found = calls.find(word);
    if (found == calls.end()) throw std::runtime_error("no call is named '" + word + "'");
    return found->second;
}

When when_named(const std::string& word) {
    if (word == "before") return When::before_effect;
    if (word == "after") return When::after_effect;
    if (word == "no_answer") return When::no_answer;
    throw std::runtime_error("a call fails before, after or no_answer, not '" + word + "'");
}

}  // namespace

void Script::add_faults() {
    using drivers::simulated::Faults;
    const auto with_host = [this](void (Faults::*fault)(const std::string&)) {
        return [this, fault](const Line& line) {
            Faults faults = stage_.world().faults();
            (faults.*fault)(line.word(1));
        };
    };
    acts_["crash"] = with_host(&Faults::crash);
    acts_["revive"] = with_host(&Faults::revive);
    acts_["unreachable"] = with_host(&Faults::make_unreachable);
    acts_["reachable"] = with_host(&Faults::make_reachable);
    acts_["hang"] = with_host(&Faults::hang);
    acts_["release"] = with_host(&Faults::release);
    acts_["cut"] = [this](const Line& line) {
        const bool silent = line.words.size() > 3 && line.words[3] == "silently";
        stage_.world().faults().cut(line.word(1), line.word(2), silent ? Cut::silent : Cut::hard);
    };
    acts_["heal"] = [this](const Line& line) { stage_.world().faults().heal(line.word(1), line.word(2)); };
    acts_["kill-qemu"] = [this](const Line& line) {
        stage_.world().faults().kill_qemu(line.word(2), known_.at(line.word(1)));
    };
    acts_["fill-pool"] = [this](const Line& line) { stage_.world().faults().fill_pool(line.word(1), line.word(2)); };
    acts_["drain-pool"] = [this](const Line& line) { stage_.world().faults().drain_pool(line.word(1), line.word(2)); };
    acts_["drop-events"] = [this](const Line& line) { stage_.world().faults().drop_events(line.word(1), true); };
    acts_["deliver-events"] = [this](const Line& line) { stage_.world().faults().drop_events(line.word(1), false); };
    acts_["fail"] = [this](const Line& line) {
        const bool lost = line.value_or("as", "refused") == "lost";
        stage_.world().faults().fail_next(
            line.word(1), call_named(line.word(2)),
            Error(lost ? Code::unavailable : Code::failed_precondition, lost ? "connection reset" : "refused by QEMU"),
            when_named(line.value_or("when", "before")));
    };
    acts_["load"] = [this](const Line& line) {
        drivers::simulated::GuestLoad load;
        load.touched = Bytes(parse_bytes(line.value_or("touched", "256M")).value());
        load.working_set = parse_bytes(line.value_or("working_set", "0")).value();
        load.dirty_rate = BytesPerSecond(parse_bytes(line.value_or("dirty_rate", "0")).value().count());
        load.answers_acpi = line.value_or("acpi", "yes") == "yes";
        stage_.world().set_load(known_.at(line.word(1)), load);
    };
    acts_["link"] = [this](const Line& line) {
        stage_.world().set_link(line.word(1), line.word(2), BytesPerSecond(parse_bytes(line.word(3)).value().count()));
    };
    acts_["virsh"] = [this](const Line& line) { virsh(line); };
    acts_["two-copies-are-the-operators-doing"] = [this](const Line&) { ++by_hand_; };
    acts_["restart-daemon"] = [this](const Line&) { stage_.restart(); };
}

/// An outsider with virsh on a host: `virsh h1 destroy web1`.
void Script::virsh(const Line& line) {
    auto& host = stage_.outsider(line.word(1));
    const std::string& verb = line.word(2);
    const VmId id = known_.at(line.word(3));
    Result<void> done;
    if (verb == "start") {
        ++by_hand_;
        done = stage_.run(host.compute().start(id));
    } else if (verb == "destroy") {
        done = stage_.run(host.compute().destroy(id));
    } else if (verb == "shutdown") {
        done = stage_.run(host.compute().shutdown(id));
    } else if (verb == "undefine") {
        done = stage_.run(host.compute().undefine(id));
    } else if (verb == "suspend") {
        done = stage_.run(host.migration().suspend(id));
    } else if (verb == "resume") {
        done = stage_.run(host.migration().resume(id));
    } else if (verb == "migrate") {
        drivers::MigrationRequest move;
        move.vm = id;
        move.peer_uri = "sim://" + line.word(4);
        move.allow_unsafe = true;
        done = stage_.run(host.migration().migrate(move));
    } else if (verb == "define") {
        drivers::DomainDefinition definition{.id = id, .name = line.word(3), .spec = {}, .stamp = {}};
        definition.spec.memory = gibibytes(1);
        done = stage_.run(host.compute().define(definition));
    } else if (verb == "autostart") {
        stage_.world().faults().set_autostart(line.word(1), id, true);
    } else if (verb == "setmem") {
        done = stage_.run(host.memory().set_balloon(id, parse_bytes(line.word(4)).value()));
    } else if (verb == "managedsave") {
        stage_.world().faults().bind(line.word(1), id, "managed save");
    } else {
        throw std::runtime_error("no outsider knows virsh " + verb);
    }
    if (!done) stage_.log("virsh: " + done.error().message());
}

void Script::add_time() {
    acts_["wait"] = [this](const Line& line) { stage_.advance(time_in(line.word(1))); };
    acts_["until"] = [this](const Line& line) { wait_until(line); };
    acts_["await"] = [this](const Line& line) {
        while (const auto job = open_job(line.word(1))) wait_for_job(*job);
    };
}

/// `until web1 is running`, `until h1 is unreachable`, `until web1 in pull`, `until web1 on h2`, `until h1 in
/// critical`.
void Script::wait_until(const Line& line) {
    const std::string& name = line.word(1);
    const std::string& wanted = line.word(3);
    const auto holds = [&]() -> bool {
        const auto now = stage_.snapshot();
        if (const auto host = find_host(*now, name)) {
            if (line.word(2) == "in") return memory_level((*host)->id) == wanted;
            return dump(to_json((*host)->state)) == "\"" + wanted + "\"";
        }
        const auto row = now->vms.find_ptr(known_.contains(name) ? known_.at(name) : VmId());
        if (line.word(2) == "in")
            return now->migrations.find_if([&](const Migration& move) {
                return row != nullptr && move.vm == row->id && dump(to_json(move.phase)) == "\"" + wanted + "\"";
            }) != nullptr;
        if (row == nullptr) return wanted == "gone";
        if (line.word(2) == "on") return row->host && host_name(*now, *row->host) == wanted;
        return dump(to_json(row->state)) == "\"" + wanted + "\"";
    };
    if (!stage_.until(holds)) throw std::runtime_error("'" + line.text + "': it never comes to that");
}

void Script::add_questions() {
    acts_["show"] = [this](const Line& line) {
        const auto now = stage_.snapshot();
        for (std::size_t i = 1; i < line.words.size(); ++i) {
            if (find_host(*now, line.words[i]))
                show_host(line.words[i]);
            else
                show_vm(line.words[i]);
        }
    };
    acts_["hosts"] = [this](const Line&) {
        for (const auto& laid : stage_.layout().hosts) show_host(laid.name);
    };
    acts_["jobs"] = [this](const Line&) {
        std::map<std::string, int> counts;
        stage_.snapshot()->jobs.for_each(
            [&](const Job& job) { ++counts[fmt::format("{} {}", job.kind, to_json(job.state).get<std::string>())]; });
        for (const auto& [what, count] : counts) stage_.log(fmt::format("{} x {}", count, what));
    };
    acts_["balance-sheet"] = [this](const Line&) {
        std::map<std::string, int> on;
        const auto now = stage_.snapshot();
        now->vms.for_each([&](const Vm& row) {
            if (row.host) ++on[host_name(*now, *row.host)];
        });
        for (const auto& [host, count] : on) stage_.log(fmt::format("{}: {} VMs", host, count));
    };
}

void Script::show_vm(const std::string& name) {
    const auto now = stage_.snapshot();
    const VmId id = known_.contains(name) ? known_.at(name) : VmId();
    const auto row = now->vms.find_ptr(id);
    const auto copies = stage_.world().running_copies(id);
    const std::string truth =
        copies.empty() ? "its guest runs nowhere" : fmt::format("its guest runs on {}", fmt::join(copies, " and "));
    if (row == nullptr) return stage_.log(fmt::format("{} is not in the inventory; {}", name, truth));
    std::vector<std::string> definitions;
    for (const auto& one : row->definitions)
        definitions.push_back(fmt::format("{} {}", host_name(*now, one.host), to_json(one.state).get<std::string>()));
    stage_.log(fmt::format("{} is {} on {}, epoch {}; defined: {}; {}", name, to_json(row->state).get<std::string>(),
                           row->host ? host_name(*now, *row->host) : "no host", row->epoch,
                           definitions.empty() ? "nowhere" : fmt::format("{}", fmt::join(definitions, ", ")), truth));
    for (const auto& alert : row->alerts) stage_.log("  alert: " + alert);
}

void Script::show_host(const std::string& name) {
    const auto now = stage_.snapshot();
    const auto row = find_host(*now, name);
    if (!row) return stage_.log(row.error().message());
    const auto owned = now->vms.select([&](const Vm& one) { return one.host == (*row)->id; });
    stage_.log(fmt::format("{} is {}{}; {} VMs{}", name, to_json((*row)->state).get<std::string>(),
                           (*row)->state_reason.empty() ? "" : " (" + (*row)->state_reason + ")", owned.size(),
                           (*row)->maintenance ? "; in maintenance" : ""));
}

}  // namespace ballast::testing
