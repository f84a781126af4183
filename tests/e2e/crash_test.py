#!/usr/bin/python3
"""kill -9 of ballastd at every persisted step of create, start, delete and migrate, on real hosts: afterwards each job has ended, and the
hosts themselves (virsh) show one copy of each VM, every volume with its row, and what the inventory says.

Every persisted step has a crash point `<kind>.<step>.<intended|done>` (daemon/jobs/crash_point.h), learnt from a clean run. The name of
the volume that a create makes is not known beforehand: there the test kills the daemon when the step's event arrives.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
import unittest
import uuid
from typing import Any

from harness.base import FULL, say, wait_for
from harness.cluster import Cluster, CopyWatch

from ballast_lab.heartbeat import Watcher

BUDGET_S = 440
cluster = Cluster(3)
began = 0.0


def setUpModule() -> None:
    global began
    cluster.up()
    began = time.monotonic()


def tearDownModule() -> None:
    cluster.down()


def points_of(job: dict[str, Any]) -> list[str]:
    """The crash points that a clean run of the job has passed, in order."""
    kind = job["kind"]
    steps = [f"{kind}.{step['name']}.{moment}" for step in job["steps"] for moment in ("intended", "done")]
    return [f"{kind}.begin", *steps, f"{kind}.end"]


class Crash(unittest.TestCase):
    """One test per kind of job; each crash point is a subtest."""

    maxDiff = None

    def post(self, path: str, body: Any, key: str) -> str:
        """Asks for the job; "" when the daemon died before it could answer."""
        try:
            return str(cluster.api.post(path, body, key=key)["id"])
        except (OSError, http.client.HTTPException):
            return ""

    def crash_at(self, point: str, path: str, body: Any) -> dict[str, Any] | None:
        """The job as it ended after the crash; None when the run did not pass this point."""
        cluster.daemon.restart(BALLAST_CRASH_AT=point)
        cluster.await_hosts()
        key = str(uuid.uuid4())
        asked = self.post(path, body, key)
        if not self.wait_death(asked):
            self.assertTrue(point.endswith(".intended"), f"{point} was not passed, though the job ended")
            return None
        return self.recover(path, body, key, asked)

    def wait_death(self, job: str) -> bool:
        """Whether the daemon died by its own SIGKILL; false once the job has ended without it."""
        def dead_or_ended() -> str:
            if not cluster.daemon.runs():
                return "dead"
            with contextlib.suppress(OSError, http.client.HTTPException):
                if job and cluster.api.job(job)["state"] in ("succeeded", "failed", "cancelled"):
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
        unfinished = [j["id"] for j in cluster.api.items("/jobs") if j["state"] not in ("succeeded", "failed", "cancelled")]
        self.assertEqual([], unfinished, "jobs that never end")

    def spent(self, point: str) -> bool:
        """Whether the time is up; a point that is left out is said."""
        if FULL or time.monotonic() - began < BUDGET_S:
            return False
        say(f"left out for time (BALLAST_FULL=1 runs it): {point}")
        return True

    def each(self, points: list[str], run: Any) -> None:
        """`run(point)` for each, with its time and how the job ended."""
        for point in points:
            if self.spent(point):
                continue
            with self.subTest(point=point):
                begin = time.monotonic()
                job = run(point)
                how = "not passed" if job is None else job["state"] + (f": {job['error']['message']}" if job["error"] else "")
                say(f"{point}: {how}, {time.monotonic() - begin:.1f} s")

    def assert_created_or_taken_back(self, name: str, job: dict[str, Any]) -> None:
        defined = [host for host in cluster.lab.hosts if name in cluster.lab.names(host)]
        if job["state"] == "succeeded":
            self.assertEqual(1, len(defined), f"{name} is defined on {defined}")
            self.assertEqual("running", cluster.api.vm(name)["state"])
            self.assertEqual([job["result"]["host"]], defined)
            return
        self.assertEqual("failed", job["state"])
        self.assertEqual([], defined, "a failed create left a definition")
        self.assertIsNone(cluster.api.vm_or_none(name), "a failed create left a row")
        self.assertEqual(set(), cluster.pool_files(name + "-"), "a failed create left a volume")

    def test_create(self) -> None:
        clean = cluster.api.run_job("/vms", cluster.vm_body("c0"))
        cluster.delete("c0")
        points = [point for point in points_of(clean) if ".volume:" not in point]

        def run(point: str) -> dict[str, Any] | None:
            name = f"c{points.index(point) + 1}"
            job = self.crash_at(point, "/vms", cluster.vm_body(name))
            if job is not None:
                self.assert_created_or_taken_back(name, job)
            self.assert_whole()
            if cluster.api.vm_or_none(name):
                cluster.delete(name)
            return job

        self.each(points, run)
        self.each(["vm.create.volume intended (by event)", "vm.create.volume done (by event)"], self.kill_at_volume)

    def kill_at_volume(self, point: str) -> dict[str, Any]:
        """The daemon is killed when the event of the step arrives."""
        moment = "intended" if "intended" in point else "done"
        name = f"cv-{moment}"
        cluster.daemon.restart()
        cluster.await_hosts()
        body, key = cluster.vm_body(name), str(uuid.uuid4())
        with cluster.api.stream() as stream:
            asked = self.post("/vms", body, key)
            stream.wait(lambda e: e.get("kind") == "job.step" and "volume:" in e["message"] and moment in e["message"], 30,
                        f"the volume's step is {moment}")
            cluster.daemon.kill9()
        job = self.recover("/vms", body, key, asked)
        self.assert_created_or_taken_back(name, job)
        self.assert_whole()
        if cluster.api.vm_or_none(name):
            cluster.delete(name)
        return job

    def test_start(self) -> None:
        vm = cluster.create("s1", start=False)
        clean = cluster.api.run_job("/vms/s1/start")

        def run(point: str) -> dict[str, Any] | None:
            cluster.api.run_job("/vms/s1/destroy")
            with CopyWatch(cluster.lab, vm["id"]) as watch:
                job = self.crash_at(point, "/vms/s1/start", {})
            self.assertEqual([], watch.doubled)
            if job is not None:
                self.assertIn(job["state"], ("succeeded", "failed"))
                running = cluster.lab.where(vm["id"], "--state-running")
                self.assertEqual(1 if job["state"] == "succeeded" else 0, len(running), "copies that run")
                self.assertEqual(1, len(cluster.lab.where(vm["id"])), "definitions")
            self.assert_whole()
            if cluster.api.vm("s1")["state"] != "running":
                cluster.api.run_job("/vms/s1/start")
            return job

        self.each(points_of(clean), run)
        cluster.delete("s1")

    def test_delete(self) -> None:
        cluster.create("d0", start=False)
        clean = cluster.api.run_job("/vms/d0/delete", {"force": True})
        learnt = clean["result"]["removed"][0]["name"]
        points = points_of(clean)

        def run(point: str) -> dict[str, Any] | None:
            name = f"d{points.index(point) + 1}"
            vm = cluster.create(name)
            volume = vm["spec"]["disks"][0]["path"].rsplit("/", 1)[1]
            job = self.crash_at(point.replace(learnt, volume), f"/vms/{vm['id']}/delete", {"force": True})
            if job is not None:
                self.assertEqual("succeeded", job["state"], json.dumps(job["error"]))
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

    def migrate_crashed(self, vm: str, point: str) -> dict[str, Any] | None:
        (source,) = cluster.lab.where(vm, "--state-running")
        target = "h2" if source == "h1" else "h1"
        with CopyWatch(cluster.lab, vm) as watch:
            job = self.crash_at(point, "/vms/m1/migrate", {"to": target})
        self.assertEqual([], watch.doubled)
        self.assertGreater(watch.looks, 3)
        running = cluster.lab.where(vm, "--state-running")
        if job is not None:
            self.assertIn(job["state"], ("succeeded", "failed"))
            owner = target if job["state"] == "succeeded" else source
            self.assertEqual([owner], running, f"the job {job['state']}")
        self.assertEqual(running, cluster.lab.where(vm), "one definition, where it runs")
        self.assertEqual(running[0], cluster.host_name(cluster.api.vm(vm)["host"]), "the owner by the inventory")
        self.assert_whole()
        return job


if __name__ == "__main__":
    unittest.main(verbosity=2)
