#include "daemon/config/keys.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <fmt/ranges.h>

#include "core/json.h"
#include "core/try.h"

namespace ballast::config {
namespace {

using std::chrono::hours;
constexpr Milliseconds one_second{1'000};
constexpr Milliseconds one_minute{60'000};
constexpr Milliseconds one_hour{3'600'000};
constexpr Milliseconds one_day{86'400'000};
constexpr Milliseconds longest_downtime{2'000'000};  // QEMU's own limit
constexpr std::int64_t billion = 1'000'000'000;

template <class E>
std::vector<std::string> words_of() {
    std::vector<std::string> words;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>(
        [&](auto descriptor) { words.emplace_back(descriptor.name); });
    return words;
}

/// Adds the keys of one section to the table, one call each; the type of the member decides how it is written.
template <class S>
class Section {
  public:
    Section(std::vector<Key>& table, std::string name, S Config::* part)
        : table_(table), name_(std::move(name)), part_(part) {}

    Section& text(std::string name, std::string S::* member, std::string doc) {
        return add(
            std::move(name), std::move(doc), "a text", member, [](const Raw& raw) { return read_text(raw); },
            [](const std::string& value) { return toml_text(value); });
    }

    Section& texts(std::string name, std::vector<std::string> S::* member, std::string doc) {
        return add(
            std::move(name), std::move(doc), "a list of texts", member, [](const Raw& raw) { return read_texts(raw); },
            [](const std::vector<std::string>& list) {
                std::vector<std::string> items;
                items.reserve(list.size());
                for (const auto& item : list) items.push_back(toml_text(item));
                return fmt::format("[{}]", fmt::join(items, ", "));
            });
    }

    template <class Number>
    Section& number(std::string name, Number S::* member, Bounds<std::int64_t> bounds, std::string doc) {
        return add(
            std::move(name), std::move(doc), fmt::format("a whole number from {} to {}", bounds.least, bounds.most),
            member, [bounds](const Raw& raw) { return read_number(raw, bounds); },
            [](Number value) { return fmt::format("{}", value); });
    }

    Section& size(std::string name, Bytes S::* member, Bounds<Bytes> bounds, std::string doc) {
        return add(
            std::move(name), std::move(doc),
            fmt::format("a size from {} to {}", size_text(bounds.least), size_text(bounds.most)), member,
            [bounds](const Raw& raw) { return read_size(raw, bounds); },
            [](Bytes value) { return toml_text(size_text(value)); });
    }

    Section& rate(std::string name, BytesPerSecond S::* member, Bounds<Bytes> bounds, std::string doc) {
        return add(
            std::move(name), std::move(doc),
            fmt::format("a size per second from {} to {}", size_text(bounds.least), size_text(bounds.most)), member,
            [bounds](const Raw& raw) { return read_rate(raw, bounds); },
            [](BytesPerSecond value) { return toml_text(size_text(Bytes(value.count()))); });
    }

    template <class Duration>
    Section& duration(std::string name, Duration S::* member, Bounds<Milliseconds> bounds, std::string doc) {
        return add(
            std::move(name), std::move(doc),
            fmt::format("a duration from {} to {}", duration_text(bounds.least), duration_text(bounds.most)), member,
            [bounds](const Raw& raw) -> Result<Duration> {
                BALLAST_TRY(const auto parsed, read_duration(raw, bounds));
                const auto whole = std::chrono::duration_cast<Duration>(parsed);
                if (Milliseconds(whole) == parsed) return whole;
                return fail(Code::invalid_argument, "{} is not a whole number of hours", describe(raw));
            },
            [](Duration value) { return toml_text(duration_text(value)); });
    }

    template <class E>
    Section& word(std::string name, E S::* member, std::string doc) {
        return add(
            std::move(name), std::move(doc), fmt::format("one of {}", fmt::join(words_of<E>(), ", ")), member,
            [](const Raw& raw) -> Result<E> {
                BALLAST_TRY(const auto word, read_word(raw, words_of<E>()));
                E value{};
                boost::describe::enum_from_string(word.c_str(), value);
                return value;
            },
            [](E value) { return toml_text(boost::describe::enum_to_string(value, "")); });
    }

  private:
    template <class Member, class Read, class Show>
    Section& add(std::string name, std::string doc, std::string takes, Member S::* member, Read read, Show show) {
        auto assign = [part = part_, member, read](Config& config, const Raw& raw) -> Result<void> {
            BALLAST_TRY(auto value, read(raw));
            config.*part.*member = static_cast<Member>(std::move(value));
            return {};
        };
        auto print = [part = part_, member, show](const Config& config) { return show(config.*part.*member); };
        table_.push_back({name_, std::move(name), std::move(doc), std::move(takes), std::move(assign), print});
        return *this;
    }

    std::vector<Key>& table_;
    std::string name_;
    S Config::* part_;
};

void add_server(std::vector<Key>& table) {
    using S = ServerConfig;
    Section<S>(table, "server", &Config::server)
        .text("listen", &S::listen,
              "Address to listen on: 127.0.0.1 serves this machine only, 0.0.0.0 or :: every network it is on.")
        .number("port", &S::port, {0, 65'535}, "TCP port of the API. 0 takes any free one and logs it.")
        .text("certificate", &S::certificate,
              "PEM file with the certificate chain. Empty: one is made at the first start, beside the database.")
        .text("key", &S::key, "PEM file with the private key of `certificate`.")
        .texts("names", &S::names,
               "Further DNS names and addresses that the certificate made at the first start is good for.");
}

void add_store(std::vector<Key>& table) {
    using S = StoreConfig;
    Section<S>(table, "store", &Config::store)
        .text("path", &S::path,
              "The database file. Its folder is made when it is missing; only its owner may look into it.")
        .text("uploads", &S::uploads,
              "Folder where uploaded files wait to be imported. Empty: the folder 'uploads' beside the database.")
        .number("readers", &S::readers, {1, 16}, "Read-only connections to the database.")
        .duration("event_retention", &S::event_retention, {one_hour, 3'650 * one_day}, "How long events are kept.")
        .number("max_events", &S::max_events, {10'000, billion},
                "How many events are kept at most; the oldest go first.")
        .duration("job_retention", &S::job_retention, {one_hour, 3'650 * one_day}, "How long finished jobs are kept.")
        .duration("answer_retention", &S::answer_retention, {one_hour, 30 * one_day},
                  "How long the answer to an Idempotency-Key is remembered.")
        .duration("prune_interval", &S::prune_interval, {one_second, one_day},
                  "How often what is past its retention is dropped.");
}

void add_cluster(std::vector<Key>& table) {
    using S = ClusterConfig;
    Section<S>(table, "cluster", &Config::cluster)
        .text("name", &S::name, "Name of the cluster, for people. Its identity is made by the database.")
        .text("default_pool", &S::default_pool,
              "Storage pool for volumes and images that name none; it must exist on the hosts under this name.");
}

void add_hosts(std::vector<Key>& table) {
    using S = HostsConfig;
    Section<S>(table, "hosts", &Config::hosts)
        .duration(
            "sweep_interval", &S::sweep_interval, {one_second, one_hour},
            "How often the statistics of all domains of a host are read; what has no libvirt event is seen by it.")
        .duration("xml_sweep_interval", &S::xml_sweep_interval, {10 * one_second, one_day},
                  "How often every definition is read again.")
        .duration("pair_check_interval", &S::pair_check_interval, {one_minute, 30 * one_day},
                  "How old the preflight of a pair of hosts may grow before it is repeated.")
        .duration("connect_timeout", &S::connect_timeout, {one_second, 10 * one_minute},
                  "How long opening a connection to a host may take.")
        .duration(
            "call_timeout", &S::call_timeout, {one_second, 10 * one_minute},
            "How long a call to a host is waited for. A changing call past it is verified, never repeated blindly.");
}

void add_jobs(std::vector<Key>& table) {
    using S = JobsConfig;
    Section<S>(table, "jobs", &Config::jobs)
        .number("concurrency", &S::concurrency, {1, 1024},
                "Jobs that run at once; the others wait in order. A host takes four calls at a time, however many "
                "there are.")
        .number("migrations_out_per_host", &S::migrations_out_per_host, {1, 8},
                "Migrations that leave one host at once.")
        .number("migrations_in_per_host", &S::migrations_in_per_host, {1, 8}, "Migrations that enter one host at once.")
        .duration(
            "stop_timeout", &S::stop_timeout, {one_second, 10 * one_minute},
            "How long a stop waits for calls that are under way. Jobs are journalled: they go on after the start.");
}

void add_migration(std::vector<Key>& table) {
    using S = MigrationConfig;
    const Milliseconds none{0};
    Section<S>(table, "migration", &Config::migration)
        .duration("max_downtime", &S::max_downtime, {Milliseconds(1), longest_downtime},
                  "Longest pause of a guest; QEMU's own limit is set from it.")
        .duration("max_total", &S::max_total, {none, 30 * one_day},
                  "Longest migration, from its start: one that is forecast to take longer is refused. 0s: any.")
        .word("post_copy", &S::post_copy,
              "Whether migrations may switch to post-copy; on_request: only where it is asked for by name. While "
              "memory is pulled, a failure of either host, or of the link for good, loses the VM's running state.")
        .rate("bandwidth", &S::bandwidth, {Bytes(0), gibibytes(1024)},
              "Cap of each migration before a switch. 0: none.")
        .rate("post_copy_bandwidth", &S::post_copy_bandwidth, {Bytes(0), gibibytes(1024)},
              "Cap of each migration after a switch to post-copy. 0: none.")
        .number("max_throttle", &S::max_throttle, {0, 99},
                "Per cent of a guest's vCPU time that auto-converge may take. 0: it is never used.")
        .number("priority", &S::priority, {-100, 100}, "Place in the queue; higher goes first.")
        .number("per_link", &S::per_link, {1, 8},
                "Migrations that share one link in one direction. One after the other ends sooner on average.")
        .number("cluster", &S::cluster, {1, 1024}, "Migrations in the whole cluster at once.")
        .duration("curve_age", &S::curve_age, {10 * one_second, one_day},
                  "A dirty-page curve older than this is measured again where it is wanted.");
}

void add_placement(std::vector<Key>& table) {
    using S = PlacementConfig;
    Section<S>(table, "placement", &Config::placement)
        .text(
            "policy", &S::policy,
            "How hosts that may take a VM are compared where the VM names no policy: spread, pack, latency, power, or "
            "one of [[placement.policies]].")
        .word(
            "n_plus_one", &S::n_plus_one,
            "Whether room is kept for the VMs of any one host that fails. off: not thought of. should: hosts where it "
            "stays so are better. must: a host where it would not refuses a new VM.")
        .text("n_plus_one_group", &S::n_plus_one_group,
              "A label of hosts, as in rack: only hosts of one value take each other's VMs. Empty: all of them.");
}

void add_balance(std::vector<Key>& table) {
    using S = BalanceConfig;
    Section<S>(table, "balance", &Config::balance)
        .word("mode", &S::mode,
              "manual: VMs move only when somebody asks. advised: a recommendation is made at every interval and waits "
              "for `ballast plan approve`. automatic: it is carried out, but for VMs that ask before they move.")
        .word("goal", &S::goal, "What the daemon's own plans are for.")
        .duration("interval", &S::interval, {one_minute, 30 * one_day}, "How often it looks.")
        .duration("budget", &S::budget, {Milliseconds(1), 50 * one_second}, "How long one search may take.")
        .number("threads", &S::threads, {1, 64}, "Threads of one search; the plan is the same.")
        .duration("stay", &S::stay, {one_minute, 30 * one_day}, "Over which time the gain of a move is counted.")
        .number("margin", &S::margin, {100, 10'000}, "Per cent of its cost that a move must gain at least.")
        .duration("no_return", &S::no_return, {Milliseconds(0), 30 * one_day},
                  "How long a VM does not go back to a host that it left.")
        .number("max_moves", &S::max_moves, {1, 10'000}, "Moves of one plan at most, evacuations excepted.")
        .number("moves_per_vm_hour", &S::moves_per_vm_hour, {1, 60}, "How often one VM may move within an hour.")
        .number("moves_per_host_hour", &S::moves_per_host_hour, {1, 1'000},
                "How many moves one host may take part in within an hour.")
        .number("warm_spares", &S::warm_spares, {0, 1'000}, "Empty hosts that are not handed over to be powered off.")
        .duration("plan_age", &S::plan_age, {one_minute, 7 * one_day},
                  "A plan that is older is not carried out: it is made anew.")
        .number("replans", &S::replans, {0, 100},
                "How often the rest of a plan is planned again when hosts or VMs have changed meanwhile.")
        .number("outside_moves", &S::outside_moves, {0, 10'000},
                "The daemon's own balancing stands back after so many moves of managed VMs by somebody else within "
                "`no_return`. 0: never.");
}

void add_memory(std::vector<Key>& table) {
    using S = MemoryConfig;
    Section<S>(table, "memory", &Config::memory)
        .word("policy", &S::policy,
              "How far memory is overcommitted on managed hosts that say nothing themselves. none: it is only watched. "
              "Only VMs with a minimum below their maximum, and a policy of their own other than none, give any.")
        .texts("labels", &S::labels,
               "Policies for hosts that carry a label, as in [\"rack=r2:dense\"]; the first that fits counts.")
        .duration("read_interval", &S::read_interval, {Milliseconds(500), one_minute},
                  "How often guests' figures are looked at, for those that lack memory.")
        .duration("sweep_interval", &S::sweep_interval, {one_second, 10 * one_minute},
                  "How often balloons and page merging are decided on. In danger at every look.")
        .duration("exporter_timeout", &S::exporter_timeout, {Milliseconds(100), one_minute},
                  "How long a host's node exporter may take.")
        .duration(
            "first_guess", &S::first_guess, {one_second, 7 * one_day},
            "How much watching the first guess of how far a VM's demand strays counts as; what is believed of how "
            "demands go together counts as six times that. Shorter admits sooner, on less knowledge.")
        .duration("start_wait", &S::start_wait, {Milliseconds(0), one_hour},
                  "How long a start waits for the memory that its guest may fill before its balloon can be moved.")
        .word("on_stop", &S::on_stop,
              "keep: when ballastd stops, guests keep what they have until it runs again. give_back: they get their "
              "memory back first, as far as their host has it.");
}

void add_log(std::vector<Key>& table) {
    using S = LogConfig;
    Section<S>(table, "log", &Config::log)
        .word("level", &S::level, "Least severity that is logged.")
        .word("format", &S::format, "Lines for people, or one JSON object per line.")
        .text("file", &S::file, "File to append to. Empty: standard error, which systemd keeps in the journal.");
}

void add_limits(std::vector<Key>& table) {
    using S = LimitsConfig;
    Section<S>(table, "limits", &Config::limits)
        .number("connections", &S::connections, {1, 65'535}, "Connections to the API at once.")
        .number("event_streams", &S::event_streams, {1, 65'535}, "Event streams and consoles among them.")
        .size("header", &S::header, {kibibytes(1), mebibytes(1)}, "Size of a request's header.")
        .size("body", &S::body, {kibibytes(1), mebibytes(256)}, "Size of a request's JSON body.")
        .size("upload", &S::upload, {mebibytes(1), gibibytes(16'384)}, "Size of an uploaded file.")
        .duration("header_timeout", &S::header_timeout, {one_second, 10 * one_minute},
                  "How long a client may take to send its header.")
        .duration("body_timeout", &S::body_timeout, {one_second, one_hour},
                  "How long a client may stand still while it sends its body.")
        .duration("idle_timeout", &S::idle_timeout, {one_second, one_hour},
                  "How long a connection may wait for its next request.");
}

std::vector<Key> make_keys() {
    std::vector<Key> table;
    add_server(table);
    add_store(table);
    add_cluster(table);
    add_hosts(table);
    add_jobs(table);
    add_migration(table);
    add_placement(table);
    add_balance(table);
    add_memory(table);
    add_log(table);
    add_limits(table);
    return table;
}

}  // namespace

std::string Key::variable() const {
    std::string variable = fmt::format("BALLAST_{}_{}", section, name);
    std::ranges::transform(variable, variable.begin(), [](unsigned char c) { return std::toupper(c); });
    return variable;
}

const std::vector<SectionDoc>& sections() {
    static const std::vector<SectionDoc> list{
        {"server", "Where the API listens, and its certificate."},
        {"store", "The database and how long history is kept."},
        {"cluster", "What the cluster is called and where its volumes go."},
        {"hosts", "How hosts are watched and how long they may take."},
        {"jobs", "How much is done at once."},
        {"migration",
         "What a live migration may cost where neither the request, nor the VM, nor a label says so. Policies for all "
         "VMs with a label follow as [[migration.label]] tables."},
        {"placement",
         "How hosts are compared when a VM is placed. Policies of your own follow as [[placement.policies]] tables."},
        {"balance", "How VMs are moved so that the load is level, hosts become empty, or broken rules hold again."},
        {"memory", "How the memory of hosts is overcommitted, and how often it is looked at."},
        {"log", "What is logged, how and where."},
        {"limits", "What a client may ask for."},
    };
    return list;
}

const std::vector<Key>& keys() {
    static const std::vector<Key> table = make_keys();
    return table;
}

const Key* find_key(std::string_view path) {
    const auto at = std::ranges::find(keys(), path, &Key::path);
    return at == keys().end() ? nullptr : &*at;
}

std::string unknown_key(std::string_view path) {
    std::vector<std::string> known;
    for (const auto& key : keys()) known.push_back(key.path());
    const std::string near = nearest(path, known);
    if (!near.empty()) return fmt::format("unknown key '{}'; did you mean '{}'?", path, near);
    return fmt::format("unknown key '{}'; `ballastd --print-sample-config` lists all", path);
}

}  // namespace ballast::config
