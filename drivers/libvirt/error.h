#pragma once
// What libvirt says went wrong, in Ballast's codes. libvirt keeps its last error per thread: call these in the task
// that made the failing call, before any other libvirt call.

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"

namespace ballast::drivers::libvirt {

/// The code of a libvirt error number; `detail` is its text and `system_errno` its int1, used where the number alone
/// says too little.
[[nodiscard]] Code code_of(int number, std::string_view detail, int system_errno);

/// Whether these are libvirt's or QEMU's words for a migration with TLS whose certificates are missing, wrong or not
/// trusted.
[[nodiscard]] bool lacks_certificates(std::string_view detail);

/// libvirt's last error on this thread: "<doing>: <libvirt's words>".
[[nodiscard]] Error last_error(std::string doing);

/// libvirt's number of the last error on this thread (VIR_ERR_OK when there is none).
[[nodiscard]] int last_error_number();

/// `return refused("can't start domain {}", vm);`
template <class... Args>
[[nodiscard]] std::unexpected<Error> refused(fmt::format_string<Args...> doing, Args&&... args) {
    return std::unexpected(last_error(fmt::format(doing, std::forward<Args>(args)...)));
}

/// Keeps libvirt from printing errors to stderr. Idempotent.
void silence_libvirt();

}  // namespace ballast::drivers::libvirt
