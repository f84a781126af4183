#!/usr/bin/python3
"""kill -9 of ballastd at every persisted step of create, start, delete and migrate, and of a create that is taken back, on real hosts.
What each point must end in is known and asserted: afterwards the hosts themselves (virsh) show one copy of each VM, every volume with its
row, and what the inventory says.

Every persisted step has a crash point `<kind>.<step>.<intended|done>` (daemon/jobs/crash_point.h), learnt from a clean run.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
import unittest
import uuid
from collections.abc import Callable
from typing import Any

from harness.base import say, wait_for
from harness.cluster import Cluster, CopyWatch

from ballast_lab.heartbeat import Watcher

ENDED = ("succeeded", "failed", "cancelled")
# Steps that are one commit: there is nothing between intending and doing them.
COMMITS = ("vm.create.place", "vm.delete.plan", "vm.delete.forget", "vm.start.claim", "vm.migrate.claim")
# How a job ends that was killed there; "succeeded" at every other point. Behind `call_migrate.done` the call is on its way
# in a thread of its own: whether it reached the source before the kill is chance, and both ends are right.
MIGRATE_ENDS = {"vm.migrate.call_migrate.intended": {"failed"}, "vm.migrate.call_migrate.done": {"failed", "succeeded"}}
cluster = Cluster(3)


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    cluster.down()


def points_of(job: dict[str, Any]) -> list[str]:
    """The crash points that a clean run of the job has passed, in order. A volume's name is not known beforehand."""
    kind, points = job["kind"], []
    for step in job["steps"]:
        name = f"{kind}.{step['name']}" if not step["name"].startswith("volume:") else f"{kind}.volume:*"
        points += [f"{name}.done"] if name in COMMITS else [f"{name}.intended", f"{name}.done"]
    return [f"{kind}.begin", *points, f"{kind}.end"]


class Crash(unittest.TestCase):
    """One test per kind of job; each crash point is a subtest."""

    maxDiff = None

    def post(self, path: str, body: Any, key: str) -> str:
        """Asks for the job; "" when the daemon died before it could answer."""
        try:
            return str(cluster.api.post(path, body, key=key)["id"])
        except (OSError, http.client.HTTPException):
            return ""

    def crash_at(self, point: str, path: str, body: Any) -> dict[str, Any]:
        """The job as it ended after the crash."""
        cluster.daemon.restart(BALLAST_CRASH_AT=point)
        cluster.revive_fallen()
        cluster.await_hosts()
        key = str(uuid.uuid4())
        asked = self.post(path, body, key)
        self.assertTrue(self.wait_death(asked), f"{point} was not passed, though the job ended")
        return self.recover(path, body, key, asked)

    def wait_death(self, job: str) -> bool:
        """Whether the daemon died by its own SIGKILL; false once the job has ended without it."""
        def dead_or_ended() -> str:
            if not cluster.daemon.runs():
                return "dead"
            with contextlib.suppress(OSError, http.client.HTTPException):
                if job and cluster.api.job(job)["state"] in ENDED:
                    with contextlib.suppress(subprocess.TimeoutExpired):  # `.end` comes a moment behind the row
                        cluster.daemon.wait_end(1)
                    return "ended" if cluster.daemon.runs() else "dead"
            return ""
        if wait_for(dead_or_ended, 90, "the daemon dies or the job ends") == "ended":
            return False
        self.assertEqual(-9, cluster.daemon.wait_end(1))
        return True

    def recover(self, path: str, body: Any, key: str, asked: str) -> dict[str, Any]:
        """Starts the daemon again and waits for the end of the job that was under way."""
        cluster.daemon.start()
        cluster.revive_fallen()
        again = self.post(path, body, key)  # the same key names the same job, also across a crash
        if asked:
            self.assertEqual(asked, again, "the Idempotency-Key gave a second job")
        job = cluster.api.wait_job(again, 120)
        cluster.await_hosts()
        return job

    def assert_whole(self) -> None:
        """What must hold after every recovery."""
        cluster.assert_no_orphans(self)
        cluster.assert_true_inventory(self)
        self.assertEqual([], [vm["name"] for vm in cluster.api.items("/vms") if vm["job"]], "VMs that wait for a job")
        unfinished = [j["id"] for j in cluster.api.items("/jobs") if j["state"] not in ENDED]
        self.assertEqual([], unfinished, "jobs that never end")

    def each(self, points: list[str], run: Callable[[str], dict[str, Any]]) -> None:
        """`run(point)` for each, with its time and how the job ended."""
        for point in points:
            with self.subTest(point=point):
                begin = time.monotonic()
                job = run(point)
                why = f": {job['error']['message']}" if job["error"] else ""
                say(f"{point}: {job['state']}{why}, {time.monotonic() - begin:.1f} s")

    def assert_ended(self, job: dict[str, Any], *states: str) -> None:
        """It ended in one of these ways."""
        self.assertIn(job["state"], states, json.dumps(job["error"]))

    def test_create(self) -> None:
        clean = cluster.api.run_job("/vms", cluster.vm_body("c0"))
        cluster.delete("c0")
        points = points_of(clean)

        def run(point: str) -> dict[str, Any]:
            name = f"c{points.index(point) + 1}"
            job = self.crash_at(point, "/vms", cluster.vm_body(name))
            self.assert_ended(job, "succeeded")
            defined = [host for host in cluster.lab.hosts if name in cluster.lab.names(host)]
            self.assertEqual([job["result"]["host"]], defined)
            self.assertEqual("running", cluster.api.vm(name)["state"])
            self.assert_whole()
            cluster.delete(name)
            return job

        self.each(points, run)

    def test_create_that_is_taken_back(self) -> None:
        """Its kernel is not there, so its start fails after the volume and the definition were made."""
        def body(name: str) -> dict[str, Any]:
            wanted = cluster.vm_body(name)
            wanted["spec"]["boot"]["kernel"] = "/nowhere/vmlinuz"
            return wanted

        clean = cluster.api.wait_job(cluster.api.post("/vms", body("u0"))["id"])
        self.assert_ended(clean, "failed")
        points = [p for p in points_of(clean) if ".start.intended" in p or ".undo." in p or p.endswith(".end")]
        self.assertEqual(["vm.create.start.intended", "vm.create.undo.intended", "vm.create.undo.done", "vm.create.end"], points)

        def run(point: str) -> dict[str, Any]:
            name = f"u{points.index(point) + 1}"
            job = self.crash_at(point, "/vms", body(name))
            self.assert_ended(job, "failed")
            self.assertEqual([], [host for host in cluster.lab.hosts if name in cluster.lab.names(host)], "a definition is left")
            self.assertIsNone(cluster.api.vm_or_none(name), "a row is left")
            self.assertEqual(set(), cluster.pool_files(name + "-"), "a volume is left")
            self.assert_whole()
            return job

        self.each(points, run)

    def test_start(self) -> None:
        vm = cluster.create("s1", start=False)
        clean = cluster.api.run_job("/vms/s1/start")

        def run(point: str) -> dict[str, Any]:
            cluster.api.run_job("/vms/s1/destroy")
            with CopyWatch(cluster.lab, vm["id"]) as watch:
                job = self.crash_at(point, "/vms/s1/start", {})
            self.assertEqual([], watch.doubled)
            self.assert_ended(job, "succeeded")
            self.assertEqual(1, len(cluster.lab.where(vm["id"], "--state-running")), "copies that run")
            self.assertEqual(1, len(cluster.lab.where(vm["id"])), "definitions")
            self.assert_whole()
            return job

        self.each(points_of(clean), run)
        cluster.delete("s1")

    def test_delete(self) -> None:
        cluster.create("d0", start=False)
        clean = cluster.api.run_job("/vms/d0/delete", {"force": True})
        points = points_of(clean)

        def run(point: str) -> dict[str, Any]:
            name = f"d{points.index(point) + 1}"
            vm = cluster.create(name)
            job = self.crash_at(point, f"/vms/{vm['id']}/delete", {"force": True})
            self.assert_ended(job, "succeeded")
            self.assertEqual([], cluster.lab.where(vm["id"]), "a deleted VM is still defined")
            self.assertEqual(set(), cluster.pool_files(name + "-"), "a deleted VM left its volume")
            self.assertIsNone(cluster.api.vm_or_none(vm["id"]))
            self.assert_whole()
            return job

        self.each(points, run)

    def test_migrate(self) -> None:
        vm = cluster.create("m1", "h1", load="16:200:random")
        with contextlib.closing(Watcher(str(cluster.beats("m1")))) as heart:
            clean = cluster.api.run_job("/vms/m1/migrate", {"to": "h2"})
            self.each(points_of(clean), lambda point: self.migrate_crashed(vm["id"], point))
            goal = len(heart.sequence) + 5
            wait_for(lambda: heart.poll() >= 0 and len(heart.sequence) >= goal, 60, "m1 beats on")
            report = heart.report()
        say(f"heartbeat over all migrations: {report}")
        self.assertTrue(report["ok"], report)
        cluster.delete("m1")

    def migrate_crashed(self, vm: str, point: str) -> dict[str, Any]:
        """One move with a kill at `point`, there or back: there is one copy, where the job says."""
        (source,) = cluster.lab.where(vm, "--state-running")
        target = "h2" if source == "h1" else "h1"
        with CopyWatch(cluster.lab, vm) as watch:
            job = self.crash_at(point, "/vms/m1/migrate", {"to": target})
            looks = watch.looks
            wait_for(lambda: watch.looks > looks, 30, "the hosts were looked at once more")
        self.assertEqual([], watch.doubled)
        self.assert_ended(job, *MIGRATE_ENDS.get(point, {"succeeded"}))
        owner = target if job["state"] == "succeeded" else source
        self.assertEqual([owner], cluster.lab.where(vm, "--state-running"), f"the job {job['state']}")
        self.assertEqual([owner], cluster.lab.where(vm), "one definition, where it runs")
        self.assertEqual(owner, cluster.host_name(cluster.api.vm(vm)["host"]), "the owner by the inventory")
        self.assert_whole()
        return job


if __name__ == "__main__":
    unittest.main(verbosity=2)
