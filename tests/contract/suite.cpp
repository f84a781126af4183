#include "tests/contract/suite.h"

#include <algorithm>
#include <mutex>

#include "core/clock.h"

namespace ballast::testing {

/// Sinks are called from any thread.
struct DriverContract::Heard {
    std::mutex mutex;
    std::vector<DriverEvent> events;
};

DriverContract::DriverContract()
    : harness_(GetParam().make()),
      io_(std::make_unique<boost::asio::io_context>()),
      heard_(std::make_shared<Heard>()) {}

DriverContract::~DriverContract() = default;

std::shared_ptr<HostDriver> DriverContract::open(const HostAddress& address) {
    drivers::HostTarget target;
    target.id = address.id;
    target.uri = address.uri;
    auto opened = harness_->driver().open(target, [heard = heard_](const DriverEvent& event) {
        const std::scoped_lock lock(heard->mutex);
        heard->events.push_back(event);
    });
    EXPECT_THAT(opened, Succeeds());
    return opened ? *opened : nullptr;
}

void DriverContract::SetUp() {
    for (const auto& address : harness_->hosts()) {
        opened_.push_back(open(address));
        ASSERT_NE(opened_.back(), nullptr);
    }
    for (const auto& opened : opened_)
        ASSERT_TRUE(eventually([&] { return opened->link() == LinkState::up; })) << "a host was not connected";
}

void DriverContract::remove(HostDriver& at, const VmId& vm) {
    const auto there = call(at.compute().read_domain(vm));
    if (!there) return;
    if (is_active(there->state)) static_cast<void>(call(at.compute().destroy(vm)));
    if (!there->bound_by.empty()) {  // by a saved state, which a start uses up
        static_cast<void>(call(at.compute().start(vm)));
        static_cast<void>(call(at.compute().destroy(vm)));
    }
    static_cast<void>(call(at.compute().undefine(vm)));
}

void DriverContract::TearDown() {
    for (const auto& opened : opened_)
        for (const auto& vm : vms_) remove(*opened, vm);
    for (const auto& volume : volumes_)
        if (!opened_.empty()) static_cast<void>(call(host().storage().delete_volume(harness_->pool(), volume)));
    for (const auto& opened : opened_) opened->close();
    io_->restart();
    io_->poll();
}

bool DriverContract::eventually(const std::function<bool()>& holds, Milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!holds()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        harness_->idle();
        if (io_->stopped()) io_->restart();
        const auto work = boost::asio::make_work_guard(*io_);
        io_->run_one_for(std::chrono::milliseconds(20));
    }
    return true;
}

drivers::DomainDefinition DriverContract::a_guest() {
    static const std::unique_ptr<IdSource> ids = make_random_ids();
    drivers::DomainDefinition definition = harness_->guest();
    definition.id = VmId(ids->uuid());
    definition.name = "contract-" + definition.id.str().substr(0, 8);
    definition.stamp = {.cluster = "contract", .owner = address(0).id, .epoch = 7};
    vms_.push_back(definition.id);
    return definition;
}

drivers::DomainDefinition DriverContract::defined() {
    auto definition = a_guest();
    EXPECT_THAT(call(host().compute().define(definition)), Succeeds());
    return definition;
}

drivers::DomainDefinition DriverContract::busy() {
    auto guest = a_guest();
    harness().make_busy(guest);
    EXPECT_THAT(call(host().compute().define(guest)), Succeeds());
    EXPECT_THAT(call(host().compute().start(guest.id)), Succeeds());
    EXPECT_TRUE(eventually([&] { return harness().beats(guest.id) > 5; }, std::chrono::seconds(120)));
    return guest;
}

bool DriverContract::beats_on(const VmId& vm) {
    const int before = harness().beats(vm);
    if (before < 0) return false;
    return eventually([&] {
               const int now = harness().beats(vm);
               return now < 0 || now > before + 5;
           }) &&
           harness().beats(vm) > before;
}

drivers::DomainDefinition DriverContract::running() {
    auto definition = defined();
    EXPECT_THAT(call(host().compute().start(definition.id)), Succeeds());
    return definition;
}

std::string DriverContract::a_volume_name() {
    static const std::unique_ptr<IdSource> ids = make_random_ids();
    volumes_.push_back("contract-" + ids->uuid() + ".img");
    return volumes_.back();
}

drivers::NewVolume DriverContract::a_volume(const std::string& name, Bytes capacity) {
    drivers::NewVolume volume;
    volume.pool = harness_->pool();
    volume.name = name;
    volume.format = "raw";
    volume.capacity = capacity;
    return volume;
}

DomainState DriverContract::state_of(const VmId& vm, std::size_t index) {
    const auto view = call(host(index).compute().read_domain(vm));
    return view ? view->state : DomainState::unknown;
}

bool DriverContract::becomes(const VmId& vm, DomainState state, std::size_t index) {
    return eventually([&] { return state_of(vm, index) == state; });
}

bool DriverContract::has_heard(DriverEvent::Kind kind, const VmId& vm, std::size_t index,
                               std::string_view detail) const {
    const std::scoped_lock lock(heard_->mutex);
    return std::ranges::any_of(heard_->events, [&](const DriverEvent& event) {
        return event.kind == kind && event.vm == vm && event.host == address(index).id &&
               event.detail.starts_with(detail);
    });
}

bool DriverContract::hears(DriverEvent::Kind kind, const VmId& vm, std::size_t index, std::string_view detail) {
    return eventually([&] { return has_heard(kind, vm, index, detail); }, std::chrono::seconds(5));
}

void DriverContract::forget_events() {
    const std::scoped_lock lock(heard_->mutex);
    heard_->events.clear();
}

std::string DriverContract::heard_of(const VmId& vm) const {
    const std::scoped_lock lock(heard_->mutex);
    std::string text = "heard:";
    for (const auto& event : heard_->events)
        if (event.vm == vm)
            text += fmt::format(" [{} kind {} '{}']", event.host, static_cast<int>(event.kind), event.detail);
    return text;
}

}  // namespace ballast::testing
