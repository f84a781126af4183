#include "daemon/jobs/migrate/curve_board.h"

#include <algorithm>
#include <array>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include "core/try.h"
#include "migration/machine.h"

namespace ballast::jobs {
namespace {

namespace asio = boost::asio;

/// Short ones show how fast it writes, long ones how far it spreads; each looks at other pages, so two are better than
/// one.
constexpr std::array windows{Seconds(1), Seconds(2), Seconds(5), Seconds(1), Seconds(2)};
constexpr Milliseconds look_again{100};
constexpr Milliseconds patience{3'000};

boost::asio::awaitable<void> wait_for(asio::any_io_executor executor, Milliseconds duration) {
    asio::steady_timer timer(executor, duration);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace

CurveBoard::CurveBoard(const Services& services)
    : executor_(services.executor),
      store_(services.store),
      hosts_(services.hosts),
      clock_(services.clock),
      settings_(services.settings) {}

std::optional<migration::DirtyCurve> CurveBoard::find(const VmId& vm) const {
    const auto found = curves_.find(vm);
    if (found == curves_.end()) return std::nullopt;
    return found->second;
}

void CurveBoard::want(const VmId& vm) {
    const auto known = curves_.find(vm);
    if (known != curves_.end() && clock_->now() - known->second.measured < settings_.curve_age) return;
    wanted_.insert(vm);
    begin_next();
}

void CurveBoard::learn(const Migration& migration) {
    if (migration.paused) return;  // what a guest does that stands still says nothing of one that runs
    auto curve = migration::updated_by_rounds(find(migration.vm), migration);
    if (curve) curves_[migration.vm] = *std::move(curve);
}

/// A VM at rest, on a managed host that can be asked: a measurement is a job of its own in libvirt and must not meet
/// another one.
std::optional<CurveBoard::Subject> CurveBoard::find_subject(const VmId& vm) const {
    const auto snapshot = store_->snapshot();
    const Vm* row = snapshot->vms.find(vm);
    if (row == nullptr || !row->managed || !row->host || row->state != VmState::running || row->job)
        return std::nullopt;
    const Host* owner = snapshot->hosts.find(*row->host);
    if (owner == nullptr || !owner->managed || !hosts_->reachable(owner->id)) return std::nullopt;
    return Subject{.vm = vm, .host = owner->id, .memory = row->balloon.count() > 0 ? row->balloon : row->spec.memory};
}

/// One VM per host at a time. What can't be measured now is forgotten: whoever wants it asks again.
void CurveBoard::begin_next() {
    for (auto at = wanted_.begin(); at != wanted_.end();) {
        const auto subject = find_subject(*at);
        if (!subject) {
            at = wanted_.erase(at);
            continue;
        }
        if (busy_.insert(subject->host).second) {
            asio::co_spawn(executor_, measure(*subject), asio::detached);
            at = wanted_.erase(at);
            continue;
        }
        ++at;
    }
}

asio::awaitable<void> CurveBoard::measure(Subject subject) {
    const auto self = shared_from_this();
    std::vector<migration::CurvePoint> points;
    for (const Seconds window : windows) {
        const auto now = find_subject(subject.vm);
        if (!now || now->host != subject.host) break;
        const auto point = co_await sample(subject, window);
        if (!point) break;
        points.push_back(*point);
    }
    auto curve = migration::updated_by_samples(find(subject.vm), points, subject.memory, clock_->now());
    if (curve) curves_[subject.vm] = *std::move(curve);
    wanted_.erase(subject.vm);  // whoever asked meanwhile has it now
    busy_.erase(subject.host);
    begin_next();
}

asio::awaitable<std::optional<migration::CurvePoint>> CurveBoard::sample(Subject subject, Seconds window) {
    const auto driver = hosts_->reachable(subject.host);
    if (!driver) co_return std::nullopt;
    const auto begun = co_await (*driver)->migration().start_dirty_rate(subject.vm, window);
    if (!begun) {
        spdlog::debug("vm={} its dirty rate is not measured: {}", subject.vm.str(), begun.error().message());
        co_return std::nullopt;
    }
    const auto end = std::chrono::steady_clock::now() + window + patience;
    while (std::chrono::steady_clock::now() < end) {
        co_await wait_for(executor_, look_again);
        const auto rate = co_await (*driver)->migration().dirty_rate(subject.vm);
        if (!rate) co_return std::nullopt;
        if (rate->status != drivers::DirtyRate::Status::measured) continue;
        co_return migration::sample_point(window, rate->rate, rate->resolution, subject.memory);
    }
    co_return std::nullopt;
}

}  // namespace ballast::jobs
