#pragma once
// `vm apply -f`: YAML documents into what the API takes. Strict: a key that does not exist is an error that names file,
// document and path, with the nearest known one. Pure.

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/json.h"

namespace ballast::cli {

struct Document {
    std::string where;  ///< "vm.yaml:12", for messages
    std::string kind;   ///< "vm"
    std::string name;
    Json spec;
    std::string host;  ///< empty: the scheduler chooses
    bool start = true;
};

/// One Document for every YAML document that is not empty. Errors: invalid_argument.
[[nodiscard]] Result<std::vector<Document>> parse_documents(std::string_view yaml, std::string_view file);

}  // namespace ballast::cli
