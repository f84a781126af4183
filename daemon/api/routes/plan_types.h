#pragma once
// Bodies about plans are the jobs' and the scheduler's own types; their schemas are made in plan_types.cpp.

#include "daemon/jobs/rebalance/plans.h"
#include "scheduler/plan/load.h"
#include "scheduler/plan/what_if.h"
