// Whatever somebody does on the hosts, in whatever order, with events lost and hosts coming and going: once it is
// quiet, the inventory says what the hosts run, and Ballast has changed nothing.
#include <random>

#include "tests/unit/reconcile/world_fixture.h"

namespace ballast::reconcile {
namespace {

using ::testing::IsEmpty;

class Inventory : public WorldTest, public ::testing::WithParamInterface<std::uint32_t> {
  protected:
    static constexpr int hosts = 3;
    static constexpr int vms = 6;

    Inventory() : WorldTest(hosts), random_(GetParam()) {
        options_.sweep_interval = Milliseconds(50);
        options_.search = Milliseconds(20);
    }

    int pick(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }
    std::string a_host() { return "h" + std::to_string(pick(hosts) + 1); }

    /// One act; many are refused by the host in its state, as virsh would be.
    void act() {
        const std::string host = a_host();
        const VmId id = vm_id(pick(vms) + 1);
        auto& driver = virsh(host);
        switch (pick(14)) {
            case 0:
            case 1:
                define_any(host, id);
                return;
            case 2:
            case 3:
                discard(driver.compute().start(id));
                return;
            case 4:
                discard(driver.compute().destroy(id));
                return;
            case 5:
                discard(driver.compute().undefine(id));
                return;
            case 6:
                discard(driver.migration().suspend(id));
                return;
            case 7:
                discard(driver.migration().resume(id));
                return;
            case 8:
                discard(driver.memory().set_balloon(id, mebibytes(128 + 64 * pick(4))));
                return;
            case 9:
                migrate(host, id);
                return;
            case 10:
                world_->faults().drop_events(host, pick(2) == 0);
                return;
            case 11:
                if (pick(2) == 0)
                    world_->faults().make_unreachable(host);
                else
                    world_->faults().make_reachable(host);
                return;
            case 12:
                world_->faults().kill_qemu(host, id);
                return;
            default:
                for (int i = pick(20); i > 0; --i) turn();
                return;
        }
    }

    void define_any(const std::string& host, const VmId& id) {
        drivers::DomainDefinition definition;
        definition.id = id;
        definition.name = "vm-" + id.str().substr(34);
        definition.spec.vcpus = 1 + pick(3);
        discard(virsh(host).compute().define(definition));
    }
    void migrate(const std::string& host, const VmId& id) {
        drivers::MigrationRequest request;
        request.vm = id;
        request.peer_uri = "sim://" + a_host();
        request.allow_unsafe = true;
        discard(virsh(host).migration().migrate(request));
    }
    void discard(drivers::Task<> task) { static_cast<void>(outside(std::move(task))); }

    /// What is wrong with the inventory; empty: it is true.
    std::string difference() {
        const auto now = snapshot();
        std::string wrong;
        for (int number = 1; number <= vms; ++number) {
            const VmId id = vm_id(number);
            const Vm* row = now->vms.find(id);
            std::vector<std::string> active;
            for (int i = 1; i <= hosts; ++i) {
                const std::string host = "h" + std::to_string(i);
                const auto real = world_->find_domain(host, id);
                const Definition* said = definition_on(row, host);
                if (real.has_value() != (said != nullptr)) {
                    wrong +=
                        fmt::format("{} on {}: real {}, inventory {}\n", id, host, real.has_value(), said != nullptr);
                    continue;
                }
                if (!real) continue;
                if (said->state != real->state || said->stale_view)
                    wrong += fmt::format("{} on {}: its state is another\n", id, host);
                if (is_active(real->state)) active.push_back(host);
                if (row->host == HostId(host)) wrong += owner_difference(*row, *real);
            }
            if (row != nullptr) wrong += state_difference(*row, active);
        }
        return wrong;
    }
    static const Definition* definition_on(const Vm* row, const std::string& host) {
        if (row == nullptr) return nullptr;
        const auto found = std::ranges::find(row->definitions, HostId(host), &Definition::host);
        return found == row->definitions.end() ? nullptr : &*found;
    }
    static std::string owner_difference(const Vm& row, const drivers::DomainView& real) {
        if (row.state != VmState::conflict && row.state != state_of(real.state)) return row.name + ": state\n";
        if (row.spec.vcpus != real.spec.vcpus) return row.name + ": vcpus\n";
        if (row.balloon != real.balloon) return row.name + ": balloon\n";
        return {};
    }
    static std::string state_difference(const Vm& row, const std::vector<std::string>& active) {
        if ((active.size() > 1) != (row.state == VmState::conflict))
            return fmt::format("{}: active on {} hosts, conflict {}\n", row.name, active.size(),
                               row.state == VmState::conflict);
        if (active.size() == 1 && row.host != HostId(active.front())) return row.name + ": owner\n";
        return {};
    }

    std::mt19937 random_;
};

TEST_P(Inventory, IsWhatTheHostsRunOnceItIsQuiet) {
    start();
    for (int i = 1; i <= hosts; ++i) add_host("h" + std::to_string(i));
    for (int i = 0; i < 150; ++i) act();
    if (pick(2) == 0) {
        stop();
        for (int i = 0; i < 30; ++i) act();
        restart();
        for (int i = 0; i < 30; ++i) act();
    }
    for (int i = 1; i <= hosts; ++i) {
        world_->faults().make_reachable("h" + std::to_string(i));
        world_->faults().drop_events("h" + std::to_string(i), false);
    }
    EXPECT_TRUE(eventually([&] { return difference().empty(); }, std::chrono::seconds(15))) << difference();
    for (int i = 1; i <= hosts; ++i) EXPECT_THAT(changes_->on(HostId("h" + std::to_string(i))), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, Inventory, ::testing::Range(1U, 25U));

}  // namespace
}  // namespace ballast::reconcile
