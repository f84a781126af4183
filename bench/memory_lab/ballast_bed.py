"""The same guests as VMs of Ballast: a real ballastd controls the host, and places until it refuses."""

from __future__ import annotations

import json

from harness.api import ApiError
from harness.base import say
from harness.cluster import MIB, Cluster

from memory_lab.bed import HOST, Bed
from memory_lab.guests import Shape

CPU_OVERCOMMIT = 32  # memory is what is measured
FIRST_GUESS = "30s"  # a bench of minutes has no hour for what is known of a guest before it was seen


class BallastBed(Bed):
    """`policy` counts for the host and for every VM. With `named` VMs are placed by name, which an old ballastd needs."""

    def __init__(self, shape: Shape, memory_mib: int, policy: str, named: bool = False) -> None:
        super().__init__(shape, memory_mib)
        self.policy, self.named = policy, named
        self.cluster = Cluster(1, memory_mib, f"memory.first_guess={FIRST_GUESS}")
        self.lab = self.cluster.lab

    def open(self) -> None:
        """Lab, daemon, host, image."""
        self.cluster.up()
        # What the cgroup has is for guests alone: no rule here keeps any of it for the host's own programs.
        self.set_host(memory_policy=self.policy, cpu_overcommit=CPU_OVERCOMMIT, reserved_memory_bytes=0)

    def close(self) -> None:
        """Ends all of it."""
        self.cluster.down()

    def set_host(self, **settings: object) -> None:
        """Changes settings of the host; what was set before stays."""
        self.cluster.set_host(HOST, **settings)

    def make(self, name: str, index: int) -> str:
        """One VM, or why it was refused."""
        body = self.cluster.vm_body(name, HOST if self.named else "", memory_mib=self.shape.memory_mib, load=self.shape.words(index),
                                    disks=[{"image": "tiny", "size_bytes": self.shape.disk_mib * MIB}],
                                    memory_minimum_bytes=self.shape.minimum_mib * MIB, memory_policy=self.policy)
        try:
            job = self.cluster.api.wait_job(self.cluster.api.post("/vms", body)["id"])
        except ApiError as error:
            return f"{error.code}: {error.detail}"
        if job["state"] == "succeeded":
            return ""
        if (row := self.cluster.api.vm_or_none(name)) is not None:
            say(f"{name} was made and not started ({row['state']}); it is deleted again")
            self.cluster.delete(name)
        return json.dumps(job["error"])

    def end(self, name: str) -> None:
        """Deletes one VM."""
        self.cluster.delete(name)
        self.left(name)
