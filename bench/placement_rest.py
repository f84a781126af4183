"""The case `rest` of placement_bench.py: VMs placed and durably claimed over REST by a real `ballastd --simulate`."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Any

from harness.base import BIN, say, wait_for
from harness.daemon import Daemon

VMS_PER_HOST = 10
JOBS_AT_ONCE = 256  # the default of 32 is for tens of hosts: with it the jobs wait for the disk and for each other
TICKS = os.sysconf("SC_CLK_TCK")


def cluster_of(hosts: int) -> dict[str, Any]:
    """Filled to 70 %: hosts of three sizes, ten VMs on each."""
    sizes = ((32, 128), (64, 256), (96, 384))
    share = hosts // len(sizes)
    counts = (hosts - 2 * share, share, share)
    groups = list(zip("abc", sizes, counts))
    return {
        "timing": {"call_ms": 5},
        "pools": [{"name": "shared", "path": "/srv/shared", "shared": True, "capacity": "100T"}],
        "hosts": [{"name": f"h{name}", "count": count, "cpus": cpus, "memory": f"{memory}G", "rack_size": 40, "labels": {"zone": name}}
                  for name, (cpus, memory), count in groups],
        "vms": [{"name": f"v{name}", "count": count * VMS_PER_HOST, "vcpus": 2, "memory": f"{memory * 7 // 10 // VMS_PER_HOST}G",
                 "hosts": [f"h{name}"], "load": {"cpu": 0.1}} for name, (_, memory), count in groups],
    }


class SimulatedDaemon(Daemon):
    """A daemon on hosts in memory."""

    def __init__(self, hosts: int) -> None:
        super().__init__(f"jobs.concurrency={JOBS_AT_ONCE}")
        self.hosts = hosts
        self.cluster = self.state / "cluster.json"
        self.cluster.write_text(json.dumps(cluster_of(hosts)))

    def arguments(self) -> list[str]:
        return [*super().arguments(), "--simulate", str(self.cluster)]

    def wait_until_seen(self) -> None:
        """Until every host is up and its VMs are adopted."""
        wait_for(lambda: len(self.api.items("/hosts?state=up")) == self.hosts, 600, "every simulated host is up", every=2)
        wait_for(lambda: len(self.api.items("/vms?managed=true")) == self.hosts * VMS_PER_HOST, 1200, "every VM is adopted", every=5)

    def cpu_seconds(self) -> float:
        """CPU time of all its threads so far."""
        assert self.process is not None
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def measure(hosts: int, vms: int) -> dict[str, Any]:
    """One run: the client's figures, and what CPU time the daemon took for each VM."""
    daemon = SimulatedDaemon(hosts)
    try:
        daemon.start()
        daemon.wait_until_seen()
        say(f"{hosts} hosts are up; {vms} VMs are asked for")
        before = daemon.cpu_seconds()
        done = subprocess.run([str(BIN / "bench/placement_rest_bench"), str(daemon.port), str(daemon.state / "first-token"), str(vms)],
                              capture_output=True, text=True, check=False)
        taken = daemon.cpu_seconds() - before
        if done.returncode != 0:
            raise RuntimeError(f"placement_rest_bench ended with {done.returncode}: {done.stdout}{done.stderr}{daemon.tail()}")
        return {**json.loads(done.stdout), "daemon_cpu_us_per_vm": round(taken / vms * 1e6, 1)}
    finally:
        daemon.remove()
