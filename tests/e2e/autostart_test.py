#!/usr/bin/python3
"""Autostart is Ballast's own (SAFETY.md 8): a host dies with its VMs and comes back."""

from __future__ import annotations

import unittest

from harness.base import wait_for
from harness.cluster import Cluster, timed

cluster = Cluster(2)


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    cluster.down()


class Autostart(unittest.TestCase):
    """h2 crashes and is revived."""

    def tearDown(self) -> None:
        for vm in cluster.api.items("/vms"):
            cluster.delete(vm["id"])

    def lose_h2(self, *vms: str) -> None:
        cluster.lab("crash", "h2")
        for vm in vms:
            wait_for(lambda vm=vm: cluster.api.vm(vm)["state"] == "unknown", 60, f"{vm} is unknown")

    def test_what_ran_comes_back_where_that_is_wanted_and_nothing_else_does(self) -> None:
        kept = cluster.create("kept", "h2", autostart=True)["id"]
        plain = cluster.create("plain", "h2")["id"]
        stopped = cluster.create("stopped", "h2", autostart=True)["id"]
        cluster.api.run_job(f"/vms/{stopped}/destroy", {})
        self.lose_h2(kept, plain)
        cluster.lab("revive", "h2")
        with timed("revival of the host to its VM running"):
            wait_for(lambda: cluster.api.vm(kept)["state"] == "running", 90, "the autostart VM runs again")
        self.assertEqual(["h2"], cluster.lab.where(kept, "--state-running"))
        self.assertEqual("running (booted)", cluster.lab.state("h2", kept))
        wait_for(lambda: cluster.api.host("h2")["state"] == "up", 60, "h2 is up")
        self.assertIn(cluster.api.vm(plain)["state"], ("stopped", "crashed"))
        self.assertEqual([], cluster.lab.where(plain, "--state-running"))
        self.assertEqual("stopped", cluster.api.vm(stopped)["state"], "somebody stopped it")
        self.assertEqual([], cluster.lab.where(stopped, "--state-running"))
        starts = [job for job in cluster.api.items("/jobs") if job["kind"] == "vm.start"]
        self.assertEqual([("kept", "ballast")], [(job["subject"], job["actor"]) for job in starts])
        why = [event["message"] for event in cluster.api.items("/events?kind=vm.autostart")]
        self.assertEqual(1, len(why))
        self.assertIn("kept ran on h2", why[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
