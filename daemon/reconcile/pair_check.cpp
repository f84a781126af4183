#include "daemon/reconcile/pair_check.h"

#include <algorithm>
#include <cstring>

#include <spdlog/spdlog.h>

#include "core/try.h"
#include "drivers/cpu.h"

namespace ballast::reconcile {

namespace asio = boost::asio;

namespace {

constexpr Bytes nonce_size = kibibytes(4);

/// 4 KiB that nobody else could have written.
std::string nonce_content(const std::string& volume, const std::string& secret) {
    std::string content = fmt::format("ballast nonce {} {}\n", volume, secret);
    content.resize(static_cast<std::size_t>(nonce_size.count()), '\0');
    return content;
}

drivers::ByteSource source_of(std::string content) {
    const auto text = std::make_shared<const std::string>(std::move(content));
    const auto at = std::make_shared<std::size_t>(0);
    return [text, at](std::span<char> into) -> Result<std::size_t> {
        const std::size_t count = std::min(into.size(), text->size() - *at);
        std::memcpy(into.data(), text->data() + *at, count);
        *at += count;
        return count;
    };
}

PairCheck pool_check(const std::string& pool, CheckVerdict verdict, std::string detail, std::string way_out = {}) {
    return {"shared_pool:" + pool, verdict, std::move(detail), std::move(way_out)};
}

/// Whether a migration has gone this way: what no probe can show.
bool has_moved(const Snapshot& snapshot, const HostId& from, const HostId& to) {
    const auto this_way = [&](const Migration& row) {
        return row.from == from && row.to == to && row.phase == MigrationPhase::succeeded;
    };
    return snapshot.migrations.find_if(this_way) != nullptr;
}

void note_open_ports(HostPair& pair) {
    const auto port = std::ranges::find(pair.checks, "migration_port", &PairCheck::name);
    if (port == pair.checks.end() || port->verdict != CheckVerdict::unknown) return;
    *port = {"migration_port", CheckVerdict::ok, "a migration has gone this way", {}};
}

std::string summary(const Snapshot& snapshot, const HostPair& pair) {
    const auto refused = std::ranges::count(pair.checks, CheckVerdict::refused, &PairCheck::verdict);
    return fmt::format("{} to {}: {} of {} checks refused, shared pools: {}", host_name(snapshot, pair.from),
                       host_name(snapshot, pair.to), refused, pair.checks.size(),
                       pair.shared_pools.empty() ? "none" : fmt::format("{}", fmt::join(pair.shared_pools, ", ")));
}

}  // namespace

PairChecker::PairChecker(std::shared_ptr<Pauses> pauses, std::shared_ptr<store::Store> store,
                         std::shared_ptr<HostRegistry> hosts, std::shared_ptr<const Clock> clock,
                         std::shared_ptr<IdSource> ids, Milliseconds interval, Milliseconds look)
    : pauses_(std::move(pauses)),
      store_(std::move(store)),
      hosts_(std::move(hosts)),
      clock_(std::move(clock)),
      ids_(std::move(ids)),
      interval_(interval),
      look_(look) {}

drivers::Task<HostPair> PairChecker::check(HostId from_id, HostId to_id) {
    const auto self = shared_from_this();
    if (from_id == to_id) co_return fail(Code::invalid_argument, "a pair needs two hosts; {} was given twice", from_id);
    BALLAST_CO_TRY(const auto source, hosts_->reachable(from_id));
    BALLAST_CO_TRY(const auto target, hosts_->reachable(to_id));
    const auto snapshot = store_->snapshot();
    const Host from = *snapshot->hosts.find(from_id);
    const Host to = *snapshot->hosts.find(to_id);
    HostPair pair;
    pair.id = pair_id(from_id, to_id);
    pair.from = from_id;
    pair.to = to_id;
    BALLAST_CO_TRY(pair.checks,
                   co_await source->migration().probe_peer(peer_uri_of(to), to.settings.migration_address));
    for (auto& one : compare_hosts(from, to)) {
        const bool probed = std::ranges::find(pair.checks, one.name, &PairCheck::name) != pair.checks.end();
        if (!probed) pair.checks.push_back(std::move(one));
    }
    auto features = co_await compare_cpus(source, target, to);
    pair.checks.push_back(std::move(features.check));
    pair.missing_features = std::move(features.missing);
    if (has_moved(*snapshot, from_id, to_id)) note_open_ports(pair);
    for (const auto& pool : common_pools(*snapshot, from_id, to_id)) {
        auto found = co_await check_pool(from, to, pool);
        if (!found) found = pool_check(pool, CheckVerdict::unknown, found.error().chain());
        if (found->verdict == CheckVerdict::ok) pair.shared_pools.push_back(pool);
        pair.checks.push_back(*std::move(found));
    }
    pair.checked = clock_->now();
    co_return co_await this->store(std::move(pair));
}

drivers::Task<HostPair> PairChecker::store(HostPair pair) {
    BALLAST_CO_CHECK(co_await store_->write({}, [pair](store::Transaction& transaction) -> Result<void> {
        const Snapshot& now = transaction.snapshot();
        if (now.hosts.find(pair.from) == nullptr || now.hosts.find(pair.to) == nullptr)
            return fail(Code::not_found, "a host of the pair {} was removed", pair.id);
        const std::string message = summary(now, pair);
        transaction.put(pair, {"pair.checked", message});
        return {};
    }));
    const auto snapshot = store_->snapshot();
    const HostPair* stored = snapshot->pairs.find(pair.id);
    co_return stored != nullptr ? *stored : pair;
}

/// Both hosts are asked now: their facts name models only.
asio::awaitable<ComparedFeatures> PairChecker::compare_cpus(std::shared_ptr<drivers::HostDriver> source,
                                                            std::shared_ptr<drivers::HostDriver> target, Host to) {
    drivers::CpuRole* const here = drivers::find_cpu_role(*source);
    drivers::CpuRole* const there = drivers::find_cpu_role(*target);
    if (here == nullptr || there == nullptr) co_return compare_features(to, {}, {});
    const auto unknown = [](const Error& error) {
        return ComparedFeatures{{"cpu_features", CheckVerdict::unknown, error.chain(), ""}, {}};
    };
    const auto on_source = co_await here->guest_features();
    if (!on_source) co_return unknown(on_source.error());
    const auto on_target = co_await there->guest_features();
    if (!on_target) co_return unknown(on_target.error());
    co_return compare_features(to, *on_source, *on_target);
}

drivers::Task<PairCheck> PairChecker::check_pool(Host from, Host to, std::string pool) {
    const auto snapshot = store_->snapshot();
    if (auto why = obstacle(*snapshot, from, to, pool); !why.empty())
        co_return pool_check(pool, CheckVerdict::unknown, std::move(why));
    BALLAST_CO_TRY(const auto source, hosts_->reachable(from.id));
    BALLAST_CO_TRY(const auto target, hosts_->reachable(to.id));
    co_await remove_leftovers(source, pool);
    const std::string volume = nonce_name(clock_->now(), ids_->uuid());
    auto found = co_await prove(source, target, pool, volume);
    const auto deleted = co_await source->storage().delete_volume(pool, volume);
    if (!deleted)
        spdlog::warn("nonce {} in pool {} of {} was left behind: {}", volume, pool, from.name, deleted.error().chain());
    const auto forgotten = co_await target->storage().refresh(pool);  // or its list keeps a file that is gone
    if (!forgotten) spdlog::debug("pool {} of {} was not refreshed: {}", pool, to.name, forgotten.error().chain());
    co_return found;
}

/// Written through one host, read through the other: the same bytes, or it is not the same storage.
drivers::Task<PairCheck> PairChecker::prove(std::shared_ptr<drivers::HostDriver> from,
                                            std::shared_ptr<drivers::HostDriver> to, std::string pool,
                                            std::string volume) {
    const std::string content = nonce_content(volume, ids_->uuid());
    BALLAST_CO_CHECK(co_await write_nonce(from, pool, volume, content));
    BALLAST_CO_CHECK(co_await to->storage().refresh(pool));
    const auto read = co_await to->storage().read_head(pool, volume, nonce_size);
    if (read && *read == content)
        co_return pool_check(pool, CheckVerdict::ok, "a nonce written through the source was read through the target");
    if (!read && read.error().code() != Code::not_found) co_return std::unexpected(read.error());
    co_return pool_check(pool, CheckVerdict::warning,
                         read ? "the target reads other bytes: not the same storage"
                              : "the target does not see what the source wrote: not the same storage",
                         "disks in this pool can't move without being copied");
}

drivers::Task<> PairChecker::write_nonce(std::shared_ptr<drivers::HostDriver> host, std::string pool,
                                         std::string volume, std::string content) {
    drivers::NewVolume made;
    made.pool = pool;
    made.name = volume;
    made.format = "raw";
    made.capacity = nonce_size;
    BALLAST_CO_CHECK(co_await host->storage().create_volume(made));
    co_return co_await host->storage().upload(pool, volume, nonce_size, source_of(std::move(content)));
}

asio::awaitable<void> PairChecker::remove_leftovers(std::shared_ptr<drivers::HostDriver> host, std::string pool) {
    const auto volumes = co_await host->storage().list_volumes(pool);
    if (!volumes) co_return;
    for (const auto& volume : *volumes) {
        if (!is_leftover(volume.name, clock_->now())) continue;
        const auto deleted = co_await host->storage().delete_volume(pool, volume.name);
        if (!deleted) spdlog::warn("old nonce {} stays in pool {}: {}", volume.name, pool, deleted.error().chain());
    }
}

/// Looked at again only when some host has changed: this is asked after each check.
void PairChecker::follow_ready(const std::shared_ptr<const Snapshot>& snapshot) {
    bool changed = false;
    snapshot->hosts.for_each_change(seen_->hosts, [&](const auto&, const auto&) { changed = true; });
    seen_ = snapshot;
    if (!changed) return;
    const auto is_ready = [](const Host& host) { return host.managed && host.state == HostState::up; };
    std::erase_if(ready_since_, [&](const auto& known) {
        const Host* host = snapshot->hosts.find(known.first);
        return host == nullptr || !is_ready(*host);
    });
    ready_ = snapshot->hosts.select(is_ready);
    for (const auto& host : ready_) ready_since_.emplace(host->id, clock_->now());
}

/// When the pair was checked last, or that was tried; the beginning of time: not since both are ready.
Timestamp PairChecker::looked_at(const Snapshot& snapshot, const HostId& from, const HostId& to) const {
    const Timestamp ready_at = std::max(ready_since_.at(from), ready_since_.at(to));
    const auto since_ready = [&](Timestamp time) { return time >= ready_at ? time : Timestamp{}; };
    const PairId id = pair_id(from, to);
    const HostPair* row = snapshot.pairs.find(id);
    const Timestamp checked = row != nullptr ? since_ready(row->checked) : Timestamp{};
    const auto tried = tried_.find(id);
    return tried != tried_.end() ? std::max(checked, since_ready(tried->second)) : checked;
}

/// The pair of ready and idle hosts that was looked at longest ago, if that is long enough.
std::optional<std::pair<HostId, HostId>> PairChecker::most_urgent() {
    const auto snapshot = store_->snapshot();
    follow_ready(snapshot);
    const std::size_t all = ready_.size() * ready_.size();
    const std::size_t begin = all > pairs_looked_at ? looked_up_to_ : 0;
    std::optional<std::pair<HostId, HostId>> found;
    Timestamp oldest = clock_->now() - interval_;
    for (std::size_t i = 0; i < std::min(all, pairs_looked_at); ++i) {
        const std::size_t at = (begin + i) % all;
        looked_up_to_ = at + 1;
        const HostId& from = ready_[at / ready_.size()]->id;
        const HostId& to = ready_[at % ready_.size()]->id;
        if (from == to || busy_.contains(from) || busy_.contains(to)) continue;
        const Timestamp looked = looked_at(*snapshot, from, to);
        if (looked > oldest) continue;
        oldest = looked;
        found.emplace(from, to);
        if (looked == Timestamp{}) break;
    }
    return found;
}

asio::awaitable<void> PairChecker::keep_fresh() {
    const auto self = shared_from_this();
    const Milliseconds tick = std::clamp(interval_ / 20, std::min(Milliseconds{20}, look_), look_);
    while (!pauses_->ended()) {
        co_await Pauses::wait(pauses_, tick);
        if (pauses_->ended()) co_return;
        begin_checks();
    }
}

void PairChecker::begin_checks() {
    while (!pauses_->ended() && busy_.size() < 2 * checks_at_once) {
        const auto next = most_urgent();
        if (!next) return;
        tried_[pair_id(next->first, next->second)] = clock_->now();
        busy_.insert(next->first);
        busy_.insert(next->second);
        pauses_->spawn(check_one(next->first, next->second), "check of a pair");
    }
}

asio::awaitable<void> PairChecker::check_one(HostId from, HostId to) {
    const auto self = shared_from_this();
    const auto checked = co_await check(from, to);
    if (!checked) spdlog::warn("pair {} > {} could not be checked: {}", from, to, checked.error().chain());
    busy_.erase(from);
    busy_.erase(to);
    begin_checks();
}

}  // namespace ballast::reconcile
