#include "daemon/jobs/kinds/upload.h"

#include <array>
#include <filesystem>
#include <fstream>

#include <openssl/evp.h>

#include "core/try.h"

namespace ballast::jobs {

struct HashingSource::State {
    std::ifstream file;
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
    std::string path;
};

Result<std::string> upload_path(const std::string& folder, const std::string& name) {
    if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos)
        return fail(Code::invalid_argument, "'{}' is not the name of an uploaded file", name);
    return folder + "/" + name;
}

Result<LocalFile> look_at_file(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    std::ifstream file(path, std::ios::binary);
    if (error || !file) return fail(Code::not_found, "the uploaded file {} is not there; upload it again", path);
    LocalFile found{.size = Bytes(static_cast<std::int64_t>(size)), .head = std::string(std::size_t{64} << 10U, '\0')};
    file.read(found.head.data(), static_cast<std::streamsize>(found.head.size()));
    found.head.resize(static_cast<std::size_t>(file.gcount()));
    return found;
}

Result<HashingSource> HashingSource::open(const std::string& path) {
    auto state = std::make_shared<State>();
    state->path = path;
    state->file.open(path, std::ios::binary);
    if (!state->file) return fail(Code::not_found, "the uploaded file {} is not there; upload it again", path);
    if (EVP_DigestInit_ex(state->hash.get(), EVP_sha256(), nullptr) != 1)
        return fail(Code::internal, "SHA-256 is not available");
    return HashingSource(std::move(state));
}

drivers::ByteSource HashingSource::source() const {
    return [state = state_](std::span<char> buffer) -> Result<std::size_t> {
        state->file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        if (state->file.bad()) return fail(Code::internal, "reading {} failed", state->path);
        const auto got = static_cast<std::size_t>(state->file.gcount());
        EVP_DigestUpdate(state->hash.get(), buffer.data(), got);
        return got;
    };
}

std::string HashingSource::sha256() const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> copy(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    EVP_MD_CTX_copy_ex(copy.get(), state_->hash.get());
    EVP_DigestFinal_ex(copy.get(), digest.data(), &size);
    std::string text;
    for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest.at(i));
    return text;
}

}  // namespace ballast::jobs
