#!/usr/bin/python3
"""A host that dies, is confirmed dead, and comes back with what it held (SAFETY.md 3 and 4)."""

from __future__ import annotations

import unittest

from harness.api import ApiError
from harness.base import say, wait_for
from harness.cluster import Cluster, CopyWatch, timed

cluster = Cluster(3)


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    cluster.down()


class LostHost(unittest.TestCase):
    """h3 dies; h1 takes over."""

    def tearDown(self) -> None:
        cluster.lab("revive", "h3")
        for vm in cluster.api.items("/vms"):
            for host in cluster.lab.hosts:
                cluster.lab.virsh(host, "destroy", vm["id"], check=False)
        wait_for(self.h3_is_up, 60, "h3 works again")
        for vm in cluster.api.items("/vms"):
            cluster.delete(vm["id"])
            for host in cluster.lab.where(vm["id"]):  # a stale definition is not Ballast's to remove (SAFETY.md 8)
                cluster.lab.virsh(host, "undefine", vm["id"])
        wait_for(lambda: not cluster.api.items("/vms"), 30, "the inventory is empty")

    def h3_is_up(self) -> bool:
        host = cluster.api.host("h3")
        if host["state"] == "quarantined" and host["confirmed_dead"]:
            try:
                cluster.api.post("/hosts/h3/resolve-quarantine", {"reason": "the test is over"})
            except ApiError:
                return False  # its copies have not been seen to end yet
        return bool(host["state"] == "up")

    def assert_refused(self, vm: str, *words: str) -> None:
        """Start, delete and migrate are refused, with these words in the reason."""
        for verb, body in (("start", {}), ("delete", {"force": True}), ("migrate", {"to": "h1"})):
            with self.subTest(verb=verb):
                why = cluster.api.refusal(f"/vms/{vm}/{verb}", body)
                for word in words:
                    self.assertIn(word, why)

    def confirm_dead(self) -> None:
        cluster.api.post("/hosts/h3/confirm-dead", {"name": "h3", "reason": "the rack burnt"})

    def test_its_vms_are_unknown_until_it_is_confirmed_dead_and_then_start_elsewhere(self) -> None:
        vm = cluster.create("lost", "h3")["id"]
        why = cluster.api.refusal("/hosts/h3/confirm-dead", {"name": "h3", "reason": "it is not"})
        self.assertIn("it is not dead", why)
        with timed("crash of a host to its VM unknown"):
            cluster.lab("crash", "h3")
            wait_for(lambda: cluster.api.vm(vm)["state"] == "unknown", 60, "the VM is unknown")
        self.assert_refused(vm, "unknown", "confirm-dead")
        wait_for(lambda: cluster.api.host("h3")["state"] == "unreachable", 60, "h3 is unreachable")
        self.assertIn("name", cluster.api.refusal("/hosts/h3/confirm-dead", {"name": "h2", "reason": "wrong one"}))
        self.confirm_dead()
        released = cluster.api.vm(vm)
        self.assertEqual("stopped", released["state"], released["state_reason"])
        with timed("start elsewhere"):
            cluster.api.run_job(f"/vms/{vm}/start", {"host": "h1"})
        self.assertEqual("running (booted)", cluster.lab.state("h1", vm))
        self.assertGreater(cluster.api.vm(vm)["epoch"], released["epoch"] - 1)
        cluster.lab("revive", "h3")
        wait_for(lambda: any(a.startswith("stale definition:") for a in cluster.api.vm(vm)["alerts"]), 60,
                 "the definition that came back is an alert")
        self.assertEqual("running", cluster.api.vm(vm)["state"])
        self.assertEqual("h1", cluster.host_name(cluster.api.vm(vm)["host"]))
        self.assertEqual(["h1"], cluster.lab.where(vm, "--state-running"))
        audit = cluster.api.get("/audit?limit=1000")["items"]
        self.assertTrue(any("confirm-dead" in str(entry) or "confirm_dead" in str(entry) for entry in audit), "not audited")

    def test_a_host_that_comes_back_with_a_running_stale_copy_is_quarantined(self) -> None:
        files = cluster.lab.guest_files()
        boot = {"kernel": files["kernel"], "initrd": files["initrd"], "cmdline": files["cmdline"]}
        cluster.api.run_job("/vms", cluster.vm_body("ghost", "h3", disks=[]) | {
            "spec": {"memory_bytes": 128 << 20, "disks": [], "boot": boot}})
        vm = cluster.api.vm("ghost")["id"]
        cluster.lab("crash", "h3", "--libvirtd-only")  # its QEMU runs on, and nobody can see it
        wait_for(lambda: cluster.api.vm(vm)["state"] == "unknown", 60, "the VM is unknown")
        wait_for(lambda: cluster.api.host("h3")["state"] == "unreachable", 60, "h3 is unreachable")
        self.confirm_dead()  # the operator errs
        cluster.api.run_job(f"/vms/{vm}/start", {"host": "h1"})
        cluster.lab("revive", "h3")
        cluster.await_hosts("h3", state="quarantined")
        quarantine = cluster.api.host("h3")
        self.assertIn("ghost", quarantine["state_reason"])
        say(f"quarantine: {quarantine['state_reason']}")
        why = cluster.api.refusal("/vms", cluster.vm_body("new", "h3"))
        self.assertIn("h3", why)
        self.assertIn("quarantine", why)
        self.assertIn("ghost", cluster.api.refusal("/hosts/h3/resolve-quarantine", {"reason": "let it be"}))
        with CopyWatch(cluster.lab, vm) as watch:
            wait_for(lambda: watch.looks > 5, 30, "the hosts were looked at")
        self.assertEqual(["h1", "h3"], sorted(cluster.lab.where(vm, "--state-running")), "Ballast ended a copy by itself")
        cluster.lab.virsh("h3", "destroy", vm)
        wait_for(self.h3_is_up, 30, "h3 works again once the copy is gone")
        self.assertEqual("running", cluster.api.vm(vm)["state"])

    def test_starting_a_vm_whose_host_can_not_be_reached_names_the_host(self) -> None:
        vm = cluster.create("away", "h3", start=False)["id"]
        cluster.lab("crash", "h3")
        wait_for(lambda: cluster.api.host("h3")["state"] == "unreachable", 60, "h3 is unreachable")
        why = cluster.api.refusal(f"/vms/{vm}/start")
        self.assertIn("h3", why)
        say(f"start on a lost host: {why}")
        self.assertEqual([],
                         [h for h in ("h1", "h2") if vm in cluster.lab.domains(h)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
