#pragma once
// The audit log: one event "audit.<verb>" for each write, accepted or refused, with actor, path and job. Never a
// secret: no body, no header, no query. Refused writes are coalesced past 20 in 10 s, so that nobody fills the log.

#include "daemon/api/http.h"
#include "daemon/api/services.h"
#include "daemon/store/store.h"

namespace ballast::api {

/// The event of a write that ended with `status`.
[[nodiscard]] Event audit_event(const Request& request, int status, std::string_view code, const JobId& job);

/// Writes the event of a refused write on its own, in the background.
void audit_refusal(ContextPtr context, const Request& request, int status, std::string_view code);

}  // namespace ballast::api
