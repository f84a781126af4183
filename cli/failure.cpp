#include "cli/failure.h"

#include <fmt/format.h>

namespace ballast::cli {

Exit exit_of(Code code) {
    switch (code) {
        case Code::invalid_argument:
            return Exit::usage;
        case Code::unauthenticated:
        case Code::permission_denied:
            return Exit::denied;
        case Code::not_found:
            return Exit::not_found;
        case Code::already_exists:
        case Code::conflict:
        case Code::failed_precondition:
            return Exit::conflict;
        case Code::resource_exhausted:
            return Exit::no_capacity;
        case Code::deadline_exceeded:
        case Code::unavailable:
            return Exit::unavailable;
        case Code::cancelled:
        case Code::unimplemented:
        case Code::internal:
            return Exit::failed;
    }
    std::unreachable();
}

std::optional<Code> code_named(std::string_view name) {
    for (const Code code : all_codes)
        if (name_of(code) == name) return code;
    return std::nullopt;
}

std::string exit_codes_text() {
    return "Exit codes of ballast (stable: scripts may rely on them)\n"
           "  0  it worked; with --no-wait: the job was accepted\n"
           "  1  the job failed or was cancelled, or anything that has no code of its own\n"
           "  2  the command line, a file or a value is wrong\n"
           "  3  what was named does not exist\n"
           "  4  in conflict with how things are: a name taken, a state that forbids it, changed meanwhile\n"
           "  5  denied: no token, a token without the right, or a certificate that is not trusted\n"
           "  6  ballastd or a host can't be reached, or --timeout ended the waiting (the job goes on)\n"
           "  7  no host has room for it\n"
           "  8  rebalance: nothing is worth moving\n"
           "  9  rebalance: a plan was made, and not carried out (0: it was)\n";
}

Failure::Failure(const Error& error) : exit(exit_of(error.code())), message(error.message()) {
    for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause())
        causes.push_back(cause->message());
}

std::string describe(const Failure& failure) {
    if (failure.message.empty()) return {};
    std::string text = fmt::format("error: {}\n", failure.message);
    for (const auto& cause : failure.causes) text += fmt::format("  because: {}\n", cause);
    if (!failure.next.empty()) text += fmt::format("next: {}\n", failure.next);
    return text;
}

}  // namespace ballast::cli
