#pragma once
// Keeps a second ballastd off the database: flock on a file beside it, with the holder's pid inside. Released with the
// process, however it ends.

#include <string>

#include "core/error.h"

namespace ballast::store {

class LockFile {
  public:
    /// Errors: unavailable (held; names the pid), failed_precondition (can't be made).
    [[nodiscard]] static Result<LockFile> acquire(const std::string& path);
    LockFile(LockFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    LockFile& operator=(LockFile&&) = delete;
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;
    ~LockFile();

  private:
    explicit LockFile(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
};

}  // namespace ballast::store
