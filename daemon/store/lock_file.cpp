#include "daemon/store/lock_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace ballast::store {
namespace {

std::string holder_of(int descriptor) {
    std::array<char, 32> text{};
    const ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
    std::string pid(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return pid.empty() ? "unknown" : pid;
}

}  // namespace

Result<LockFile> LockFile::acquire(const std::string& path) {
    LockFile lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (lock.descriptor_ < 0)
        return fail(Code::failed_precondition, "the lock file '{}' can't be opened: {}; its folder must be writable",
                    path, std::strerror(errno));
    if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0)
        return fail(Code::unavailable,
                    "another ballastd (process {}) holds the database (lock '{}'); stop it, or give this one another "
                    "database",
                    holder_of(lock.descriptor_), path);
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(lock.descriptor_, 0) != 0 ||
        ::pwrite(lock.descriptor_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        return lock;  // held all the same; only the message for a second one is poorer (a full disk)
    return lock;
}

LockFile::~LockFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace ballast::store
