// Which flags and parameters a request becomes.
#include "drivers/libvirt/migration_params.h"

#include <map>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ballast::drivers::libvirt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr unsigned int always =
    VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE | VIR_MIGRATE_ABORT_ON_ERROR;

std::string text_of(const virTypedParameter& param) {
    switch (param.type) {
        case VIR_TYPED_PARAM_INT:
            return fmt::format("int {}", param.value.i);
        case VIR_TYPED_PARAM_ULLONG:
            return fmt::format("ullong {}", param.value.ul);
        case VIR_TYPED_PARAM_STRING:
            return fmt::format("'{}'", param.value.s);
        default:
            return fmt::format("type {}", param.type);
    }
}

std::map<std::string, std::string> params_of(const MigrationRequest& request) {
    EXPECT_EQ(virInitialize(), 0) << "libvirt's calls keep their last error per thread, which wants a start";
    TypedParams params;
    fill(params, request);
    std::map<std::string, std::string> all;
    for (int i = 0; i < params.count(); ++i) {
        const virTypedParameter& param = params.data()[i];  // NOLINT(*-pointer-arithmetic): libvirt's array
        all[param.field] = text_of(param);
    }
    return all;
}

template <class Turn>
MigrationRequest with(Turn turn) {
    MigrationRequest request;
    turn(request.knobs);
    return request;
}

TEST(MigrationParams, GoLiveInEveryModeButStopAndCopy) {
    MigrationRequest request;
    request.mode = MigrationMode::stop_and_copy;
    EXPECT_EQ(flags_of(request), always);
    request.mode = MigrationMode::pre_copy;
    EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE);
    for (const auto mode : {MigrationMode::post_copy, MigrationMode::hybrid}) {
        request.mode = mode;
        EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE | VIR_MIGRATE_POSTCOPY);
    }
}

TEST(MigrationParams, TakeUpAPausedPostCopyWithTheFlagsOfItsStart) {
    MigrationRequest request;
    request.mode = MigrationMode::hybrid;
    request.resume_post_copy = true;
    EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE | VIR_MIGRATE_POSTCOPY | VIR_MIGRATE_POSTCOPY_RESUME);
}

TEST(MigrationParams, AllowUnsafeOnlyOnRequest) {
    MigrationRequest request;
    request.allow_unsafe = true;
    EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE | VIR_MIGRATE_UNSAFE);
}

TEST(MigrationParams, LeaveAPausedGuestPaused) {
    MigrationRequest request;
    request.keep_paused = true;
    EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE | VIR_MIGRATE_PAUSED);
}

TEST(MigrationParams, SayNothingOfKnobsThatAreNotTurned) {
    EXPECT_THAT(params_of(MigrationRequest{}), IsEmpty());
    EXPECT_THAT(params_of(with([](MigrationKnobs& knobs) {
                    knobs.throttle_initial = 40;
                    knobs.throttle_increment = 20;
                    knobs.xbzrle_cache = mebibytes(64);
                })),
                IsEmpty())
        << "libvirt refuses a parameter whose flag is missing";
}

TEST(MigrationParams, RoundACapUpToWholeMebibytes) {
    MigrationRequest request;
    request.migration_uri = "tcp://10.0.0.2";
    request.bandwidth = BytesPerSecond(1);
    request.post_copy_bandwidth = BytesPerSecond(mebibytes(10).count() + 1);
    EXPECT_THAT(params_of(request), ElementsAre(Pair("bandwidth", "ullong 1"), Pair("bandwidth.postcopy", "ullong 11"),
                                                Pair("migrate_uri", "'tcp://10.0.0.2'")));
}

TEST(MigrationParams, ThrottleTheGuestByAutoConverge) {
    const auto request = with([](MigrationKnobs& knobs) {
        knobs.auto_converge = true;
        knobs.throttle_initial = 40;
        knobs.throttle_increment = 15;
    });
    EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE | VIR_MIGRATE_AUTO_CONVERGE);
    EXPECT_THAT(params_of(request),
                ElementsAre(Pair("auto_converge.increment", "int 15"), Pair("auto_converge.initial", "int 40")));
    EXPECT_THAT(params_of(with([](MigrationKnobs& knobs) { knobs.auto_converge = true; })), IsEmpty())
        << "QEMU's own defaults";
}

TEST(MigrationParams, CompressByXbzrle) {
    const auto request = with([](MigrationKnobs& knobs) {
        knobs.xbzrle = true;
        knobs.xbzrle_cache = mebibytes(64);
    });
    EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE | VIR_MIGRATE_COMPRESSED);
    EXPECT_THAT(params_of(request),
                ElementsAre(Pair("compression", "'xbzrle'"), Pair("compression.xbzrle.cache", "ullong 67108864")));
}

TEST(MigrationParams, SpreadTheStreamOverConnections) {
    const auto request = with([](MigrationKnobs& knobs) { knobs.parallel = 4; });
    EXPECT_EQ(flags_of(request), always | VIR_MIGRATE_LIVE | VIR_MIGRATE_PARALLEL);
    EXPECT_THAT(params_of(request), ElementsAre(Pair("parallel.connections", "int 4")));
}

TEST(MigrationParams, EncryptTheStreamByQemuItself) {
    EXPECT_EQ(flags_of(with([](MigrationKnobs& knobs) { knobs.tls = true; })),
              always | VIR_MIGRATE_LIVE | VIR_MIGRATE_TLS);
}

TEST(MigrationParams, CopyDisksAlong) {
    EXPECT_EQ(flags_of(with([](MigrationKnobs& knobs) { knobs.copy_disks = DiskCopy::full; })),
              always | VIR_MIGRATE_LIVE | VIR_MIGRATE_NON_SHARED_DISK);
    EXPECT_EQ(flags_of(with([](MigrationKnobs& knobs) { knobs.copy_disks = DiskCopy::incremental; })),
              always | VIR_MIGRATE_LIVE | VIR_MIGRATE_NON_SHARED_INC);
}

}  // namespace
}  // namespace ballast::drivers::libvirt
