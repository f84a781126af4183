#include "daemon/api/problem.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace ballast::api {
namespace {

std::string title_of(Code code) {
    std::string title(name_of(code));
    std::ranges::replace(title, '_', ' ');
    return title;
}

}  // namespace

Response problem(const Error& error, ProblemExtras extras) {
    const int status = extras.status != 0 ? extras.status : http_status(error.code());
    Json body{{"type", "about:blank"},
              {"title", title_of(error.code())},
              {"status", status},
              {"detail", error.message()},
              {"code", std::string(name_of(error.code()))},
              {"retry", is_retryable(error.code()) || status == 429}};
    Json causes = Json::array();
    for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause())
        causes.push_back(cause->message());
    body["causes"] = std::move(causes);
    if (!extras.job.empty()) body["job"] = extras.job.str();
    if (!extras.instance.empty()) body["instance"] = extras.instance;
    if (extras.current.text != "null") body["current"] = Json::parse(extras.current.text, nullptr, false);
    Response response = json_response(status, dump(body));
    response.headers["content-type"] = "application/problem+json";
    response.job = extras.job;
    if (status == 401) response.headers["www-authenticate"] = "Bearer realm=\"ballast\"";
    return response;
}

}  // namespace ballast::api
