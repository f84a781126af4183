#include "daemon/api/metrics.h"

#include "core/json_impl.h"
#include "daemon/api/metrics_text.h"

namespace ballast::api {
namespace {

constexpr int refusals_per_window = 20;
constexpr Seconds refusal_window{10};

template <class E>
std::string word(E value) {
    return to_json(value).template get<std::string>();
}

/// Every state appears, also those that nothing is in: a rule on `unreachable` needs its 0.
template <class E>
std::map<std::string, std::uint64_t> every_state() {
    std::map<std::string, std::uint64_t> counts;
    for (const auto& name : json_detail::enumerator_names<E>()) counts[fmt::format("state=\"{}\"", name)] = 0;
    return counts;
}

template <class Row>
std::map<std::string, std::uint64_t> by_state(const Table<Row>& table) {
    auto counts = every_state<decltype(Row::state)>();
    table.for_each([&](const Row& row) { ++counts[fmt::format("state=\"{}\"", word(row.state))]; });
    return counts;
}

std::map<std::string, std::uint64_t> jobs_by_kind_and_state(const Snapshot& snapshot) {
    std::map<std::string, std::uint64_t> counts;
    snapshot.jobs.for_each(
        [&](const Job& job) { ++counts[fmt::format("kind=\"{}\",state=\"{}\"", escaped(job.kind), word(job.state))]; });
    return counts;
}

std::map<std::string, std::uint64_t> plans_by_goal_and_state(const Snapshot& snapshot) {
    std::map<std::string, std::uint64_t> counts;
    snapshot.plans.for_each([&](const Plan& plan) {
        ++counts[fmt::format("goal=\"{}\",state=\"{}\"", escaped(plan.goal), word(plan.state))];
    });
    return counts;
}

/// What the newest plan that levels has found and foresees; nothing while there is none.
void add_contention(MetricsText& text, const Snapshot& snapshot) {
    std::shared_ptr<const Plan> newest;
    snapshot.plans.for_each([&](const Plan& plan) {
        if (plan.goal == "level" && (!newest || newest->made < plan.made)) newest = snapshot.plans.find_ptr(plan.id);
    });
    if (!newest) return;
    const Json found = Json::parse(newest->plan.text, nullptr, false);
    constexpr std::string_view name = "ballast_contention_seconds_per_hour";
    text.family(name, "gauge", "Expected seconds of contention per hour by the newest plan that levels.");
    for (const char* when : {"before", "after"}) {
        const auto state = found.find(when);
        if (state == found.end() || !state->contains("contention_s")) continue;
        text.sample(name, fmt::format("when=\"{}\"", when), state->at("contention_s").get<double>());
    }
}

}  // namespace

void Metrics::count_request(const std::string& operation, std::string_view method, int status, double seconds) {
    Series& series = requests_[{operation, std::string(method)}];
    ++series.by_status[status];
    ++series.count;
    series.sum += seconds;
    for (std::size_t i = 0; i < buckets.size(); ++i)
        if (seconds <= buckets.at(i)) ++series.within.at(i);
}

std::optional<std::uint64_t> Metrics::admit_refusal(Timestamp now) {
    if (now - refusal_window_ >= refusal_window) {
        refusal_window_ = now;
        refusals_ = 0;
    }
    if (++refusals_ > refusals_per_window) {
        ++dropped_refusals_;
        return std::nullopt;
    }
    return std::exchange(dropped_refusals_, 0);
}

std::string Metrics::render_http() const {
    MetricsText text;
    text.family("ballast_http_requests_total", "counter", "HTTP requests by operation and status.");
    for (const auto& [key, series] : requests_)
        for (const auto& [status, count] : series.by_status)
            text.sample(
                "ballast_http_requests_total",
                fmt::format("operation=\"{}\",method=\"{}\",status=\"{}\"", escaped(key.first), key.second, status),
                count);
    text.family("ballast_http_request_duration_seconds", "histogram", "Time from the whole request to its answer.");
    for (const auto& [key, series] : requests_) {
        const std::string labels = fmt::format("operation=\"{}\",method=\"{}\"", escaped(key.first), key.second);
        for (std::size_t i = 0; i < buckets.size(); ++i)
            text.sample("ballast_http_request_duration_seconds_bucket",
                        fmt::format("{},le=\"{}\"", labels, buckets.at(i)), series.within.at(i));
        text.sample("ballast_http_request_duration_seconds_bucket", labels + ",le=\"+Inf\"", series.count);
        text.sample("ballast_http_request_duration_seconds_sum", labels, series.sum);
        text.sample("ballast_http_request_duration_seconds_count", labels, series.count);
    }
    text.gauge("ballast_http_connections", "Open connections.", static_cast<std::uint64_t>(connections_));
    text.gauge("ballast_event_streams", "Open event streams.", static_cast<std::uint64_t>(streams_));
    text.counter("ballast_http_refused_connections_total", "Connections refused by a limit.", refused_connections_);
    text.counter("ballast_event_streams_cut_total", "Event streams ended because their consumer was too slow.",
                 cut_streams_);
    return text.take();
}

std::string Metrics::render(const Snapshot& snapshot, const store::Health& health, std::string_view version,
                            Timestamp now, std::optional<std::uint64_t> queued_migrations) {
    MetricsText text;
    text.family("ballast_build_info", "gauge", "The version that runs.");
    text.sample("ballast_build_info", fmt::format("version=\"{}\"", escaped(version)), std::uint64_t{1});
    text.gauge("ballast_time_seconds", "Time of this answer.",
               static_cast<std::uint64_t>(now.time_since_epoch().count() / 1000));
    text.counts("ballast_hosts", "Hosts by state.", by_state(snapshot.hosts));
    text.counts("ballast_vms", "Virtual machines by state.", by_state(snapshot.vms));
    text.counts("ballast_jobs", "Jobs that the store keeps, by kind and state.", jobs_by_kind_and_state(snapshot));
    text.counts("ballast_plans", "Plans that the store keeps, by goal and state.", plans_by_goal_and_state(snapshot));
    add_contention(text, snapshot);
    text.gauge("ballast_store_seq", "Number of the last durable event.", health.seq);
    text.gauge("ballast_store_queued_writes", "Writes that wait for the writer.", health.queued);
    text.gauge("ballast_store_writable", "1 while the store takes writes.", health.writable ? 1 : 0);
    if (queued_migrations)
        text.gauge("ballast_migration_queue_length", "Migrations that wait for their lanes.", *queued_migrations);
    migrations_.count(snapshot);
    return text.take() + migrations_.render() + render_http();
}

}  // namespace ballast::api
