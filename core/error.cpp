#include "core/error.h"

namespace ballast {

std::string_view name_of(Code code) {
    switch (code) {
        case Code::invalid_argument:
            return "invalid_argument";
        case Code::unauthenticated:
            return "unauthenticated";
        case Code::permission_denied:
            return "permission_denied";
        case Code::not_found:
            return "not_found";
        case Code::already_exists:
            return "already_exists";
        case Code::conflict:
            return "conflict";
        case Code::failed_precondition:
            return "failed_precondition";
        case Code::resource_exhausted:
            return "resource_exhausted";
        case Code::cancelled:
            return "cancelled";
        case Code::deadline_exceeded:
            return "deadline_exceeded";
        case Code::unavailable:
            return "unavailable";
        case Code::unimplemented:
            return "unimplemented";
        case Code::internal:
            return "internal";
    }
    std::unreachable();
}

int http_status(Code code) {
    switch (code) {
        case Code::invalid_argument:
            return 400;
        case Code::unauthenticated:
            return 401;
        case Code::permission_denied:
            return 403;
        case Code::not_found:
            return 404;
        case Code::already_exists:
            return 409;
        case Code::conflict:
            return 409;
        case Code::failed_precondition:
            return 412;
        case Code::resource_exhausted:
            return 507;
        case Code::cancelled:
            return 499;
        case Code::deadline_exceeded:
            return 504;
        case Code::unavailable:
            return 503;
        case Code::unimplemented:
            return 501;
        case Code::internal:
            return 500;
    }
    std::unreachable();
}

bool is_retryable(Code code) {
    switch (code) {
        case Code::resource_exhausted:
        case Code::deadline_exceeded:
        case Code::unavailable:
            return true;
        case Code::invalid_argument:
        case Code::unauthenticated:
        case Code::permission_denied:
        case Code::not_found:
        case Code::already_exists:
        case Code::conflict:
        case Code::failed_precondition:
        case Code::cancelled:
        case Code::unimplemented:
        case Code::internal:
            return false;
    }
    std::unreachable();
}

std::string Error::chain() const {
    std::string text = message_;
    for (const Error* error = cause(); error != nullptr; error = error->cause()) text += ": " + error->message();
    return text;
}

}  // namespace ballast
