#pragma once
// The little cryptography that the API needs, by OpenSSL: hashes, random bytes, comparison in constant time.
// Thread-safe.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace ballast::api {

/// 64 hexadecimal characters.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);
[[nodiscard]] std::string random_bytes(std::size_t count);
/// RFC 4648 section 5, without padding.
[[nodiscard]] std::string base64url(std::string_view bytes);
/// Takes the same time wherever the texts differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

/// A hash of what comes in pieces.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void add(std::string_view bytes);
    [[nodiscard]] std::string finish_hex();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace ballast::api
