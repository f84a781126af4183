#include "cli/commands/batch.h"

#include "cli/commands/commands.h"
#include "cli/document.h"

namespace ballast::cli {
namespace {

constexpr int most_vms = 256;

Json one(const std::string& name, const Json& spec, const std::string& host) {
    Json vm{{"name", name}, {"spec", spec}};
    if (!host.empty()) vm["host"] = host;
    return vm;
}

Result<Json> from_file(const std::string& path) {
    BALLAST_TRY(const auto text, read_text(path));
    BALLAST_TRY(const auto documents, parse_documents(text, path == "-" ? "(standard input)" : path));
    Json vms = Json::array();
    for (const auto& document : documents) vms.push_back(one(document.name, document.spec, document.host));
    return vms;
}

}  // namespace

void add_batch_flags(CLI::App& command, BatchFlags& flags) {
    CLI::Option* const count =
        command.add_option("--count", flags.count, "So many of them, all or none")->check(CLI::Range(1, most_vms));
    command.add_option("-f,--file", flags.file, "The VMs of these documents, all or none; - reads standard input")
        ->type_name("FILE")
        ->excludes(count);
}

Result<Json> batch_json(const BatchFlags& flags, const VmFlags& vm, const std::string& name) {
    if (!flags.file.empty()) return from_file(flags.file);
    BALLAST_TRY(const auto spec, spec_json(vm));
    Json vms = Json::array();
    for (int i = 1; i <= flags.count; ++i)
        vms.push_back(one(flags.count == 1 ? name : fmt::format("{}-{}", name, i), spec, vm.host));
    return vms;
}

}  // namespace ballast::cli
