// Whatever happens to the VMs of two hosts: every byte is accounted for, no figure is impossible, and somebody who
// looks all the time sees what somebody sees who looks once.
#include <random>

#include "tests/unit/drivers_simulated/memory_cluster.h"

namespace ballast::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* the_hosts =
    R"({"hosts":[{"name":"h","count":2,"memory":"7G","own":"300M","cache":"1G","swap":"1G","ksm":{"pages_to_scan":3000}}],"vms":[
    {"name":"day","count":3,"memory":"3G","balloon":{"autodeflate":false},"guest":{"sharing":"deb","shared":"300M","boot_ms":4000,
     "memory":{"pattern":"sawtooth","wants":"900M","swing":"800M","period_s":900,"phase_step_s":100,"unshares":5000}}},
    {"name":"crowd","count":2,"memory":"2G","balloon":{"free_page_reporting":false},"guest":{"sharing":"deb","shared":"500M","memory":{"pattern":"step",
     "wants":"200M","step_to":"1500M","step_after_s":300,"step_for_s":200,"step_every_s":700,"cache":"300M"}}},
    {"name":"plain","count":2,"memory":"1G","guest":{"touched":"600M","sharing":"deb","shared":"200M"}}]})";

class MemoryProperty : public MemoryOfHosts, public ::testing::WithParamInterface<int> {
  protected:
    void begin() {
        heard.clear();
        heard_at.clear();
        random.seed(static_cast<std::uint64_t>(GetParam()));
        build(the_hosts);
        other = open("h2");
    }
    std::size_t pick(std::size_t below) { return random() % below; }
    drivers::HostDriver& one_host(std::size_t number) { return number == 0 ? *host : *other; }
    void act() {
        const std::size_t at = pick(2);
        drivers::HostDriver& on = one_host(at);
        const VmId vm = id(pick(7));
        const std::size_t size = pick(12);
        switch (pick(8)) {
            case 0:
            case 1:
                static_cast<void>(run(io, on.compute().start(vm)));
                break;
            case 2:
                static_cast<void>(run(io, on.compute().destroy(vm)));
                break;
            case 3:
            case 4:
                static_cast<void>(run(io, on.memory().set_balloon(vm, mebibytes(250 + 250 * std::int64_t(size)))));
                break;
            case 5:
                static_cast<void>(
                    run(io, on.memory().set_ksm({.pages_to_scan = std::int64_t(size) * 500, .sleep_ms = 20})));
                break;
            case 6:
                move(on, vm, at == 0 ? "h2" : "h1");
                break;
            case 7:
                world().faults().set_guest(vm, {.sticks = size == 1, .silent = size == 2});
                break;
        }
    }
    /// In the background: its end is some time later.
    void move(drivers::HostDriver& from, const VmId& vm, const std::string& to) {
        drivers::MigrationRequest request;
        request.vm = vm;
        request.peer_uri = "sim://" + to;
        boost::asio::co_spawn(io, from.migration().migrate(request), [](std::exception_ptr, const Result<>&) {});
        io.restart();
        io.poll();
    }
    std::string figures() {
        std::string text;
        for (const std::size_t number : {0U, 1U}) {
            const auto all = run(io, one_host(number).memory().read()).value();
            check(all, number == 0 ? "h1" : "h2");
            text += fmt::format("free {} cached {} sharing {} scans {};", all.free.count(), all.cached.count(),
                                all.ksm->pages_sharing, all.ksm->full_scans);
            for (const auto& one : all.domains)
                text += fmt::format(" {} {} {} {}", one.balloon.count(), one.resident.count(),
                                    one.unused.value_or(Bytes(-1)).count(), one.major_faults.value_or(0));
            text += "\n";
        }
        return text;
    }
    void check(const drivers::MemoryStats& all, const std::string& name) {
        Bytes resident;
        for (const auto& one : all.domains) {
            resident += one.resident;
            EXPECT_LE(one.balloon, one.balloon_maximum);
            EXPECT_GE(one.balloon, Bytes(0));
            EXPECT_GE(one.unused.value_or(Bytes(0)), Bytes(0));
        }
        const Bytes merged = kibibytes(4) * all.ksm->pages_sharing;
        const Bytes sum = all.free + all.cached + mebibytes(300) + resident - merged;
        // What is beyond the host and its swap lasts until the kernel has ended somebody, a second.
        if (all.free.count() > 0) EXPECT_NEAR(in_mib(sum), in_mib(all.total), 0.1) << name;
        EXPECT_GE(all.free, Bytes(0));
        EXPECT_GE(all.cached, Bytes(0));
        EXPECT_GE(all.ksm->pages_volatile, 0);
        EXPECT_GE(all.ksm->pages_unshared, 0);
    }
    /// Acts at random moments, and what is seen at the end of each hour.
    std::string play(Milliseconds look) {
        begin();
        std::string seen;
        for (int step = 0; step < 120; ++step) {
            act();
            Milliseconds left(std::int64_t(pick(90'000)));
            for (; look.count() > 0 && left > look; left -= look) {
                wait(look);
                static_cast<void>(figures());
            }
            wait(left);
            if (step % 20 == 19) seen += figures();
        }
        return seen;
    }

    std::mt19937_64 random;
    std::shared_ptr<drivers::HostDriver> other;
};

TEST_P(MemoryProperty, EveryByteIsAccountedForAndLookingChangesNothing) {
    const std::string once = play(0ms);
    const auto heard_once = heard;
    const auto heard_once_at = heard_at;
    EXPECT_EQ(play(3'700ms), once);
    EXPECT_EQ(heard, heard_once);
    EXPECT_TRUE(heard_at == heard_once_at) << "nobody hears of it later because nobody looks";
}

INSTANTIATE_TEST_SUITE_P(Seeds, MemoryProperty, ::testing::Range(1, 40));

}  // namespace
}  // namespace ballast::testing
