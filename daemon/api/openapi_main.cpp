// ballast-openapi: prints docs/api/openapi.json. scripts/check compares.
#include <cstdio>

#include "daemon/api/openapi.h"
#include "daemon/api/routes/catalog.h"

int main() {
    const std::string text = ballast::api::openapi_text(ballast::api::all_routes(), "0.1.0");
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
