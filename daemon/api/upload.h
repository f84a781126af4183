#pragma once
// A body on its way to a file in the upload folder, never in memory: hashed, limited, with room kept on the disk. Until
// it is complete it has another name; when it is dropped before, nothing stays. Each `add`, `finish` and `publish` is
// one piece of work: one at a time, any thread.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/units.h"
#include "daemon/api/crypto.h"
#include "daemon/api/http.h"

namespace ballast::api {

struct UploadLimits {
    Bytes size;
    Bytes disk_reserve;
};

class UploadFile {
  public:
    /// Begins a file for `name` in `folder`. Errors: invalid_argument (the name), resource_exhausted (the disk, or a
    /// `length` above the limit), unavailable (the folder can't be written).
    static Result<std::unique_ptr<UploadFile>> open(std::string folder, std::string name, std::optional<Bytes> length,
                                                    UploadLimits limits);
    ~UploadFile();
    UploadFile(const UploadFile&) = delete;
    UploadFile& operator=(const UploadFile&) = delete;

    Result<void> add(std::string_view bytes);
    /// Syncs it. It gets its name only by `publish`, so that whoever answers may still refuse (an Idempotency-Key of
    /// another upload) and leave the old file as it is.
    static Result<ReceivedFile> finish(std::shared_ptr<UploadFile> self);

  private:
    UploadFile(std::string folder, std::string name, UploadLimits limits);
    [[nodiscard]] Result<void> check_room(Bytes wanted) const;
    Result<void> publish(const std::string& path);

    std::string folder_;
    std::string name_;
    std::string partial_;
    UploadLimits limits_;
    Sha256 hash_;
    Bytes size_;
    Bytes checked_;  ///< up to here the disk's room was checked
    int file_ = -1;
};

/// Removes what a crash left behind: partial files. Called once at the start.
void remove_partial_uploads(const std::string& folder);

}  // namespace ballast::api
