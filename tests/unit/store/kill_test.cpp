// kill -9 in the middle of a write storm: everything acknowledged is there, and the log has no gap.
#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store/fixture.h"

namespace ballast::store {
namespace {

struct Acknowledged {
    std::string vm;
    std::uint64_t seq = 0;
};

class Killed : public StoreTest {
  protected:
    /// Runs the storm until `wanted` writes are acknowledged, kills it, and gives every acknowledgement it sent.
    std::vector<Acknowledged> storm(int round, std::size_t wanted) {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        std::string number = std::to_string(round);
        std::string program = STORE_STORM;
        char* arguments[] = {program.data(), options_.path.data(), number.data(), nullptr};
        pid_t child = -1;
        EXPECT_EQ(::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        std::string text;
        read_lines(ends[0], text, wanted);
        ::kill(child, SIGKILL);
        read_lines(ends[0], text, SIZE_MAX);  // what it said before it died
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself with " << WEXITSTATUS(status);
        ::close(ends[0]);
        return parse(text);
    }

  private:
    static void read_lines(int from, std::string& text, std::size_t wanted) {
        char block[4096];
        ssize_t size = 0;
        while (static_cast<std::size_t>(std::ranges::count(text, '\n')) < wanted &&
               (size = ::read(from, block, sizeof block)) > 0)
            text.append(block, static_cast<std::size_t>(size));
    }
    static std::vector<Acknowledged> parse(const std::string& text) {
        std::vector<Acknowledged> all;
        std::istringstream lines(text.substr(0, text.rfind('\n') + 1));
        for (Acknowledged one; lines >> one.vm >> one.seq;) all.push_back(one);
        return all;
    }
};

TEST_F(Killed, KeepsEverythingAcknowledgedAndALogWithoutGaps) {
    std::vector<Acknowledged> acknowledged;
    for (int round = 0; round < 5; ++round) {
        const auto more = storm(round, 50 + static_cast<std::size_t>(round) * 37);
        ASSERT_GE(more.size(), 50U);
        acknowledged.insert(acknowledged.end(), more.begin(), more.end());
        open();
        ASSERT_TRUE(store_->health().writable) << store_->health().reason;
        for (const auto& [vm, seq] : acknowledged) {
            EXPECT_NE(now().vms.find(VmId(vm)), nullptr) << vm;
            EXPECT_LE(seq, now().seq);
        }
        const auto log = events({.limit = 10'000});
        ASSERT_EQ(log.size(), now().seq);
        for (std::size_t i = 0; i < log.size(); ++i) ASSERT_EQ(log[i].seq, i + 1);
        const auto replayed = at(now().seq);
        ASSERT_TRUE(replayed) << replayed.error().chain();
        EXPECT_EQ((*replayed)->vms.size(), now().vms.size());
        store_->close();
        store_.reset();
    }
}

}  // namespace
}  // namespace ballast::store
