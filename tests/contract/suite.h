#pragma once
// The fixture of the contract suite: hosts opened by the driver under test, short ways to await, and an end that leaves
// nothing behind on real hosts.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/harness.h"
#include "tests/support/run.h"

namespace ballast::testing {

using drivers::DriverEvent;
using drivers::HostDriver;
using drivers::LinkState;

class DriverContract : public ::testing::TestWithParam<HarnessMaker> {
  protected:
    DriverContract();
    ~DriverContract() override;

    void SetUp() override;
    void TearDown() override;

    /// Awaits a call.
    template <class T>
    T call(boost::asio::awaitable<T> task) {
        return testing::run(*io_, std::move(task), std::chrono::seconds(120), [this] { harness_->idle(); });
    }
    /// Starts a call whose end is looked at later.
    template <class T>
    std::shared_ptr<std::optional<Result<T>>> begin(boost::asio::awaitable<Result<T>> task) {
        auto result = std::make_shared<std::optional<Result<T>>>();
        boost::asio::co_spawn(*io_, std::move(task),
                              [result](std::exception_ptr, Result<T> value) { *result = std::move(value); });
        return result;
    }
    /// Looks again and again until it is so, or the patience ends.
    bool eventually(const std::function<bool()>& holds, Milliseconds limit = std::chrono::seconds(30));

    HostDriver& host(std::size_t index = 0) { return *opened_.at(index); }
    [[nodiscard]] HostAddress address(std::size_t index) const { return harness_->hosts().at(index); }
    [[nodiscard]] std::size_t host_count() const { return opened_.size(); }
    [[nodiscard]] Harness& harness() const { return *harness_; }
    [[nodiscard]] boost::asio::io_context& io() const { return *io_; }
    std::shared_ptr<HostDriver> open(const HostAddress& address);

    /// A definition with an id and a name of its own; what it defines is removed at the end of the test.
    drivers::DomainDefinition a_guest();
    /// Defined on the first host.
    drivers::DomainDefinition defined();
    /// Defined and started there.
    drivers::DomainDefinition running();
    /// The same of a busy guest, its heart beating.
    drivers::DomainDefinition busy();
    /// The guest beats on, with every beat in order and no page but its own.
    bool beats_on(const VmId& vm);
    /// A volume name of its own, deleted at the end of the test.
    std::string a_volume_name();
    drivers::NewVolume a_volume(const std::string& name, Bytes capacity);

    DomainState state_of(const VmId& vm, std::size_t index = 0);
    bool becomes(const VmId& vm, DomainState state, std::size_t index = 0);
    /// Whether an event of the kind for the VM arrives (or has arrived) from the host.
    bool hears(DriverEvent::Kind kind, const VmId& vm, std::size_t index = 0, std::string_view detail = "");
    [[nodiscard]] bool has_heard(DriverEvent::Kind kind, const VmId& vm, std::size_t index,
                                 std::string_view detail = "") const;
    void forget_events();
    /// What was heard of the VM, for messages: "h1 domain_changed 'stopped: migrated'; …".
    [[nodiscard]] std::string heard_of(const VmId& vm) const;

  private:
    void remove(HostDriver& host, const VmId& vm);

    struct Heard;
    std::shared_ptr<Harness> harness_;
    std::unique_ptr<boost::asio::io_context> io_;
    std::vector<std::shared_ptr<HostDriver>> opened_;
    std::vector<VmId> vms_;
    std::vector<std::string> volumes_;
    std::shared_ptr<Heard> heard_;
};

/// "fails with this code"
MATCHER_P(FailsWith, code, std::string("fails with ") + std::string(name_of(code))) {
    if (arg.has_value()) {
        *result_listener << "it succeeded";
        return false;
    }
    *result_listener << name_of(arg.error().code()) << ": " << arg.error().chain();
    return arg.error().code() == code;
}
/// "the hypervisor refuses it in this state"; libvirt's test driver can't say that it is the state.
MATCHER_P(Refuses, abilities, "is refused as failed_precondition") {
    if (arg.has_value()) {
        *result_listener << "it succeeded";
        return false;
    }
    *result_listener << name_of(arg.error().code()) << ": " << arg.error().chain();
    const Code code = arg.error().code();
    return code == Code::failed_precondition || (abilities.is_mock && code == Code::internal);
}
MATCHER(Succeeds, "succeeds") {
    if (!arg.has_value()) *result_listener << name_of(arg.error().code()) << ": " << arg.error().chain();
    return arg.has_value();
}

class ComputeContract : public DriverContract {};
class StorageContract : public DriverContract {};
class MigrationContract : public DriverContract {
  protected:
    void SetUp() override;
    drivers::MigrationRequest a_move(const VmId& vm, std::size_t to = 1) const;
    /// So slow that a test can act while it runs.
    drivers::MigrationRequest a_slow_move(const VmId& vm, std::size_t to = 1) const;
    /// Waits until the stream flows.
    bool flows(const VmId& vm);
    /// A busy guest, in its pull phase to the second host: the call's outcome.
    std::shared_ptr<std::optional<Result<void>>> begin_pull(const drivers::DomainDefinition& guest);
    drivers::MigrationRequest a_pull(const VmId& vm) const;
};

class MemoryContract : public DriverContract {
  protected:
    /// What the Memory role shows of it; nothing: it is busy.
    std::optional<drivers::DomainStats> shown(const VmId& vm);
    /// Whether it comes to show what `holds`, within the time that a guest takes to boot.
    bool shows(const VmId& vm, const std::function<bool(const drivers::DomainStats&)>& holds);
    /// Whether the guest's balloon driver comes to say what it has.
    bool speaks(const VmId& vm);
    /// Whether it says so again.
    bool speaks_anew(const VmId& vm);
    /// Whether its balloon comes to the target.
    bool follows(const VmId& vm, Bytes target);
};

}  // namespace ballast::testing

// Instantiates the whole contract for one kind of hosts.
#define BALLAST_CONTRACT(label, ...)                                                                 \
    namespace ballast::testing {                                                                     \
    INSTANTIATE_TEST_SUITE_P(label, ComputeContract, ::testing::Values(HarnessMaker{__VA_ARGS__}),   \
                             [](const auto& given) { return given.param.name; });                    \
    INSTANTIATE_TEST_SUITE_P(label, MemoryContract, ::testing::Values(HarnessMaker{__VA_ARGS__}),    \
                             [](const auto& given) { return given.param.name; });                    \
    INSTANTIATE_TEST_SUITE_P(label, StorageContract, ::testing::Values(HarnessMaker{__VA_ARGS__}),   \
                             [](const auto& given) { return given.param.name; });                    \
    INSTANTIATE_TEST_SUITE_P(label, MigrationContract, ::testing::Values(HarnessMaker{__VA_ARGS__}), \
                             [](const auto& given) { return given.param.name; });                    \
    }
