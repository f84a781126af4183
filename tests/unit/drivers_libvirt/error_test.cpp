#include "drivers/libvirt/error.h"

#include <cerrno>

#include <gtest/gtest.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "drivers/libvirt/connection.h"
#include "drivers/libvirt/handle.h"

namespace ballast::drivers::libvirt {
namespace {

TEST(LibvirtError, BecomesTheCodeThatACallerCanActOn) {
    EXPECT_EQ(code_of(VIR_ERR_NO_DOMAIN, "", 0), Code::not_found);
    EXPECT_EQ(code_of(VIR_ERR_NO_STORAGE_VOL, "", 0), Code::not_found);
    EXPECT_EQ(code_of(VIR_ERR_STORAGE_VOL_EXIST, "", 0), Code::already_exists);
    EXPECT_EQ(code_of(VIR_ERR_OPERATION_FAILED, "domain 'a' already exists with uuid x", 0), Code::already_exists);
    EXPECT_EQ(code_of(VIR_ERR_OPERATION_FAILED, "migration failed", 0), Code::failed_precondition);
    EXPECT_EQ(code_of(VIR_ERR_OPERATION_INVALID, "domain is not running", 0), Code::failed_precondition);
    EXPECT_EQ(code_of(VIR_ERR_MIGRATE_UNSAFE, "", 0), Code::failed_precondition);
    EXPECT_EQ(code_of(VIR_ERR_OPERATION_ABORTED, "", 0), Code::cancelled);
    EXPECT_EQ(code_of(VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock", 0), Code::unavailable);
    EXPECT_EQ(code_of(VIR_ERR_NO_SUPPORT, "", 0), Code::unimplemented);
    EXPECT_EQ(code_of(VIR_ERR_AUTH_FAILED, "", 0), Code::permission_denied);
    EXPECT_EQ(code_of(VIR_ERR_XML_ERROR, "", 0), Code::invalid_argument);
    EXPECT_EQ(code_of(VIR_ERR_SYSTEM_ERROR, "cannot write", ENOSPC), Code::resource_exhausted);
    EXPECT_EQ(code_of(VIR_ERR_INTERNAL_ERROR, "qemu: cannot set up guest memory 'ram'", 0), Code::resource_exhausted);
    EXPECT_EQ(code_of(VIR_ERR_INTERNAL_ERROR, "anything", 0), Code::internal);
}

TEST(LibvirtError, TellsAPeerThatNobodyAnswersAtFromAFault) {
    constexpr auto refused = "unable to connect to server at 'h2:16509': Connection refused";
    EXPECT_EQ(code_of(VIR_ERR_SYSTEM_ERROR, refused, ECONNREFUSED), Code::unavailable);
    EXPECT_EQ(code_of(VIR_ERR_SYSTEM_ERROR, "Cannot recv data: Connection reset by peer", ECONNRESET),
              Code::unavailable);
    EXPECT_EQ(
        code_of(VIR_ERR_SYSTEM_ERROR, "unable to connect to server at 'h2:16509': No route to host", EHOSTUNREACH),
        Code::unavailable);
    EXPECT_EQ(
        code_of(VIR_ERR_SYSTEM_ERROR, "unable to connect to server at 'h2:16509': Connection timed out", ETIMEDOUT),
        Code::unavailable);
    EXPECT_EQ(code_of(VIR_ERR_OPERATION_FAILED,
                      "Failed to connect to remote libvirt URI qemu+tcp://h2/system: Connection refused", 0),
              Code::unavailable);
    EXPECT_EQ(code_of(VIR_ERR_SYSTEM_ERROR, "cannot open file '/x': Permission denied", EACCES), Code::internal);
}

TEST(LibvirtError, CallsMissingCertificatesAMatterOfState) {
    for (const char* words :
         {"unable to execute QEMU command 'object-add': Unable to access credentials /etc/pki/qemu/ca-cert.pem: No "
          "such "
          "file or directory",
          "host migration TLS directory not configured",
          "operation failed: job 'migration out' failed: Cannot write to TLS channel: Input/output error",
          "operation failed: job 'migration out' failed: Certificate does not match the hostname 10.97.1.12"}) {
        EXPECT_EQ(code_of(VIR_ERR_INTERNAL_ERROR, words, 0), Code::failed_precondition) << words;
        EXPECT_TRUE(lacks_certificates(words)) << words;
    }
    EXPECT_FALSE(lacks_certificates("operation failed: job 'migration out' failed: Input/output error"));
}

TEST(LibvirtError, CallsAMoveToTheSameHostAMatterOfState) {
    EXPECT_EQ(code_of(VIR_ERR_INTERNAL_ERROR,
                      "Attempt to migrate guest to the same host bd3be3d2-eed9-56dc-a419-ec5e96da53c4", 0),
              Code::failed_precondition);
}

TEST(LibvirtError, CallsASwitchBeforeTheFirstBytesAMatterOfState) {
    EXPECT_EQ(code_of(VIR_ERR_INTERNAL_ERROR,
                      "unable to execute QEMU command 'migrate-start-postcopy': Enable postcopy with "
                      "migrate_set_capability before the start of migration",
                      0),
              Code::failed_precondition);
}

TEST(LibvirtError, NamesWhatWasBeingDoneAndLibvirtsWords) {
    ensure_event_loop();
    const ConnectHandle connection(virConnectOpen("test:///default"));
    ASSERT_TRUE(connection);
    const Domain none(virDomainLookupByName(connection.get(), "nobody"));
    ASSERT_FALSE(none);
    const Error error = last_error("can't find domain 'nobody'");
    EXPECT_EQ(error.code(), Code::not_found);
    EXPECT_EQ(error.message().find("can't find domain 'nobody': Domain not found"), 0U) << error.message();
}

TEST(LibvirtError, SaysSoWhenLibvirtLeftNoReason) {
    ASSERT_EQ(virInitialize(), 0);  // before it, libvirt's last error is memory that nobody owns
    virResetLastError();
    EXPECT_EQ(last_error("can't do it").code(), Code::internal);
    EXPECT_EQ(last_error_number(), VIR_ERR_OK);
}

}  // namespace
}  // namespace ballast::drivers::libvirt
