#include "migration/compatibility.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <utility>

#include <boost/describe/enum_to_string.hpp>

#include "core/try.h"

namespace ballast::migration {
namespace {

constexpr Bytes page{4096};
constexpr int fewest_connections = 2;
constexpr int most_connections = 16;

/// libvirt and QEMU number their releases alike.
constexpr std::uint64_t release(std::uint64_t major, std::uint64_t minor) {
    return major * 1'000'000 + minor * 1'000;
}

/// What stands against a request: an error of the request itself, or of the hosts' age.
struct Objection {
    Code code = Code::invalid_argument;
    std::string what;
    std::string way_out;
};

Objection contradiction(std::string what, std::string way_out) {
    return {.code = Code::invalid_argument, .what = std::move(what), .way_out = std::move(way_out)};
}

/// One request under judgement. Each member names the first thing that stands against it, or nothing.
struct Request {
    ModeChoice mode;
    const MigrationKnobs& knobs;
    const MigrationTerms& terms;
    const HypervisorVersions& versions;

    using Judgement = std::optional<Objection>;

    [[nodiscard]] bool switches() const { return mode == ModeChoice::post_copy || mode == ModeChoice::hybrid; }
    [[nodiscard]] bool copies_disks() const { return knobs.copy_disks != DiskCopy::none; }

    [[nodiscard]] Judgement ranges() const {
        if (knobs.parallel != 0 && (knobs.parallel < fewest_connections || knobs.parallel > most_connections))
            return contradiction(fmt::format("parallel: {} connections are not between {} and {}", knobs.parallel,
                                             fewest_connections, most_connections),
                                 "leave it out (0) for one stream");
        if (knobs.throttle_initial < 0 || knobs.throttle_initial > 99 || knobs.throttle_increment < 0 ||
            knobs.throttle_increment > 99)
            return contradiction(
                fmt::format("throttle_initial, throttle_increment: {} and {} are not between 1 and 99 %",
                            knobs.throttle_initial, knobs.throttle_increment),
                "leave them out (0) for QEMU's 20 and 10");
        const bool odd_cache =
            knobs.xbzrle_cache && (*knobs.xbzrle_cache < page ||
                                   !std::has_single_bit(static_cast<std::uint64_t>(knobs.xbzrle_cache->count())));
        if (odd_cache)
            return contradiction(
                fmt::format("xbzrle_cache: {} is no power of two of at least {}", *knobs.xbzrle_cache, page),
                "name 64M, 128M, …");
        return std::nullopt;
    }

    /// Values for a knob that is not turned on would be dropped in silence.
    [[nodiscard]] Judgement belongings() const {
        if (!knobs.auto_converge && (knobs.throttle_initial > 0 || knobs.throttle_increment > 0))
            return contradiction("throttle_initial and throttle_increment need auto_converge", "set auto_converge");
        if (!knobs.xbzrle && knobs.xbzrle_cache) return contradiction("xbzrle_cache needs xbzrle", "set xbzrle");
        if (knobs.auto_converge && terms.max_throttle == 0)
            return contradiction("auto_converge: the policy's max_throttle is 0, the guest may not be slowed down",
                                 "raise policy.max_throttle, or leave auto_converge out");
        constexpr int qemu_initial = 20;
        const int first = knobs.throttle_initial > 0 ? knobs.throttle_initial : qemu_initial;
        if (knobs.auto_converge && first > terms.max_throttle)
            return contradiction(fmt::format("throttle_initial: the first step of {} % is above the policy's "
                                             "max_throttle of {} %",
                                             first, terms.max_throttle),
                                 "lower throttle_initial, or raise policy.max_throttle");
        return std::nullopt;
    }

    [[nodiscard]] Judgement offline() const {
        if (mode != ModeChoice::offline) return std::nullopt;
        if (copies_disks())
            return contradiction("copy_disks: an offline move transfers the definition alone, no disk",
                                 "start the VM and copy its disks in a live move, or share the pool");
        if (knobs != MigrationKnobs{})
            return contradiction("an offline move has no memory stream for any knob to work on", "leave the knobs out");
        return std::nullopt;
    }

    /// Knobs for pages that are sent again, in modes that send each page once.
    [[nodiscard]] Judgement once_only() const {
        if (mode != ModeChoice::stop_and_copy && mode != ModeChoice::post_copy) return std::nullopt;
        const std::string_view why =
            mode == ModeChoice::stop_and_copy ? "the guest stands still" : "the guest has left";
        if (knobs.auto_converge)
            return contradiction(
                fmt::format("auto_converge slows a guest that writes during the copy; in {} {}", name(mode), why),
                "leave it out, or use pre_copy or hybrid");
        if (knobs.xbzrle)
            return contradiction(
                fmt::format("xbzrle shortens pages that are sent again; {} sends each page once", name(mode)),
                "leave it out, or use pre_copy or hybrid");
        return std::nullopt;
    }

    [[nodiscard]] Judgement post_copy() const {
        if (!switches()) return std::nullopt;
        if (!terms.post_copy)
            return contradiction(fmt::format("{} needs post-copy, which the policy forbids", name(mode)),
                                 "set policy.post_copy, or use pre_copy");
        if (knobs.parallel > 0)
            return contradiction(
                "parallel: QEMU takes several connections together with post-copy, but does not support "
                "it",
                "use one stream, or pre_copy");
        if (knobs.tls && copies_disks())
            return contradiction(
                "tls with copy_disks: with post-copy, the disks' own TLS connections are known to hang "
                "at the switch",
                "use pre_copy, leave tls out, or share the pool");
        return std::nullopt;
    }

    [[nodiscard]] Judgement pairs() const {
        if (knobs.parallel > 0 && knobs.xbzrle)
            return contradiction("xbzrle: parallel connections do not compress against what was sent before",
                                 "use one of the two");
        return std::nullopt;
    }

    [[nodiscard]] Judgement versions_suffice() const {
        const auto needs = [this](bool wanted, std::string_view what, std::uint64_t libvirt,
                                  std::uint64_t qemu) -> Judgement {
            if (!wanted) return std::nullopt;
            if (versions.libvirt != 0 && versions.libvirt < libvirt)
                return too_old(what, "libvirt", versions.libvirt, libvirt);
            if (versions.qemu != 0 && versions.qemu < qemu) return too_old(what, "QEMU", versions.qemu, qemu);
            return std::nullopt;
        };
        // A post-copy that can't be recovered is not offered: VIR_MIGRATE_POSTCOPY_RESUME is of libvirt 8.5.
        if (auto o = needs(switches(), "post-copy with recovery", release(8, 5), release(3, 0))) return o;
        if (auto o = needs(knobs.parallel > 0, "parallel", release(5, 2), release(4, 0))) return o;
        if (auto o = needs(knobs.tls, "tls", release(3, 2), release(2, 9))) return o;
        if (auto o = needs(knobs.tls && knobs.parallel > 0, "tls with parallel", release(5, 2), release(5, 2)))
            return o;
        // QEMU 5.1 and 5.2 were seen to stop short of the end.
        return needs(knobs.tls && copies_disks(), "tls with copy_disks", release(4, 4), release(6, 0));
    }

    [[nodiscard]] static std::string name(ModeChoice mode) {
        return mode == ModeChoice::auto_ ? "auto" : boost::describe::enum_to_string(mode, "unknown");
    }

    static Objection too_old(std::string_view what, std::string_view whose, std::uint64_t has, std::uint64_t wants) {
        const auto text = [](std::uint64_t v) { return fmt::format("{}.{}", v / 1'000'000, v / 1'000 % 1'000); };
        return {.code = Code::failed_precondition,
                .what = fmt::format("{} needs {} {} on both hosts, one has {}", what, whose, text(wants), text(has)),
                .way_out = fmt::format("upgrade {}, or leave it out", whose)};
    }
};

std::optional<Objection> objection_to(const Request& request) {
    using Judge = std::optional<Objection> (Request::*)() const;
    constexpr std::array<Judge, 7> judges{&Request::ranges,          &Request::belongings, &Request::offline,
                                          &Request::once_only,       &Request::post_copy,  &Request::pairs,
                                          &Request::versions_suffice};
    for (const Judge judge : judges)
        if (auto objection = (request.*judge)()) return objection;
    return std::nullopt;
}

/// Ballast may choose any mode that the terms leave open: one that fits is enough. What stands against all of them is
/// told of the plainest one.
std::optional<Objection> objection_to_all(const MigrationKnobs& knobs, const MigrationTerms& terms,
                                          const HypervisorVersions& versions) {
    std::optional<Objection> first;
    for (const ModeChoice mode :
         {ModeChoice::pre_copy, ModeChoice::hybrid, ModeChoice::post_copy, ModeChoice::stop_and_copy}) {
        auto objection = objection_to({mode, knobs, terms, versions});
        if (!objection) return std::nullopt;
        if (!first) first = std::move(objection);
    }
    return first;
}

/// The knobs of the table, each turned on in the way that suits every mode.
struct NamedKnob {
    std::string_view name;
    void (*turn_on)(MigrationKnobs& knobs);
    std::string_view needs;
};

constexpr std::array<NamedKnob, 6> table_knobs{{
    {"auto_converge", [](MigrationKnobs& k) { k.auto_converge = true; }, ""},
    {"xbzrle", [](MigrationKnobs& k) { k.xbzrle = true; }, "memory for its cache on the source"},
    {"parallel", [](MigrationKnobs& k) { k.parallel = fewest_connections; }, ""},
    {"tls", [](MigrationKnobs& k) { k.tls = true; }, "certificates for QEMU on both hosts"},
    {"copy_disks=full", [](MigrationKnobs& k) { k.copy_disks = DiskCopy::full; }, "room in the target's pool"},
    {"copy_disks=incremental", [](MigrationKnobs& k) { k.copy_disks = DiskCopy::incremental; },
     "a file on top of the same backing image on the target"},
}};

std::string needs_of(const NamedKnob& knob, const NamedKnob* with) {
    if (with == nullptr || with->needs.empty()) return std::string(knob.needs);
    return knob.needs.empty() ? std::string(with->needs) : fmt::format("{}; {}", knob.needs, with->needs);
}

bool exclude_each_other(const NamedKnob& a, const NamedKnob& b) {
    return a.name.starts_with("copy_disks") && b.name.starts_with("copy_disks");
}

CompatibilityRow cell(ModeChoice mode, const NamedKnob& knob, const NamedKnob* with,
                      const HypervisorVersions& versions) {
    MigrationKnobs knobs;
    knob.turn_on(knobs);
    if (with != nullptr) with->turn_on(knobs);
    MigrationTerms terms;
    terms.post_copy = true;
    const auto objection = mode == ModeChoice::auto_ ? objection_to_all(knobs, terms, versions)
                                                     : objection_to({mode, knobs, terms, versions});
    return {.mode = mode,
            .knob = std::string(knob.name),
            .with = with != nullptr ? std::string(with->name) : std::string(),
            .supported = !objection,
            .reason = objection ? objection->what : "",
            .way_out = objection ? objection->way_out : "",
            .needs = objection ? "" : needs_of(knob, with)};
}

}  // namespace

HypervisorVersions versions_of(const HostFacts& facts) {
    return {.libvirt = facts.libvirt_version, .qemu = facts.qemu_version};
}

HypervisorVersions older_of(const HypervisorVersions& a, const HypervisorVersions& b) {
    const auto older = [](std::uint64_t x, std::uint64_t y) { return x == 0 ? y : y == 0 ? x : std::min(x, y); };
    return {.libvirt = older(a.libvirt, b.libvirt), .qemu = older(a.qemu, b.qemu)};
}

ModeChoice as_choice(MigrationMode mode) {
    switch (mode) {
        case MigrationMode::stop_and_copy:
            return ModeChoice::stop_and_copy;
        case MigrationMode::pre_copy:
            return ModeChoice::pre_copy;
        case MigrationMode::post_copy:
            return ModeChoice::post_copy;
        case MigrationMode::hybrid:
            return ModeChoice::hybrid;
    }
    std::unreachable();
}

Result<void> check_combination(ModeChoice mode, const MigrationKnobs& knobs, const MigrationTerms& terms,
                               const HypervisorVersions& versions) {
    const auto objection = mode == ModeChoice::auto_ ? objection_to_all(knobs, terms, versions)
                                                     : objection_to({mode, knobs, terms, versions});
    if (!objection) return {};
    return fail(objection->code, "{}; {}", objection->what, objection->way_out);
}

std::vector<CompatibilityRow> compatibility_table(const HypervisorVersions& versions) {
    std::vector<CompatibilityRow> table;
    for (const ModeChoice mode : {ModeChoice::auto_, ModeChoice::stop_and_copy, ModeChoice::pre_copy,
                                  ModeChoice::post_copy, ModeChoice::hybrid, ModeChoice::offline})
        for (std::size_t i = 0; i < table_knobs.size(); ++i) {
            table.push_back(cell(mode, table_knobs[i], nullptr, versions));
            for (std::size_t j = i + 1; j < table_knobs.size(); ++j)
                if (!exclude_each_other(table_knobs[i], table_knobs[j]))
                    table.push_back(cell(mode, table_knobs[i], &table_knobs[j], versions));
        }
    return table;
}

}  // namespace ballast::migration
