#pragma once
// The handlers, one file each; catalog.cpp lists them.

#include <nlohmann/json_fwd.hpp>

#include "daemon/jobs/run.h"

namespace ballast::jobs {

Task<Json> create_vm(RunPtr run);
Task<Json> start_vm(RunPtr run);
Task<Json> shut_down_vm(RunPtr run);
Task<Json> reboot_vm(RunPtr run);
Task<Json> destroy_vm(RunPtr run);
Task<Json> save_vm(RunPtr run);
Task<Json> delete_vm(RunPtr run);
Task<Json> migrate_vm(RunPtr run);
Task<Json> import_image(RunPtr run);
Task<Json> delete_image(RunPtr run);
Task<Json> create_volume(RunPtr run);
Task<Json> delete_volume(RunPtr run);
Task<Json> evacuate_host(RunPtr run);
Task<Json> rebalance_cluster(RunPtr run);

}  // namespace ballast::jobs
