#!/usr/bin/python3
"""Live migration on real hosts: what the guest feels, what the result says, and every way in which it may be disturbed. After each the hosts
themselves show one definite owner."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import re
import signal
import subprocess
import tempfile
import unittest
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from harness.base import LAB, say, wait_for
from harness.cluster import Cluster, CopyWatch

from ballast_lab.heartbeat import Watcher

cluster = Cluster(3)
LOAD = "32:500:random"


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    cluster.down()


class Migrate(unittest.TestCase):
    """One running VM per test, on h1."""

    def setUp(self) -> None:
        self.name = "w" + str(zlib.crc32(self.id().encode()) % 10000)
        self.vm = cluster.create(self.name, "h1", load=LOAD)["id"]
        self.addCleanup(self.clean)
        self.heart = Watcher(str(cluster.beats(self.name)))
        self.addCleanup(self.heart.close)

    def clean(self) -> None:
        for host in cluster.lab.hosts:
            cluster.lab("slow", host, "off", check=False)
            cluster.lab("revive", host, check=False)
        cluster.await_hosts()
        for job in cluster.api.items("/jobs?state=running"):
            cluster.api.wait_job(job["id"], 60)
        if cluster.api.vm_or_none(self.vm):
            cluster.delete(self.vm)

    def ask(self, to: str = "h2", **more: Any) -> str:
        """Asks for the move and gives the job's id."""
        return str(cluster.api.post(f"/vms/{self.vm}/migrate", {"to": to, **more})["id"])

    def pushed(self, job: str, megabytes: int = 4) -> None:
        """Waits until the migration has sent some of the memory, by what the source's libvirt says."""
        def sent() -> bool:
            state = cluster.api.job(job)
            if state["state"] in ("succeeded", "failed", "cancelled"):
                raise AssertionError(f"it ended before it could be disturbed: {state['state']} {state['error']}")
            info = cluster.lab.virsh("h1", "domjobinfo", self.vm, "--rawstats", check=False)
            found = [line.split(":")[1] for line in info.splitlines() if line.startswith("data_processed:")]
            return bool(found) and int(found[0]) > megabytes << 20
        wait_for(sent, 60, "the push is under way")

    @contextlib.contextmanager
    def slow_link(self) -> Iterator[None]:
        """h1's wire at 20 Mbit/s: a move takes tens of seconds."""
        cluster.lab("slow", "h1", "20mbit")
        try:
            yield
        finally:
            cluster.lab("slow", "h1", "off")

    def assert_beats_on(self) -> None:
        """The guest lives, with every beat in order and no page but its own."""
        goal = len(self.heart.sequence) + 5
        wait_for(lambda: self.heart.poll() >= 0 and len(self.heart.sequence) >= goal, 60, f"{self.name} beats on")
        report = self.heart.report()
        self.assertTrue(report["ok"], report)

    def assert_only_on(self, host: str) -> None:
        """Defined and running there, and nowhere else; the inventory agrees."""
        self.assertEqual([host], cluster.lab.where(self.vm, "--state-running"), "runs")
        wait_for(lambda: cluster.lab.where(self.vm) == [host], 20, f"it is defined on {host} only")
        wait_for(lambda: cluster.host_name(cluster.api.vm(self.vm)["host"]) == host, 20, f"the inventory says {host}")
        wait_for(lambda: cluster.api.vm(self.vm)["state"] == "running", 20, "the inventory says running")
        self.assertIsNone(cluster.api.vm(self.vm)["job"])

    def test_the_heart_beats_on_and_the_result_has_the_figures(self) -> None:
        job = self.ask()

        def ended() -> bool:
            self.heart.poll()
            return bool(cluster.api.job(job)["state"] == "succeeded")

        wait_for(ended, 90, "the migration succeeded", 0.01)
        self.assert_beats_on()
        result = cluster.api.job(job)["result"]
        say(f"migration: {result}; the guest's longest gap {self.heart.report()['longest_gap_ms']} ms")
        for key in ("total_ms", "downtime_ms", "sent_bytes", "rounds"):
            self.assertGreater(result[key], 0, key)
        self.assertEqual(("h1", "h2"), (result["from"], result["to"]))
        row = cluster.api.get(f"/migrations/{job}")
        self.assertEqual("succeeded", row["phase"])
        self.assertEqual(result["rounds"], len(row["rounds"]))
        self.assert_only_on("h2")
        cluster.assert_true_inventory(self)

    def test_a_cancel_half_way_leaves_it_on_the_source(self) -> None:
        with self.slow_link():
            job = self.ask()
            self.pushed(job)
            cluster.api.post(f"/jobs/{job}/cancel")
            ended = cluster.api.wait_job(job, 60)
        self.assertEqual("cancelled", ended["state"], ended["error"])
        self.assert_only_on("h1")
        self.assert_beats_on()

    def test_to_the_same_host_is_refused(self) -> None:
        self.assertIn("on h1 already", cluster.api.refusal(f"/vms/{self.vm}/migrate", {"to": "h1"}))
        self.assert_only_on("h1")

    def test_a_target_that_vanishes_half_way_leaves_it_running_on_the_source(self) -> None:
        with self.slow_link(), CopyWatch(cluster.lab, self.vm) as watch:
            job = self.ask("h2")
            self.pushed(job)
            cluster.lab("crash", "h2")
            wait_for(lambda: cluster.lab.state("h1", self.vm).startswith("running"), 30, "it runs on the source")
            say(f"while the target is lost: {cluster.api.job(job).get('progress')}")
            cluster.lab("revive", "h2")
            ended = cluster.api.wait_job(job, 120)
        self.assertEqual([], watch.doubled)
        self.assertEqual("failed", ended["state"])
        say(f"target lost: {ended['error']['message']}")
        self.assert_only_on("h1")
        self.assert_beats_on()

    def test_a_daemon_killed_in_the_push_finds_it_again_and_finishes_it(self) -> None:
        with self.slow_link(), CopyWatch(cluster.lab, self.vm) as watch:
            job = self.ask()
            self.pushed(job)
            cluster.daemon.kill9()
            cluster.daemon.start()
            self.assertIn("data_processed", cluster.lab.virsh("h1", "domjobinfo", self.vm, "--rawstats"), "it went on")
            cluster.lab("slow", "h1", "off")
            ended = cluster.api.wait_job(job, 120)
        self.assertEqual([], watch.doubled)
        self.assertEqual("succeeded", ended["state"], ended["error"])
        self.assert_only_on("h2")
        self.assert_beats_on()

    def test_a_source_libvirtd_killed_in_the_push_leaves_one_owner(self) -> None:
        with self.slow_link(), CopyWatch(cluster.lab, self.vm) as watch:
            job = self.ask()
            self.pushed(job)
            cluster.lab("crash", "h1", "--libvirtd-only")
            cluster.lab("revive", "h1")
            cluster.lab("slow", "h1", "off")
            ended = cluster.api.wait_job(job, 120)
        self.assertEqual([], watch.doubled)
        self.assertIn(ended["state"], ("succeeded", "failed"))
        say(f"source's libvirtd killed: {ended['state']} {(ended['error'] or {}).get('message', '')}")
        self.assert_only_on("h2" if ended["state"] == "succeeded" else "h1")
        self.assert_beats_on()

    def test_a_virsh_migrate_by_hand_is_followed(self) -> None:
        with cluster.api.stream() as stream:
            cluster.lab.virsh("h1", "migrate", self.vm, cluster.lab.hosts["h2"]["peer_uri"], "--live", "--p2p",
                              "--persistent", "--undefinesource", "--unsafe", timeout=120)
            stream.wait(lambda e: e.get("kind") == "vm.moved" and e["subject_id"] == self.vm, 5, "the VM moved")
        self.assert_only_on("h2")
        self.assert_beats_on()
        cluster.assert_true_inventory(self)


class Address(unittest.TestCase):
    """What the network sees of a move: an echo request every 200 ms, from the bridge that the hosts hang on."""

    def setUp(self) -> None:
        subnet = ipaddress.ip_network(cluster.lab.facts["subnet"])
        self.address = str(subnet[-20])
        self.vm = cluster.create("addressed", "h1", load=f"{LOAD} ballast.ip={self.address}/{subnet.prefixlen}",
                                 nics=[{"network": cluster.lab.facts["network"]}])["id"]
        self.addCleanup(cluster.delete, self.vm)
        wait_for(self.answers, 120, f"{self.address} answers")

    def answers(self) -> bool:
        """Whether the guest answers one request."""
        return cluster.lab("exec", "switch", "--", "busybox", "ping", "-c1", "-w1", self.address, check=False).returncode == 0

    @contextlib.contextmanager
    def asked_all_along(self) -> Iterator[Callable[[], list[int]]]:
        """Asks while the block runs; what it gives tells which requests were answered, by their number."""
        with tempfile.TemporaryFile("w+") as heard:
            asking = subprocess.Popen([LAB, "--name", cluster.lab.name, "exec", "switch", "--", "busybox", "ping", "-i", "0.2", "-w", "300",
                                       self.address], stdout=heard, start_new_session=True)

            def answered() -> list[int]:
                heard.seek(0)
                return [int(number) for number in re.findall(r" seq=(\d+) ", heard.read())]

            try:
                yield answered
            finally:
                os.killpg(asking.pid, signal.SIGTERM)
                asking.wait(10)

    def test_its_address_answers_through_the_move_and_afterwards(self) -> None:
        with self.asked_all_along() as answered:
            wait_for(lambda: len(answered()) > 5, 20, "requests are answered before the move")
            result = cluster.api.run_job(f"/vms/{self.vm}/migrate", {"to": "h2"})["result"]
            moved = answered()[-1]
            wait_for(lambda: answered()[-1] > moved + 10, 20, "requests are answered after the move")
            numbers = answered()
        gap = max(after - before for before, after in itertools.pairwise(numbers)) - 1
        say(f"{len(numbers)} requests answered, at most {gap} lost in a row; downtime {result['downtime_ms']} ms")
        self.assertLessEqual(gap, 15, "the address was silent for over 3 s")
        self.assertEqual(["h2"], cluster.lab.where(self.vm, "--state-running"))


class LocalDisk(unittest.TestCase):
    """The pool `local` has one path on all hosts, and different storage behind it (SAFETY.md 9)."""

    def test_a_disk_on_storage_that_only_looks_shared_is_refused(self) -> None:
        vm = cluster.create("stuck", "h1", disks=[{"size_bytes": 16 << 20, "pool": "local"}])["id"]
        self.addCleanup(cluster.delete, vm)
        why = cluster.api.refusal(f"/vms/{vm}/migrate", {"to": "h2"})
        say(f"local disk: {why}")
        self.assertIn("local", why)
        self.assertEqual(["h1"], cluster.lab.where(vm, "--state-running"))
        self.assertEqual(["h1"], cluster.lab.where(vm))


if __name__ == "__main__":
    unittest.main(verbosity=2)
