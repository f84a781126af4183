#include "drivers/libvirt/words.h"

#include <gtest/gtest.h>
#include <libvirt/libvirt.h>

namespace ballast::drivers::libvirt {
namespace {

TEST(LibvirtWords, TellTheStatesThatMatterForOwnershipApart) {
    EXPECT_EQ(state_of(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED), DomainState::running);
    EXPECT_EQ(state_of(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_POSTCOPY), DomainState::postcopy_target);
    EXPECT_EQ(state_of(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_POSTCOPY_FAILED), DomainState::postcopy_failed);
    EXPECT_EQ(state_of(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER), DomainState::paused);
    EXPECT_EQ(state_of(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY), DomainState::postcopy_source);
    EXPECT_EQ(state_of(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED), DomainState::postcopy_failed);
    EXPECT_EQ(state_of(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, true), DomainState::incoming);
    EXPECT_EQ(state_of(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, false), DomainState::paused);
    EXPECT_EQ(state_of(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN), DomainState::shut_off);
    EXPECT_EQ(state_of(VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED), DomainState::crashed);
    EXPECT_EQ(state_of(VIR_DOMAIN_NOSTATE, 0), DomainState::unknown);
}

TEST(LibvirtWords, APreservedCrashKeepsItsQemuAndSoCountsAsActive) {
    EXPECT_TRUE(is_active(state_of(VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED)));
    EXPECT_EQ(words_of_state(VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED), "panicked");
}

TEST(LibvirtWords, OnlyAMigrationsPauseIsAmbiguous) {
    EXPECT_TRUE(is_ambiguous(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION));
    EXPECT_FALSE(is_ambiguous(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER));
    EXPECT_FALSE(is_ambiguous(VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED));
}

TEST(LibvirtWords, SayWhatHappenedAndWhy) {
    EXPECT_EQ(words_of_lifecycle(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED), "started: booted");
    EXPECT_EQ(words_of_lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED), "stopped: migrated");
    EXPECT_EQ(words_of_lifecycle(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED),
              "suspended: post-copy failed");
    EXPECT_EQ(words_of_lifecycle(VIR_DOMAIN_EVENT_STARTED, 99), "started") << "a newer libvirt's detail";
    EXPECT_EQ(words_of_lifecycle(99, 0), "event 99") << "a newer libvirt's event";
    EXPECT_EQ(words_of_state(VIR_DOMAIN_PAUSED, 99), "");
    EXPECT_EQ(words_of_state(VIR_DOMAIN_PAUSED, -1), "");
}

}  // namespace
}  // namespace ballast::drivers::libvirt
