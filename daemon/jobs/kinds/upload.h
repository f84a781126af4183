#pragma once
// A file of the daemon's upload folder on its way into a volume.

#include <string>

#include "drivers/types.h"

namespace ballast::jobs {

/// A file name within the upload folder. Errors: invalid_argument when it would leave the folder.
[[nodiscard]] Result<std::string> upload_path(const std::string& folder, const std::string& name);

struct LocalFile {
    Bytes size;
    std::string head;  ///< the first 64 KiB
};

/// Errors: not_found (it was uploaded before a clean-up, or never).
[[nodiscard]] Result<LocalFile> look_at_file(const std::string& path);

/// Reads a file once, hashing on the way. Copies share the position.
class HashingSource {
  public:
    [[nodiscard]] static Result<HashingSource> open(const std::string& path);
    [[nodiscard]] drivers::ByteSource source() const;
    /// SHA-256 of what was read so far, hexadecimal.
    [[nodiscard]] std::string sha256() const;

  private:
    struct State;
    explicit HashingSource(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
};

}  // namespace ballast::jobs
