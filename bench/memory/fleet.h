#pragma once
// Many hosts with many VMs whose loads wander, for the cost of a sweep.

#include <cstdint>
#include <vector>

#include "memory/control.h"

namespace ballast::bench {

class Fleet {
  public:
    Fleet(int hosts, int vms_per_host, std::uint64_t seed);
    /// Ten seconds: loads change, guests follow their balloons. Not part of what a sweep costs.
    void pass_time();
    /// The controller of every host, once.
    void sweep();

  private:
    struct OneHost {
        memory::HostMemory host;
        std::vector<memory::VmMemory> vms;
        std::vector<double> used_gib;
        memory::HostMemo memo;
        memory::Decisions last;
    };
    double uniform();

    std::vector<OneHost> hosts_;
    std::uint64_t state_;
    Timestamp now_;
};

}  // namespace ballast::bench
