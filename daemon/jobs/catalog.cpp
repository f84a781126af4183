#include "daemon/jobs/catalog.h"

#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "daemon/jobs/kinds/kinds.h"

namespace ballast::jobs {

const Handler* find_handler(std::string_view kind) {
    static const std::array<std::pair<std::string_view, Handler>, 14> handlers{{
        {"vm.create", create_vm},
        {"vm.start", start_vm},
        {"vm.shutdown", shut_down_vm},
        {"vm.reboot", reboot_vm},
        {"vm.destroy", destroy_vm},
        {"vm.save", save_vm},
        {"vm.delete", delete_vm},
        {"vm.migrate", migrate_vm},
        {"image.import", import_image},
        {"image.delete", delete_image},
        {"volume.create", create_volume},
        {"volume.delete", delete_volume},
        {"host.evacuate", evacuate_host},
        {"cluster.rebalance", rebalance_cluster},
    }};
    for (const auto& [name, handler] : handlers)
        if (name == kind) return &handler;
    return nullptr;
}

}  // namespace ballast::jobs
