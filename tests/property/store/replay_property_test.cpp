// Whatever is put, erased and refused: the published snapshot, the reopened one and the one rebuilt from the log are
// the same, at the end and at every moment before.
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include "core/json.h"
#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

enum class Act : std::uint8_t { put_vm, put_host, put_job, put_volume, erase_vm, erase_host, refuse, emit };

struct Step {
    Act act = Act::put_vm;
    int row = 0;
    int value = 0;
};

rc::Gen<Step> any_step() {
    return rc::gen::map(rc::gen::tuple(rc::gen::inRange(0, 8), rc::gen::inRange(0, 5), rc::gen::inRange(0, 4)),
                        [](const std::tuple<int, int, int>& made) {
                            return Step{static_cast<Act>(std::get<0>(made)), std::get<1>(made), std::get<2>(made)};
                        });
}

Event alert(const std::string& vm) {
    Event event;
    event.kind = "vm.alerted";
    event.subject_kind = "vm";
    event.subject_id = vm;
    return event;
}

Result<void> take(Transaction& transaction, const Step& step) {
    const std::string id = fmt::format("r{}", step.row);
    const EventNote note{"test.done", "by a property"};
    switch (step.act) {
        case Act::put_vm: {
            Vm vm = test::a_vm(id).build();
            vm.spec.vcpus = 1 + step.value / 2;
            vm.state_reason = fmt::format("value {}", step.value);
            transaction.put(vm, note);
            return {};
        }
        case Act::put_host:
            transaction.put(test::a_host(id).cpus(step.value).build(), note);
            return {};
        case Act::put_job: {
            Job job;
            job.id = JobId(id);
            job.params.text = fmt::format(R"({{"value":{}}})", step.value);
            transaction.put(job, note);
            return {};
        }
        case Act::put_volume: {
            Volume volume;
            volume.id = VolumeId(id);
            volume.capacity = mebibytes(step.value);
            transaction.put(volume, note);
            return {};
        }
        case Act::erase_vm:
            transaction.erase(VmId(id), note);
            return {};
        case Act::erase_host:
            transaction.erase(HostId(id), note);
            return {};
        case Act::emit:
            transaction.emit(alert(id));
            return {};
        case Act::refuse:
            return fail(Code::conflict, "this item is refused");
    }
    std::unreachable();
}

/// Everything but the tokens, in order of the ids.
std::string text_of(const Snapshot& snapshot) {
    return dump(to_json(snapshot));
}

class Replay : public StoreTest {
  public:
    void TestBody() override {}

    void holds_for(const std::vector<std::vector<Step>>& items) {
        options_.base_every = 7;
        open();
        std::map<std::uint64_t, std::string> moments;
        moments[0] = text_of(now());
        for (const auto& item : items) {
            const std::string before = text_of(now());
            const auto written = write([&item](Transaction& transaction) -> Result<void> {
                for (const Step& step : item) BALLAST_CHECK(take(transaction, step));
                return {};
            });
            if (!written) RC_ASSERT(text_of(now()) == before);
            moments[now().seq] = text_of(now());
        }
        check_moments(moments);
        reopen();
        RC_ASSERT(text_of(now()) == moments.rbegin()->second);
        check_moments(moments);
        store_->close();
    }

  private:
    void check_moments(const std::map<std::uint64_t, std::string>& moments) {
        for (const auto& [seq, text] : moments) {
            const auto rebuilt = at(seq);
            RC_ASSERT(rebuilt.has_value());
            RC_ASSERT(text_of(**rebuilt) == text);
        }
    }
};

RC_GTEST_PROP(Store, IsTheSamePublishedReopenedAndRebuilt, ()) {
    const auto item = rc::gen::resize(6, rc::gen::container<std::vector<Step>>(any_step()));
    const auto items = *rc::gen::resize(12, rc::gen::container<std::vector<std::vector<Step>>>(item));
    Replay().holds_for(items);
}

}  // namespace
}  // namespace ballast::store
