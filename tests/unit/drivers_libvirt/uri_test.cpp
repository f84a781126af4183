#include "drivers/libvirt/uri.h"

#include <gtest/gtest.h>

#include "tests/unit/drivers_libvirt/matchers.h"

namespace ballast::drivers::libvirt {
namespace {

using ballast::testing::Refuses;
using ballast::testing::Succeeds;

TEST(LibvirtUri, TakesEveryTransportThatRunsNoProgramOfTheUri) {
    for (const char* text :
         {"qemu:///system", "qemu:///session", "qemu+unix:///system?socket=/run/x/libvirt-sock",
          "qemu+tcp://10.0.0.1/system", "qemu+tls://node1.example/system?no_verify=1&pkipath=/etc/pki",
          "qemu+ssh://root@node1:2222/system?keyfile=/k", "qemu+libssh://node1/system",
          "qemu+libssh2://node1/system?known_hosts=/kh", "qemu://node1/system", "qemu+tcp://[fd00::1]:16509/system",
          "test:///default", "test:///etc/host.xml"})
        EXPECT_THAT(parse_uri(text), Succeeds()) << text;
}

TEST(LibvirtUri, ReadsItsParts) {
    const auto uri = parse_uri("qemu+ssh://root@node1:2222/system?keyfile=/k&no_tty=1");
    ASSERT_THAT(uri, Succeeds());
    EXPECT_EQ(*uri, (Uri{.driver = "qemu",
                         .transport = "ssh",
                         .user = "root",
                         .host = "node1",
                         .port = 2222,
                         .path = "/system",
                         .parameters = {{"keyfile", "/k"}, {"no_tty", "1"}}}));
}

TEST(LibvirtUri, KnowsWhereAProbeCanKnock) {
    const auto port = [](const char* text) { return tcp_port(*parse_uri(text)); };
    EXPECT_EQ(port("qemu+tcp://h/system"), 16509);
    EXPECT_EQ(port("qemu+tls://h/system"), 16514);
    EXPECT_EQ(port("qemu://h/system"), 16514);
    EXPECT_EQ(port("qemu+ssh://h/system"), 22);
    EXPECT_EQ(port("qemu+tcp://h:7/system"), 7);
    EXPECT_EQ(port("qemu+tcp://[::1]:7/system"), 7);
    EXPECT_EQ(port("qemu:///system"), 0);
    EXPECT_EQ(port("qemu+unix:///system"), 0);
    EXPECT_EQ(port("test:///default"), 0);
}

struct Bad {
    const char* text;
    const char* because;
};

class BadUri : public ::testing::TestWithParam<Bad> {};

TEST_P(BadUri, IsRefusedWithItsReason) {
    EXPECT_THAT(parse_uri(GetParam().text), Refuses(Code::invalid_argument, GetParam().because));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadUri,
    ::testing::Values(Bad{"", "such as"}, Bad{"node1", "not a host URI"}, Bad{"http://node1/", "is unknown"},
                      Bad{"xen:///system", "only qemu"}, Bad{"lxc:///system", "only qemu"},
                      Bad{"qemu+ext://node1/system?command=/bin/sh", "runs a program"},
                      Bad{"qemu+carrier-pigeon://node1/system", "is unknown"},
                      Bad{"qemu+ssh://node1/system?command=/tmp/evil", "names a program"},
                      Bad{"qemu+ssh://node1/system?netcat=/tmp/evil", "names a program"},
                      Bad{"qemu+ssh://node1/system?c%6Fmmand=/tmp/evil", "%-escapes"},
                      Bad{"qemu+ssh://node1/system?no_tty=1;command=/tmp/evil", "'&'"},
                      Bad{"qemu+ssh://node1/system?shell=/tmp/evil", "list of known"},
                      Bad{"qemu+ssh://node1/system?no_tty=1&no_tty=2", "twice"},
                      Bad{"qemu+ssh://-oProxyCommand=evil/system", "not a host name"},
                      Bad{"qemu+ssh://-l@node1/system", "not a user name"}, Bad{"qemu+tcp:///system", "needs a host"},
                      Bad{"qemu+tcp://h:0/system", "not a port"}, Bad{"qemu+tcp://h:99999/system", "not a port"},
                      Bad{"qemu+tcp://h:1x/system", "not a port"}, Bad{"qemu+tcp://[::1/system", "IPv6"},
                      Bad{"qemu+unix://h/system", "no host"}, Bad{"qemu+tcp://h/embed?root=/x", "list of known"},
                      Bad{"qemu+tcp://h/", "/system"}, Bad{"qemu+tcp://h", "/system"}, Bad{"test:///", "/default"},
                      Bad{"qemu+tcp://h/system#x", "'#'"}, Bad{"qemu+tcp://h h/system", "without spaces"},
                      Bad{"qemu+tcp://h\n/system", "without spaces"}, Bad{"qemu+tcp://h\xc3\xa4/system", "printable"}));

TEST(LibvirtUri, HasALongestLength) {
    EXPECT_THAT(parse_uri("qemu+tcp://" + std::string(2'000, 'a') + "/system"),
                Refuses(Code::invalid_argument, "at most"));
}

}  // namespace
}  // namespace ballast::drivers::libvirt
