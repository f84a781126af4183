// The one place where core's rows meet the JSON templates.
#include "core/json_impl.h"
#include "core/snapshot.h"

namespace ballast {

BALLAST_INSTANTIATE_JSON(Host)
BALLAST_INSTANTIATE_JSON(HostSettings)
BALLAST_INSTANTIATE_JSON(HostFacts)
BALLAST_INSTANTIATE_JSON(Vm)
BALLAST_INSTANTIATE_JSON(VmSpec)
BALLAST_INSTANTIATE_JSON(VmPlacement)
BALLAST_INSTANTIATE_JSON(DiskSpec)
BALLAST_INSTANTIATE_JSON(BootSpec)
BALLAST_INSTANTIATE_JSON(Pool)
BALLAST_INSTANTIATE_JSON(Volume)
BALLAST_INSTANTIATE_JSON(Image)
BALLAST_INSTANTIATE_JSON(HostPair)
BALLAST_INSTANTIATE_JSON(Job)
BALLAST_INSTANTIATE_JSON(Claim)
BALLAST_INSTANTIATE_JSON(Migration)
BALLAST_INSTANTIATE_JSON(MigrationPolicy)
BALLAST_INSTANTIATE_JSON(MigrationKnobs)
BALLAST_INSTANTIATE_JSON(ModeChoice)
BALLAST_INSTANTIATE_JSON(Plan)
BALLAST_INSTANTIATE_JSON(PlanStage)
BALLAST_INSTANTIATE_JSON(Event)
BALLAST_INSTANTIATE_JSON(Token)
BALLAST_INSTANTIATE_JSON(JobState)
BALLAST_INSTANTIATE_JSON(VmState)
BALLAST_INSTANTIATE_JSON(HostState)
BALLAST_INSTANTIATE_JSON(DomainState)
BALLAST_INSTANTIATE_JSON(MigrationPhase)
BALLAST_INSTANTIATE_JSON(MigrationMode)
BALLAST_INSTANTIATE_JSON(Right)
BALLAST_INSTANTIATE_JSON(VolumeState)

namespace {

template <class Row>
Json table_to_json(const Table<Row>& table) {
    auto rows = table.rows();
    std::ranges::sort(rows, {}, [](const auto& row) { return row->id; });
    Json list = Json::array();
    for (const auto& row : rows) list.push_back(to_json(*row));
    return list;
}

template <class Row>
Result<void> read_table(const Json& json, const char* name, Table<Row>& table) {
    const auto at = json.find(name);
    if (at == json.end()) return {};
    BALLAST_TRY(auto rows, from_json<std::vector<Row>>(*at, name));
    for (auto& row : rows) table.put(std::move(row));
    return {};
}

constexpr int snapshot_format = 1;

Result<void> check_format(const Json& json) {
    const Json found = json.is_object() ? json.value("format", Json()) : Json();
    if (found == Json(snapshot_format)) return {};
    if (!found.is_number())
        return fail(Code::invalid_argument, "this is not a snapshot: it has no number as its 'format'");
    return fail(Code::invalid_argument,
                "this is a snapshot of format {}, this Ballast reads format {}; write one with this version of Ballast",
                dump(found), snapshot_format);
}

}  // namespace

Json to_json(const Snapshot& snapshot) {
    return Json{{"format", snapshot_format},
                {"seq", snapshot.seq},
                {"cluster", snapshot.cluster},
                {"hosts", table_to_json(snapshot.hosts)},
                {"vms", table_to_json(snapshot.vms)},
                {"pools", table_to_json(snapshot.pools)},
                {"volumes", table_to_json(snapshot.volumes)},
                {"images", table_to_json(snapshot.images)},
                {"pairs", table_to_json(snapshot.pairs)},
                {"jobs", table_to_json(snapshot.jobs)},
                {"claims", table_to_json(snapshot.claims)},
                {"migrations", table_to_json(snapshot.migrations)},
                {"plans", table_to_json(snapshot.plans)}};
}

Result<Snapshot> snapshot_from_json(const Json& json) {
    BALLAST_CHECK(check_format(json));
    Snapshot snapshot;
    BALLAST_TRY(snapshot.seq, from_json<std::uint64_t>(json.value("seq", Json(0)), "seq"));
    BALLAST_TRY(snapshot.cluster, from_json<std::string>(json.value("cluster", Json("")), "cluster"));
    BALLAST_CHECK(read_table(json, "hosts", snapshot.hosts));
    BALLAST_CHECK(read_table(json, "vms", snapshot.vms));
    BALLAST_CHECK(read_table(json, "pools", snapshot.pools));
    BALLAST_CHECK(read_table(json, "volumes", snapshot.volumes));
    BALLAST_CHECK(read_table(json, "images", snapshot.images));
    BALLAST_CHECK(read_table(json, "pairs", snapshot.pairs));
    BALLAST_CHECK(read_table(json, "jobs", snapshot.jobs));
    BALLAST_CHECK(read_table(json, "claims", snapshot.claims));
    BALLAST_CHECK(read_table(json, "migrations", snapshot.migrations));
    BALLAST_CHECK(read_table(json, "plans", snapshot.plans));
    return snapshot;
}

}  // namespace ballast
