#include "drivers/simulated/state.h"

#include <algorithm>

#include "core/try.h"

namespace ballast::drivers::simulated {

State::State(std::uint64_t seed, Instant start) : time(start), random(seed) {}

SimHost* State::find_host(const std::string& name) {
    const auto found = hosts.find(name);
    return found == hosts.end() ? nullptr : &found->second;
}

void State::emit(const SimHost& host, DriverEvent event) {
    if (host.drops_events && event.kind != DriverEvent::Kind::link) return;
    for (const auto& weak : host.sessions) {
        const auto session = weak.lock();
        if (!session || session->closed) continue;
        if (event.kind != DriverEvent::Kind::link && session->link != LinkState::up) continue;
        DriverEvent copy = event;
        copy.host = session->target.id;
        outbox.emplace_back([session, copy = std::move(copy)] {
            if (!session->closed && session->sink) session->sink(copy);
        });
    }
}

void State::emit_domain(const std::string& host, const VmId& vm, DriverEvent::Kind kind, std::string detail) {
    const SimHost* at = find_host(host);
    if (at == nullptr) return;
    DriverEvent event;
    event.kind = kind;
    event.vm = vm;
    event.detail = std::move(detail);
    emit(*at, std::move(event));
}

void State::set_session_link(const std::shared_ptr<Session>& session, LinkState link, const std::string& detail) {
    if (session->closed || session->link == link) return;
    const bool connects = link == LinkState::up && session->link != LinkState::slow;
    session->link = link;
    DriverEvent event;
    event.kind = DriverEvent::Kind::link;
    event.host = session->target.id;
    event.link = link;
    event.detail = detail;
    DriverEvent listing;
    listing.kind = DriverEvent::Kind::inventory_changed;
    listing.host = session->target.id;
    listing.detail = "connected";
    outbox.emplace_back([session, event, listing, connects] {
        if (session->closed || !session->sink) return;
        session->sink(event);
        if (connects) session->sink(listing);
    });
}

void State::set_link(const SimHost& host, LinkState link, const std::string& detail) {
    for (const auto& weak : host.sessions)
        if (const auto session = weak.lock()) set_session_link(session, link, detail);
}

const GuestLoad& State::load_of(const VmId& vm) const {
    const auto found = loads.find(vm);
    return found == loads.end() ? common_load : found->second;
}

Result<SimDomain*> State::domain(const std::string& host, const VmId& vm) {
    SimHost* at = find_host(host);
    if (at == nullptr) return fail(Code::unavailable, "host '{}' does not exist", host);
    const auto found = at->domains.find(vm);
    if (found == at->domains.end()) return fail(Code::not_found, "no domain {} on host '{}'", vm, host);
    return &found->second;
}

SimLink& State::link_between(const std::string& a, const std::string& b) {
    return links[std::minmax(a, b)];
}

Result<std::string> parse_uri(std::string_view uri) {
    constexpr std::string_view scheme = "sim://";
    if (!uri.starts_with(scheme)) return fail(Code::invalid_argument, "'{}' is not of the form sim://host", uri);
    std::string_view name = uri.substr(scheme.size());
    name = name.substr(0, name.find_first_of("/?"));
    BALLAST_CHECK(check_name("host", name));
    return std::string(name);
}

}  // namespace ballast::drivers::simulated
