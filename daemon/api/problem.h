#pragma once
// RFC 9457 problem details: how an Error becomes an answer.

#include <optional>
#include <string>

#include "core/error.h"
#include "core/ids.h"
#include "core/json.h"
#include "daemon/api/http.h"

namespace ballast::api {

struct ProblemExtras {
    int status = 0;             ///< 0: by the code
    std::string instance = {};  ///< the request's id: what to look for in the log
    JobId job = {};
    JsonText current = {};  ///< of a stale If-Match: the resource as it is
};

[[nodiscard]] Response problem(const Error& error, ProblemExtras extras = {});

}  // namespace ballast::api
