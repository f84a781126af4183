#include "daemon/api/upload.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/ids.h"
#include "core/try.h"

namespace ballast::api {
namespace {

constexpr std::string_view partial_suffix = ".partial";
constexpr Bytes check_every = mebibytes(16);

Error disk_error(const std::string& path, int number) {
    const Code code = number == ENOSPC || number == EDQUOT ? Code::resource_exhausted : Code::unavailable;
    return Error(code, fmt::format("the upload {} can't be written: {}", path, std::strerror(number)));
}

}  // namespace

UploadFile::UploadFile(std::string folder, std::string name, UploadLimits limits)
    : folder_(std::move(folder)),
      name_(std::move(name)),
      partial_(folder_ + "/." + name_ + "." + base64url(random_bytes(6)) + std::string(partial_suffix)),
      limits_(limits) {}

UploadFile::~UploadFile() {
    if (file_ < 0) return;
    ::close(file_);
    ::unlink(partial_.c_str());
}

Result<std::unique_ptr<UploadFile>> UploadFile::open(std::string folder, std::string name, std::optional<Bytes> length,
                                                     UploadLimits limits) {
    BALLAST_CHECK(check_name("upload", name));
    if (length && *length > limits.size)
        return fail(Code::resource_exhausted, "the upload has {}; the limit is {}", *length, limits.size);
    std::unique_ptr<UploadFile> upload(new UploadFile(std::move(folder), std::move(name), limits));
    std::error_code ignored;
    std::filesystem::create_directories(upload->folder_, ignored);
    BALLAST_CHECK(upload->check_room(length.value_or(Bytes(0))));
    upload->file_ = ::open(upload->partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (upload->file_ < 0) return std::unexpected(disk_error(upload->partial_, errno));
    return upload;
}

Result<void> UploadFile::check_room(Bytes wanted) const {
    struct statvfs room{};
    if (::statvfs(folder_.c_str(), &room) != 0) return std::unexpected(disk_error(folder_, errno));
    const Bytes available(static_cast<std::int64_t>(room.f_bavail) * static_cast<std::int64_t>(room.f_frsize));
    if (wanted + limits_.disk_reserve <= available) return {};
    return fail(
        Code::resource_exhausted,
        "the disk under {} has {} left and {} of it are kept free; free some, or set `store.uploads` to another disk",
        folder_, available, limits_.disk_reserve);
}

Result<void> UploadFile::add(std::string_view bytes) {
    size_ += Bytes(static_cast<std::int64_t>(bytes.size()));
    if (size_ > limits_.size)
        return fail(Code::resource_exhausted, "the upload is larger than the limit of {}", limits_.size);
    if (size_ - checked_ >= check_every) {
        BALLAST_CHECK(check_room(check_every));
        checked_ = size_;
    }
    hash_.add(bytes);
    while (!bytes.empty()) {
        const ssize_t written = ::write(file_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return std::unexpected(disk_error(partial_, errno));
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Result<ReceivedFile> UploadFile::finish(std::shared_ptr<UploadFile> self) {
    const std::string path = self->folder_ + "/" + self->name_;
    if (::fsync(self->file_) != 0) return std::unexpected(disk_error(path, errno));
    const Bytes size = self->size_;
    std::string hash = self->hash_.finish_hex();
    return ReceivedFile{path, size, std::move(hash), [self, path] { return self->publish(path); }};
}

Result<void> UploadFile::publish(const std::string& path) {
    if (file_ < 0) return {};
    if (::rename(partial_.c_str(), path.c_str()) != 0) return std::unexpected(disk_error(path, errno));
    ::close(std::exchange(file_, -1));
    return {};
}

void remove_partial_uploads(const std::string& folder) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
        if (entry.path().filename().string().starts_with('.') && entry.path().extension() == partial_suffix)
            std::filesystem::remove(entry.path(), ignored);
}

}  // namespace ballast::api
