#include "migration/preflight.h"

#include <algorithm>
#include <iterator>
#include <string>

#include <boost/describe/enum_to_string.hpp>

#include "migration/preflight_disks.h"

namespace ballast::migration {
namespace {

/// One move under judgement; each member adds its checks.
class Preflight {
  public:
    Preflight(const Vm& vm, const Host& from, const Host& to, const HostPair* pair, const Snapshot& snapshot,
              const MoveTerms& terms)
        : vm_(vm), from_(from), to_(to), pair_(pair), snapshot_(snapshot), terms_(terms) {}

    [[nodiscard]] std::vector<PairCheck> run() {
        check_hosts();
        if (from_.id == to_.id) return std::move(checks_);
        check_knobs();
        check_tls();
        check_vm();
        check_pair();
        check_machine();
        check_networks();
        std::ranges::move(judge_disks(vm_, from_, to_, pair_, snapshot_, terms_), std::back_inserter(checks_));
        check_post_copy();
        return std::move(checks_);
    }

  private:
    void add(std::string name, CheckVerdict verdict, std::string detail, std::string way_out = {}) {
        checks_.push_back({std::move(name), verdict, std::move(detail), std::move(way_out)});
    }
    void pass(std::string name, std::string detail) { add(std::move(name), CheckVerdict::ok, std::move(detail)); }
    void refuse(std::string name, std::string detail, std::string way_out) {
        add(std::move(name), CheckVerdict::refused, std::move(detail), std::move(way_out));
    }

    [[nodiscard]] static std::string state_of(const Host& host) {
        const std::string state = boost::describe::enum_to_string(host.state, "unknown");
        return host.state_reason.empty() ? state : fmt::format("{} ({})", state, host.state_reason);
    }

    void check_hosts() {
        if (from_.id == to_.id)
            return refuse("target", fmt::format("{} runs on {} already", vm_.name, to_.name), "name another host");
        check_host("source", from_);
        check_host("target", to_);
        if (to_.maintenance)
            refuse("maintenance", fmt::format("{} is in maintenance", to_.name),
                   fmt::format("ballast host maintenance {} --off", to_.name));
    }

    void check_host(const std::string& role, const Host& host) {
        if (!host.managed)
            return refuse(role, fmt::format("{} is only observed, Ballast changes nothing on it", host.name),
                          fmt::format("ballast host manage {}", host.name));
        if (host.confirmed_dead)
            return refuse(role, fmt::format("{} is confirmed dead", host.name), "resolve its quarantine first");
        const bool leaving = role == "source" && host.state == HostState::maintenance;
        if (host.state != HostState::up && !leaving && !(host.state == HostState::maintenance && host.maintenance))
            return refuse(role, fmt::format("{} is {}", host.name, state_of(host)), "wait until it is up");
        pass(role, fmt::format("{} is managed and up", host.name));
    }

    void check_vm() {
        if (!vm_.managed)
            refuse("vm_managed", fmt::format("{} is only observed", vm_.name),
                   fmt::format("ballast vm adopt {}", vm_.name));
        check_state();
        for (const Definition& definition : vm_.definitions) {
            if (definition.host == to_.id)
                refuse("stale_definition", fmt::format("{} is defined on {} already", vm_.name, to_.name),
                       fmt::format("remove that definition if it is stale: virsh undefine on {}", to_.name));
            if (definition.host != from_.id) continue;
            for (const std::string& bond : definition.bound_by)
                refuse("bound_to_host", fmt::format("{} binds {} to {}", bond, vm_.name, from_.name), way_out_of(bond));
        }
    }

    /// SAFETY.md 11: what the driver names, and how to be rid of it.
    [[nodiscard]] std::string way_out_of(std::string_view bond) const {
        const auto has = [bond](std::string_view word) { return bond.find(word) != std::string_view::npos; };
        const auto virsh = [this](std::string_view verb, std::string_view more) {
            return fmt::format("on {}: virsh {} {}{}", from_.name, verb, vm_.name, more);
        };
        if (has("managed save")) return virsh("managedsave-remove", " (its saved state is lost), or start the VM");
        if (has("checkpoint")) return virsh("checkpoint-delete", " --metadata CHECKPOINT, for each");
        if (has("snapshot")) return virsh("snapshot-delete", " --metadata SNAPSHOT, for each");
        if (has("local media")) return virsh("change-media", " DEVICE --eject --live --config");
        if (has("passthrough")) return virsh("detach-device", " DEVICE.xml --live --config");
        if (has("shared folder") || has("shared memory"))
            return virsh("detach-device", " DEVICE.xml --config, then stop and start it");
        if (bond.starts_with("NIC "))
            return virsh("update-device", " NIC.xml --live --config, with a network or a bridge that both hosts have");
        return "remove or resolve it first";
    }

    /// The versions of both hosts decide too; a pair with an older QEMU on the target has a check of its own.
    void check_knobs() {
        const ModeChoice mode = terms_.offline ? ModeChoice::offline : as_choice(terms_.mode);
        const auto versions = older_of(versions_of(from_.facts), versions_of(to_.facts));
        MigrationTerms policy = terms_.policy;
        if (terms_.mode == MigrationMode::post_copy || terms_.mode == MigrationMode::hybrid) policy.post_copy = true;
        const Result<void> fits = check_combination(mode, terms_.knobs, policy, versions);
        if (fits) return pass("knobs", "mode and knobs go together");
        const std::string& message = fits.error().message();
        const auto cut = message.rfind("; ");
        refuse("knobs", message.substr(0, cut), cut == std::string::npos ? "leave them out" : message.substr(cut + 2));
    }

    /// No call tells whether a host's QEMU has certificates; a move that went this way with them does.
    void check_tls() {
        if (!terms_.knobs.tls) return;
        const auto proves_it = [this](const Migration& row) {
            return row.knobs.tls && row.from == from_.id && row.to == to_.id && row.phase == MigrationPhase::succeeded;
        };
        if (snapshot_.migrations.find_if(proves_it) != nullptr) return pass("tls", "a move with TLS has gone this way");
        add("tls", CheckVerdict::unknown,
            fmt::format("no move with TLS has gone from {} to {} yet; without certificates for QEMU on both, libvirt "
                        "refuses it before its first byte",
                        from_.name, to_.name),
            "give both hosts certificates (migrate_tls_x509_cert_dir in qemu.conf, or /etc/pki/qemu)");
    }

    void check_state() {
        const std::string state = boost::describe::enum_to_string(vm_.state, "unknown");
        if (vm_.host != from_.id)
            return refuse("vm_state", fmt::format("{} is not on {}", vm_.name, from_.name), "read the VM again");
        if (terms_.offline) return check_is_off(state);
        switch (vm_.state) {
            case VmState::running:
            case VmState::migrating:  // by the job that asks
                return pass("vm_state", fmt::format("{} is {}", vm_.name, state));
            case VmState::paused:
                return check_paused();
            case VmState::unknown:
                return refuse("vm_state", fmt::format("{} is unknown: its host can't be asked", vm_.name),
                              fmt::format("wait for {}, or `ballast host confirm-dead {}`", from_.name, from_.name));
            case VmState::conflict:
                return refuse("vm_state", fmt::format("{} is active on several hosts", vm_.name),
                              "an operator must resolve the conflict");
            case VmState::creating:
            case VmState::stopped:
            case VmState::starting:
            case VmState::stopping:
            case VmState::crashed:
            case VmState::missing:
            case VmState::deleting:
                return refuse("vm_state", fmt::format("{} is {}, it does not run", vm_.name, state),
                              fmt::format("ballast vm start {}", vm_.name));
        }
    }

    /// A guest that stands still writes nothing: a pull would bring it nothing but its risk, and a target that runs is
    /// how ownership knows a post-copy by.
    void check_paused() {
        if (terms_.mode == MigrationMode::post_copy || terms_.mode == MigrationMode::hybrid)
            return refuse("vm_state", fmt::format("{} is paused, and post-copy is for guests that run", vm_.name),
                          fmt::format("use pre_copy or auto, or on {}: virsh resume {}", from_.name, vm_.name));
        pass("vm_state", fmt::format("{} is paused, and stays so", vm_.name));
    }

    void check_is_off(const std::string& state) {
        const bool is_off =
            vm_.state == VmState::stopped || vm_.state == VmState::crashed || vm_.state == VmState::migrating;
        if (is_off) return pass("vm_state", fmt::format("{} is {}", vm_.name, state));
        refuse("vm_state", fmt::format("{} is {}; an offline move is for a VM that does not run", vm_.name, state),
               fmt::format("move it live, or ballast vm stop {}", vm_.name));
    }

    void check_pair() {
        const std::string way_out = fmt::format("ballast host check-pair {} {}", from_.name, to_.name);
        if (pair_ == nullptr)
            return refuse("pair_checked", fmt::format("the pair {} to {} was never checked", from_.name, to_.name),
                          way_out);
        const auto age = std::chrono::duration_cast<Milliseconds>(terms_.now - pair_->checked);
        if (!is_fresh(pair_, terms_))
            return refuse("pair_checked",
                          fmt::format("the pair {} to {} was checked {} ago, the limit is {}", from_.name, to_.name,
                                      to_string(age), to_string(terms_.evidence_age)),
                          way_out);
        pass("pair_checked", fmt::format("{} ago", to_string(age)));
        for (const PairCheck& check : pair_->checks)
            if (!is_judged_here(check.name)) checks_.push_back(check);
    }

    /// A pool that is not shared concerns only VMs with a disk there, userfaultfd only post-copy, what the target's CPU
    /// lacks only VMs that have their host's CPU.
    [[nodiscard]] static bool is_judged_here(std::string_view name) {
        return name.starts_with("shared_pool") || name == "userfaultfd" || name == "cpu_features";
    }

    void check_machine() {
        if (from_.facts.architecture != to_.facts.architecture)
            refuse("architecture",
                   fmt::format("{} is {}, {} is {}", from_.name, from_.facts.architecture, to_.name,
                               to_.facts.architecture),
                   "move it to a host of its architecture");
        if (from_.facts.qemu_version > to_.facts.qemu_version)
            refuse("qemu_versions",
                   fmt::format("{} has QEMU {}, {} the older {}", from_.name, version(from_.facts.qemu_version),
                               to_.name, version(to_.facts.qemu_version)),
                   fmt::format("upgrade QEMU on {}: moves go from old to new only", to_.name));
        check_offered("machine_type", vm_.spec.machine, to_.facts.machine_types, "upgrade QEMU there");
        if (shows_own_cpu()) return check_own_cpu();
        check_offered("cpu_model", vm_.spec.cpu_model, to_.facts.cpu_models, "give the VM a model both hosts have");
        check_extra_features();
    }

    /// Features that the guest has beyond its model's, one by one. Where it runs it has them all, so what the target
    /// lacks of the source's is what it lacks of the guest's.
    void check_extra_features() {
        const auto& extra = vm_.spec.cpu_features;
        if (extra.empty()) return;
        const PairCheck* compared = find_check("cpu_features");
        if (compared == nullptr || compared->verdict == CheckVerdict::unknown)
            return add("cpu_features", CheckVerdict::unknown,
                       fmt::format("{} has {} beyond its CPU model, and nobody compared the hosts' features", vm_.name,
                                   fmt::join(extra, ", ")),
                       fmt::format("libvirt on {} refuses what it can't give", to_.name));
        std::vector<std::string> missing;
        std::ranges::copy_if(extra, std::back_inserter(missing), [this](const std::string& one) {
            return std::ranges::find(pair_->missing_features, one) != pair_->missing_features.end();
        });
        if (missing.empty())
            return pass("cpu_features", fmt::format("{} has {} too", to_.name, fmt::join(extra, ", ")));
        refuse("cpu_features",
               fmt::format("{} has {} beyond its CPU model, which the CPU of {} lacks", vm_.name,
                           fmt::join(missing, ", "), to_.name),
               "take them out of its definition, and restart it");
    }

    [[nodiscard]] static std::string version(std::uint64_t number) {
        return fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000);
    }

    /// Hosts whose driver names nothing (libvirt's test driver) are judged by the move itself.
    void check_offered(const std::string& name, const std::string& wanted, const std::vector<std::string>& offered,
                       const std::string& way_out) {
        if (wanted.empty() || offered.empty()) return;
        if (std::ranges::find(offered, wanted) == offered.end())
            return refuse(name, fmt::format("{} does not offer {}", to_.name, wanted), way_out);
        pass(name, fmt::format("{} offers {}", to_.name, wanted));
    }

    /// Whether the guest has the CPU of its host; under KVM it does where its spec names none.
    [[nodiscard]] bool shows_own_cpu() const {
        const std::string& model = vm_.spec.cpu_model;
        return model.starts_with("host-") || model == "maximum" ||
               (model.empty() && accelerator_of(from_) == Accelerator::kvm);
    }

    /// What the pair's check found feature by feature; without it only a CPU of the same model will do.
    /// host-passthrough shows more than libvirt can compare.
    void check_own_cpu() {
        const std::string mode = vm_.spec.cpu_model.empty() ? "host-model" : vm_.spec.cpu_model;
        const std::string way_out = "give the VM a CPU model that both hosts have, and restart it";
        const PairCheck* compared = find_check("cpu_features");
        if (compared != nullptr && compared->verdict == CheckVerdict::warning)
            return refuse("cpu_features",
                          fmt::format("{} has the CPU of {} ({}): {}", vm_.name, from_.name, mode, compared->detail),
                          way_out);
        const bool alike = from_.facts.cpu_model == to_.facts.cpu_model;
        const bool suffices = compared != nullptr && compared->verdict == CheckVerdict::ok && mode == "host-model";
        if (alike || suffices)
            return pass("cpu_model", suffices ? compared->detail : fmt::format("both have {}", from_.facts.cpu_model));
        refuse("cpu_model",
               fmt::format("{} shows the guest the CPU of {} ({}), {} has {}", mode, from_.name, from_.facts.cpu_model,
                           to_.name, to_.facts.cpu_model),
               way_out);
    }

    [[nodiscard]] const PairCheck* find_check(std::string_view name) const {
        if (pair_ == nullptr) return nullptr;
        const auto at = std::ranges::find(pair_->checks, name, &PairCheck::name);
        return at == pair_->checks.end() ? nullptr : &*at;
    }

    void check_networks() {
        for (const NicSpec& nic : vm_.spec.nics) {
            if (nic.network.empty() && nic.bridge.empty()) continue;  // it is a bond, and named as one
            const bool known = std::ranges::any_of(to_.facts.networks, [&](const HostNetwork& network) {
                return network.active && network.name == nic.network;
            });
            const bool bridged = std::ranges::find(to_.facts.bridges, nic.bridge) != to_.facts.bridges.end();
            const std::string what = nic.network.empty() ? "bridge " + nic.bridge : "network " + nic.network;
            if (nic.network.empty() ? bridged : known)
                pass("network:" + what, fmt::format("{} has it", to_.name));
            else
                refuse("network:" + what, fmt::format("{} has no active {}", to_.name, what),
                       fmt::format("start {} on {}", what, to_.name));
        }
    }

    void check_post_copy() {
        if (terms_.mode != MigrationMode::post_copy && terms_.mode != MigrationMode::hybrid) return;
        checks_.push_back(check_userfaultfd(to_, pair_));
    }

    const Vm& vm_;
    const Host& from_;
    const Host& to_;
    const HostPair* pair_;
    const Snapshot& snapshot_;
    const MoveTerms& terms_;
    std::vector<PairCheck> checks_;
};

}  // namespace

std::vector<PairCheck> judge_move(const Vm& vm, const Host& from, const Host& to, const HostPair* pair,
                                  const Snapshot& snapshot, const MoveTerms& terms) {
    return Preflight(vm, from, to, pair, snapshot, terms).run();
}

PairCheck check_userfaultfd(const Host& to, const HostPair* pair) {
    if (pair != nullptr)
        for (const PairCheck& check : pair->checks)
            if (check.name == "userfaultfd") return check;
    if (to.facts.userfaultfd_likely)
        return {.name = "userfaultfd",
                .verdict = CheckVerdict::ok,
                .detail = fmt::format("QEMU on {} may use userfaultfd", to.name),
                .way_out = {}};
    return {.name = "userfaultfd",
            .verdict = CheckVerdict::refused,
            .detail = fmt::format("QEMU on {} may not use userfaultfd", to.name),
            .way_out = "set vm.unprivileged_userfaultfd=1 there, or use pre_copy"};
}

Result<void> verdict_of(const std::vector<PairCheck>& checks) {
    const auto refused = [](const PairCheck& check) { return check.verdict == CheckVerdict::refused; };
    const auto first = std::ranges::find_if(checks, refused);
    if (first == checks.end()) return {};
    const auto others = std::ranges::count_if(checks, refused) - 1;
    const std::string more = others > 0 ? fmt::format(" (and {} more)", others) : "";
    const std::string way_out = first->way_out.empty() ? "" : "; " + first->way_out;
    return fail(Code::failed_precondition, "preflight {}: {}{}{}", first->name, first->detail, way_out, more);
}

bool disks_are_proven(const std::vector<PairCheck>& checks) {
    return std::ranges::all_of(checks, [](const PairCheck& check) {
        return !check.name.starts_with(disk_prefix) || check.verdict == CheckVerdict::ok;
    });
}

}  // namespace ballast::migration
