// The verbs of the libvirt driver on real hosts.

#include <algorithm>
#include <cstring>

#include <gmock/gmock.h>

#include "core/clock.h"
#include "drivers/cpu.h"
#include "tests/integration/drivers_libvirt/fixture.h"

namespace ballast::testing {
namespace {

using namespace drivers;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

MATCHER_P(FailsWith, code, "") {
    if (arg.has_value()) {
        *result_listener << "succeeded";
        return false;
    }
    *result_listener << name_of(arg.error().code()) << ": " << arg.error().chain();
    return arg.error().code() == code;
}

MATCHER(Succeeds, "") {
    if (!arg.has_value()) *result_listener << name_of(arg.error().code()) << ": " << arg.error().chain();
    return arg.has_value();
}

VmId unknown_vm() {
    return VmId("01234567-89ab-4def-8123-456789abcdef");
}

/// Gives `text` in pieces, as a file would.
ByteSource source_of(std::string text) {
    auto rest = std::make_shared<std::string>(std::move(text));
    return [rest](std::span<char> buffer) -> Result<std::size_t> {
        const std::size_t count = std::min({buffer.size(), rest->size(), std::size_t{70'000}});
        std::memcpy(buffer.data(), rest->data(), count);
        rest->erase(0, count);
        return count;
    };
}

TEST_F(LabDriver, ReadsWhatAHostIsAndCanDo) {
    const auto facts = run(host(0).compute().read_facts());
    ASSERT_THAT(facts, Succeeds());
    EXPECT_EQ(facts->host_uuid, lab().host(0).host_uuid);
    EXPECT_EQ(facts->hostname, "h1");
    EXPECT_EQ(facts->architecture, "x86_64");
    EXPECT_GE(facts->libvirt_version, 9'000'000U);
    EXPECT_GE(facts->qemu_version, 7'002'000U);
    EXPECT_GT(facts->cpus, 0);
    EXPECT_GT(facts->memory, mebibytes(512));
    EXPECT_THAT(facts->accelerators, ::testing::ElementsAre("qemu")) << "the lab hides /dev/kvm";
    EXPECT_THAT(facts->machine_types, Contains("pc-q35-7.2"));
    EXPECT_THAT(facts->cpu_models, Contains("qemu64"));
    EXPECT_THAT(facts->networks, Contains(Field(&HostNetwork::name, "lab")));
    EXPECT_TRUE(facts->userfaultfd_likely) << "QEMU runs as root there";
    auto* const cpu = find_cpu_role(host(0));
    ASSERT_NE(cpu, nullptr);
    const auto features = run(cpu->guest_features());
    ASSERT_THAT(features, Succeeds());
    EXPECT_THAT(*features, Contains("sse2"));
    EXPECT_TRUE(std::ranges::is_sorted(*features));
    EXPECT_EQ(facts->cpu_features, *features) << "with those that the model has by its name";
}

TEST_F(LabDriver, TakesADomainThroughItsLife) {
    const auto definition = guest("life");
    make_running(0, definition);
    const auto& id = definition.id;

    const auto view = run(host(0).compute().read_domain(id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->name, "life");
    EXPECT_EQ(view->state, DomainState::running);
    EXPECT_EQ(view->state_reason, "booted");
    EXPECT_TRUE(view->persistent);
    EXPECT_EQ(view->balloon, mebibytes(128));
    EXPECT_EQ(view->spec.memory, mebibytes(128));
    EXPECT_EQ(view->spec.boot, definition.spec.boot);
    ASSERT_TRUE(view->stamp.has_value());
    EXPECT_EQ(*view->stamp, definition.stamp);
    EXPECT_THAT(view->bound_by, ::testing::IsEmpty());

    const auto all = run(host(0).compute().list_domains());
    ASSERT_THAT(all, Succeeds());
    EXPECT_THAT(*all, Contains(*view)) << "the list and the single view must agree";

    EXPECT_TRUE(until([&] { return events_[0]->has(DriverEvent::Kind::domain_changed, id, "started: booted"); }));
    EXPECT_THAT(run(host(0).compute().undefine(id)), FailsWith(Code::failed_precondition)) << "it is active";
    EXPECT_THAT(run(host(0).compute().destroy(id)), Succeeds());
    EXPECT_EQ(state_on(0, id), DomainState::shut_off);
    EXPECT_THAT(run(host(0).compute().destroy(id)), FailsWith(Code::failed_precondition));
    EXPECT_THAT(run(host(0).compute().undefine(id)), Succeeds());
    EXPECT_THAT(run(host(0).compute().read_domain(id)), FailsWith(Code::not_found));
    EXPECT_TRUE(until([&] { return events_[0]->has(DriverEvent::Kind::domain_removed, id); }));
}

TEST_F(LabDriver, StampsLiveAndConfigAndClearsLibvirtsAutostart) {
    const auto definition = guest("stamped");
    make_running(0, definition);
    static_cast<void>(lab().virsh(0, "autostart stamped"));
    const Stamp next{.cluster = "c-test", .owner = HostId("h2"), .epoch = 7};
    ASSERT_THAT(run(host(0).compute().stamp(definition.id, next)), Succeeds());
    const auto view = run(host(0).compute().read_domain(definition.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->stamp, next);
    EXPECT_FALSE(view->autostart);
    for (const char* which : {"dumpxml stamped", "dumpxml stamped --inactive"})
        EXPECT_THAT(lab().virsh(0, which), HasSubstr("epoch=\"7\"")) << which;
}

TEST_F(LabDriver, ShutsAGuestDownByAcpi) {
    const auto definition = guest("acpi");
    make_running(0, definition);
    ASSERT_THAT(run(host(0).compute().shutdown(definition.id)), Succeeds());
    EXPECT_TRUE(until([&] { return state_on(0, definition.id) == DomainState::shut_off; }));
    const auto view = run(host(0).compute().read_domain(definition.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_EQ(view->state_reason, "shut down");
}

TEST_F(LabDriver, TalksToAGuestOverItsSerialConsole) {
    const auto definition = guest("talks");
    make_running(0, definition);
    const auto console = run(host(0).compute().open_console(definition.id));
    ASSERT_THAT(console, Succeeds());
    std::string seen;
    const auto read_until = [&](const std::string& wanted) {
        for (int i = 0; i < 200 && seen.find(wanted) == std::string::npos; ++i) {
            const auto piece = run((*console)->read());
            if (!piece || piece->empty()) break;
            seen += *piece;
        }
        return seen.find(wanted) != std::string::npos;
    };
    EXPECT_TRUE(read_until("HB seq=")) << seen;
    EXPECT_THAT(run((*console)->write("hb=100\n")), Succeeds());
    EXPECT_TRUE(read_until("hb=100")) << "the terminal echoes what is typed: " << seen;
    EXPECT_THAT(run(host(0).compute().open_console(definition.id)), Not(Succeeds())) << "one reader at a time";
    (*console)->close();
    const auto after = run((*console)->read());
    ASSERT_THAT(after, Succeeds());
    while (!run((*console)->read())->empty()) {
    }
}

TEST_F(LabDriver, EndsAConsoleWhenItsGuestEnds) {
    const auto definition = guest("ends");
    make_running(0, definition);
    const auto console = run(host(0).compute().open_console(definition.id));
    ASSERT_THAT(console, Succeeds());
    ASSERT_THAT(run(host(0).compute().destroy(definition.id)), Succeeds());
    bool ended = false;
    for (int i = 0; i < 1000 && !ended; ++i) {
        const auto piece = run((*console)->read());
        ended = !piece || piece->empty();
    }
    EXPECT_TRUE(ended);
}

TEST_F(LabDriver, SweepsStatisticsAndSetsABalloon) {
    const auto definition = guest("balloon");
    make_running(0, definition);
    const auto& id = definition.id;
    const auto find = [&]() -> std::optional<DomainStats> {
        const auto stats = run(host(0).statistics().sweep());
        if (!stats) return std::nullopt;
        const auto at =
            std::find_if(stats->domains.begin(), stats->domains.end(), [&](const auto& d) { return d.id == id; });
        return at == stats->domains.end() ? std::nullopt : std::optional(*at);
    };
    const auto stats = run(host(0).statistics().sweep());
    ASSERT_THAT(stats, Succeeds());
    EXPECT_GT(stats->memory_total, mebibytes(512));
    EXPECT_GT(stats->cpu_idle.count() + stats->cpu_busy.count(), 0);
    ASSERT_THAT(run(host(0).memory().set_balloon(id, mebibytes(96))), Succeeds());
    EXPECT_TRUE(until([&] {
        const auto now = find();
        return now && now->balloon == mebibytes(96) && now->usable && now->resident > mebibytes(10);
    })) << "the balloon does not move";
    EXPECT_TRUE(until([&] { return events_[0]->has(DriverEvent::Kind::domain_changed, id, "balloon 96"); }));
    const auto now = find();
    ASSERT_TRUE(now);
    EXPECT_EQ(now->state, DomainState::running);
    EXPECT_EQ(now->vcpus, 1);
    EXPECT_GT(now->cpu_time.count(), 0);
    EXPECT_EQ(now->balloon_maximum, mebibytes(128));
}

TEST_F(LabDriver, SeesWhatVirshDoes) {
    auto definition = guest("outside");
    ASSERT_THAT(run(host(1).compute().define(definition)), Succeeds());
    static_cast<void>(lab().virsh(1, "start outside"));
    EXPECT_TRUE(until([&] { return events_[1]->has(DriverEvent::Kind::domain_changed, definition.id, "started"); },
                      Seconds(2)));
    static_cast<void>(lab().virsh(1, "destroy outside"));
    EXPECT_TRUE(
        until([&] { return events_[1]->has(DriverEvent::Kind::domain_changed, definition.id, "stopped: destroyed"); },
              Seconds(2)));
    EXPECT_FALSE(events_[0]->has(DriverEvent::Kind::domain_changed, definition.id)) << "another host's event";
}

TEST_F(LabDriver, NamesWhatBindsADomainToItsHost) {
    NewVolume disk;
    disk.pool = "shared";
    disk.name = "bound.qcow2";
    disk.format = "qcow2";
    disk.capacity = mebibytes(8);
    const auto volume = run(host(0).storage().create_volume(disk));
    ASSERT_THAT(volume, Succeeds());
    auto definition = guest("bound");
    definition.spec.disks.resize(1);
    definition.spec.disks[0].path = volume->path;
    make_running(0, definition);
    static_cast<void>(lab().virsh(0, "managedsave bound"));
    const auto view = run(host(0).compute().read_domain(definition.id));
    ASSERT_THAT(view, Succeeds());
    EXPECT_THAT(view->bound_by, Contains("managed save"));
    const auto all = run(host(0).compute().list_domains());
    ASSERT_THAT(all, Succeeds());
    EXPECT_THAT(*all, Contains(Field(&DomainView::bound_by, Contains("managed save"))));
    EXPECT_THAT(run(host(0).compute().undefine(definition.id)), Not(Succeeds())) << "that would lose the saved state";
    static_cast<void>(lab().virsh(0, "managedsave-remove bound"));
    const auto bonds = [&] { return run(host(0).compute().read_domain(definition.id))->bound_by; };
    EXPECT_THAT(bonds(), ::testing::IsEmpty());
    static_cast<void>(lab().virsh(0, "snapshot-create-as bound before"));
    EXPECT_THAT(bonds(), Contains("1 snapshot"));
    static_cast<void>(lab().virsh(0, "snapshot-delete bound before --metadata"));
    static_cast<void>(
        lab().virsh(0, "attach-disk bound '' sda --type cdrom --mode readonly --targetbus sata --config"));
    ASSERT_THAT(run(host(0).compute().start(definition.id)), Succeeds());
    EXPECT_THAT(bonds(), ::testing::IsEmpty()) << "an empty drive";
    static_cast<void>(lab().virsh(0, "change-media bound sda /etc/hostname --insert --live"));
    EXPECT_THAT(bonds(), Contains("local media /etc/hostname")) << "for this run only, but now";
    EXPECT_THAT(run(host(0).compute().destroy(definition.id)), Succeeds());
    EXPECT_THAT(run(host(0).storage().delete_volume(disk.pool, disk.name)), Succeeds());
}

TEST_F(LabDriver, RefusesWhatAHostDoesNotHave) {
    EXPECT_THAT(run(host(0).compute().read_domain(unknown_vm())), FailsWith(Code::not_found));
    EXPECT_THAT(run(host(0).compute().start(unknown_vm())), FailsWith(Code::not_found));
    EXPECT_THAT(run(host(0).storage().list_volumes("no-such-pool")), FailsWith(Code::not_found));
    EXPECT_THAT(run(host(0).storage().read_volume("shared", "no-such-volume")), FailsWith(Code::not_found));
    EXPECT_THAT(run(host(0).storage().delete_volume("shared", "no-such-volume")), Succeeds()) << "idempotent";
    auto kvm = guest("wants-kvm");
    kvm.accelerator = Accelerator::kvm;
    EXPECT_THAT(run(host(0).compute().define(kvm)), FailsWith(Code::failed_precondition));
    auto twin = guest("twin");
    ASSERT_THAT(run(host(0).compute().define(twin)), Succeeds());
    auto other = guest("twin");
    EXPECT_THAT(run(host(0).compute().define(other)), FailsWith(Code::already_exists)) << "names are unique per host";
}

TEST_F(LabDriver, MakesFillsReadsAndDeletesVolumes) {
    auto& storage = host(0).storage();
    const auto pools = run(storage.list_pools());
    ASSERT_THAT(pools, Succeeds());
    EXPECT_THAT(*pools, Contains(Field(&PoolView::name, "shared")));
    EXPECT_THAT(*pools, Contains(Field(&PoolView::name, "local")));

    std::string text(3'000'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 997) % 26);
    const Bytes size(static_cast<std::int64_t>(text.size()));
    const NewVolume raw{.pool = "shared",
                        .name = "drv-raw",
                        .format = "raw",
                        .capacity = size,
                        .backing_path = "",
                        .backing_format = ""};
    const auto made = run(storage.create_volume(raw));
    ASSERT_THAT(made, Succeeds());
    EXPECT_EQ(made->path, lab().shared_dir() + "/drv-raw");
    EXPECT_THAT(run(storage.create_volume(raw)), FailsWith(Code::already_exists));
    EXPECT_THAT(run(storage.upload("shared", "drv-raw", size, source_of(text))), Succeeds());
    const auto head = run(storage.read_head("shared", "drv-raw", mebibytes(1)));
    ASSERT_THAT(head, Succeeds());
    EXPECT_TRUE(*head == text.substr(0, 1'048'576));
    const auto little = run(storage.read_head("shared", "drv-raw", Bytes(5)));
    ASSERT_THAT(little, Succeeds());
    EXPECT_EQ(*little, text.substr(0, 5));

    const NewVolume child{.pool = "shared",
                          .name = "drv-child",
                          .format = "qcow2",
                          .capacity = mebibytes(64),
                          .backing_path = made->path,
                          .backing_format = "raw"};
    const auto overlay = run(storage.create_volume(child));
    ASSERT_THAT(overlay, Succeeds());
    EXPECT_EQ(overlay->format, "qcow2");
    EXPECT_EQ(overlay->capacity, mebibytes(64));
    EXPECT_EQ(overlay->backing_path, made->path);

    EXPECT_THAT(run(host(1).storage().refresh("shared")), Succeeds());
    const auto seen = run(host(1).storage().list_volumes("shared"));
    ASSERT_THAT(seen, Succeeds());
    EXPECT_THAT(*seen, Contains(Field(&VolumeView::name, "drv-child"))) << "the pool is shared";

    EXPECT_THAT(run(storage.delete_volume("shared", "drv-child")), Succeeds());
    EXPECT_THAT(run(storage.delete_volume("shared", "drv-raw")), Succeeds());
    EXPECT_THAT(run(storage.read_volume("shared", "drv-raw")), FailsWith(Code::not_found));
}

TEST_F(LabDriver, RefusesAnUploadWhoseSourceIsShorterOrLongerThanItSaid) {
    auto& storage = host(0).storage();
    const NewVolume raw{.pool = "local",
                        .name = "drv-short",
                        .format = "raw",
                        .capacity = mebibytes(1),
                        .backing_path = "",
                        .backing_format = ""};
    ASSERT_THAT(run(storage.create_volume(raw)), Succeeds());
    EXPECT_THAT(run(storage.upload("local", "drv-short", Bytes(100), source_of(std::string(50, 'x')))),
                FailsWith(Code::invalid_argument));
    EXPECT_THAT(run(storage.upload("local", "drv-short", Bytes(100), source_of(std::string(101, 'x')))),
                FailsWith(Code::invalid_argument));
    EXPECT_THAT(run(storage.upload(
                    "local", "drv-short", Bytes(100),
                    [](std::span<char>) -> Result<std::size_t> { return fail(Code::internal, "the file went away"); })),
                FailsWith(Code::internal));
    EXPECT_THAT(run(storage.delete_volume("local", "drv-short")), Succeeds());
}

TEST_F(LabDriver, ProvesThatOneHostTrustsAnotherAndSaysWhenItDoesNot) {
    const auto trust = [&](const std::string& uri) {
        const auto checks = run(host(0).migration().probe_peer(uri, lab().host(1).migration_address));
        EXPECT_THAT(checks, Succeeds());
        return checks ? checks->front() : PairCheck{};
    };
    const auto good = trust(lab().host(1).peer_uri);
    EXPECT_EQ(good.name, "peer_trust");
    EXPECT_EQ(good.verdict, CheckVerdict::ok) << good.detail;
    const auto bad = trust("qemu+tcp://h1:1/system");
    EXPECT_EQ(bad.verdict, CheckVerdict::refused) << bad.detail;
    EXPECT_THAT(bad.way_out, Not(::testing::IsEmpty()));
    for (std::size_t i = 0; i < 2; ++i)
        EXPECT_THAT(lab().virsh(i, "list --all"), Not(HasSubstr("ballast-probe"))) << "the probe leaves nothing";
    const auto left = run(host(1).compute().list_domains());
    ASSERT_THAT(left, Succeeds());
    EXPECT_THAT(*left, ::testing::IsEmpty());
}

}  // namespace
}  // namespace ballast::testing
