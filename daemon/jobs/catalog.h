#pragma once
// Every kind of job and what does it. A new kind is one file under kinds/ and one line in catalog.cpp.

#include <functional>
#include <string_view>

#include "daemon/jobs/run.h"

namespace ballast::jobs {

/// Does the job from the top, or goes on with it: the journal says where it stopped. Returns the job's result.
using Handler = std::function<Task<Json>(RunPtr)>;

/// nullptr when no job is of that kind.
[[nodiscard]] const Handler* find_handler(std::string_view kind);

}  // namespace ballast::jobs
