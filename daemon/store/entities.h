#pragma once
// Every row kind of the store, in one list. A new kind is its own header, one line here and one schema file.

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>

#include "daemon/store/claim_store.h"
#include "daemon/store/host_store.h"
#include "daemon/store/image_store.h"
#include "daemon/store/job_store.h"
#include "daemon/store/migration_store.h"
#include "daemon/store/pair_store.h"
#include "daemon/store/plan_store.h"
#include "daemon/store/pool_store.h"
#include "daemon/store/token_store.h"
#include "daemon/store/vm_store.h"
#include "daemon/store/volume_store.h"

namespace ballast::store {

using Entities = boost::mp11::mp_list<Host, Vm, Pool, Volume, Image, HostPair, Job, Claim, Migration, Plan, Token>;

/// Calls `visit.operator()<Row>()` for every row kind.
template <class Visit>
void for_each_entity(Visit&& visit) {
    boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, Entities>>(
        [&]<class Row>(std::type_identity<Row>) { visit.template operator()<Row>(); });
}

}  // namespace ballast::store
