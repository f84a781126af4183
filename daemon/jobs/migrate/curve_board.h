#pragma once
// The dirty-page curves of the VMs that are likely to move: measured in the background by libvirt's dirty-rate
// calculation, one VM per host at a time, over several windows, and made sharper by the rounds of the VM's own
// migrations. In memory only (SAFETY.md 14): a curve that is lost is measured again, and no migration waits for one.
// Never measures a VM that a job works on. Loop thread only.

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "daemon/jobs/services.h"
#include "migration/curve.h"

namespace ballast::jobs {

class CurveBoard : public std::enable_shared_from_this<CurveBoard> {
  public:
    explicit CurveBoard(const Services& services);

    /// The VM is likely to move: measured soon unless its curve is fresh.
    void want(const VmId& vm);
    /// What is known now; nothing where nothing was measured.
    [[nodiscard]] std::optional<migration::DirtyCurve> find(const VmId& vm) const;
    /// A migration of the VM has ended: its rounds say what no window of a second can.
    void learn(const Migration& migration);

  private:
    struct Subject {
        VmId vm;
        HostId host;
        Bytes memory;
    };

    /// The VM where it can be measured now.
    [[nodiscard]] std::optional<Subject> find_subject(const VmId& vm) const;
    void begin_next();
    boost::asio::awaitable<void> measure(Subject subject);
    /// One window; nothing where the host would not say.
    boost::asio::awaitable<std::optional<migration::CurvePoint>> sample(Subject subject, Seconds window);

    boost::asio::any_io_executor executor_;
    std::shared_ptr<store::Store> store_;
    std::shared_ptr<reconcile::HostRegistry> hosts_;
    std::shared_ptr<const Clock> clock_;
    Settings settings_;
    std::map<VmId, migration::DirtyCurve> curves_;
    std::set<VmId> wanted_;
    std::set<HostId> busy_;
};

}  // namespace ballast::jobs
