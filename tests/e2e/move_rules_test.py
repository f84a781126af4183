#!/usr/bin/python3
"""Who else may move a VM, and what a move may not believe: the same VM asked for twice, `virsh migrate` by hand at the same time, a target
without memory, a host that comes back after it was confirmed dead in the middle of a move, and a store restored from yesterday's backup
(SAFETY.md 3, 4, 7, 8). Three hosts: the third runs QEMU as an ordinary user, so that only pre-copy goes there."""

from __future__ import annotations

import shutil
import sqlite3
import unittest
from contextlib import closing
from typing import Any

from harness.api import ENDED, ApiError
from harness.base import in_full_only, say, wait_for
from harness.cluster import MIB, Cluster, CopyWatch
from harness.traveller import MOVED, STAYED, HandMove, Traveller

HOST_MIB = 1024

cluster = Cluster(3, HOST_MIB)
guest = Traveller(cluster, "r")


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    guest.close()
    cluster.down()


class TwoMovers(unittest.TestCase):
    """One VM, and more than one who moves it."""

    maxDiff = None

    def setUp(self) -> None:
        guest.settle()

    def test_the_same_vm_asked_for_twice_runs_once(self) -> None:
        guest.begin("pre_copy")
        guest.reach("push")
        try:
            second = cluster.api.post(f"/vms/{guest.vm}/migrate", {"to": "h3", "mode": "pre_copy"})["id"]
        except ApiError as refused:
            say(f"the second is refused: {refused.detail}")
            second = ""
            self.assertIn(refused.code, ("conflict", "failed_precondition"))
        if second:
            self.assertEqual("queued", cluster.api.job(second)["state"], "two moves of one VM at once")
            cluster.api.post(f"/jobs/{second}/cancel")
            self.assertEqual("cancelled", cluster.api.wait_job(second, 20)["state"])
        guest.mend()
        guest.assert_ending(self, (MOVED,))

    def test_a_virsh_migrate_of_a_vm_that_ballast_moves_changes_nothing(self) -> None:
        for to in ("h3", ""):
            with self.subTest(to=to or "the same target"):
                guest.settle()
                guest.begin("pre_copy")
                guest.reach("push")
                hand = HandMove(guest, to or guest.target)
                code, words = hand.wait(60)
                say(f"by hand meanwhile: {code} {words}")
                self.assertNotEqual(0, code, "libvirt let a second migration in")
                guest.mend()
                guest.assert_ending(self, (MOVED,))

    def test_ballast_keeps_off_a_vm_that_somebody_moves_by_hand(self) -> None:
        guest.look()
        cluster.lab("slow", guest.source, "20mbit")
        hand = HandMove(guest, "h3")
        wait_for(lambda: guest.sent() > 1 << 20, 60, "the push by hand is under way")
        why = cluster.api.refusal(f"/vms/{guest.vm}/migrate", {"to": guest.target, "mode": "pre_copy"}, 120)
        say(f"Ballast meanwhile: {why}")
        guest.mend()
        code, words = hand.wait(120)
        self.assertEqual(0, code, words)
        wait_for(lambda: guest.owner_by_inventory() == "h3", 30, "the inventory follows it to h3")
        guest.assert_settled(self, "h3")


class NoRoom(unittest.TestCase):
    """The inventory believes in memory that the target has not got."""

    def setUp(self) -> None:
        self.big = Traveller(cluster, "big", memory_mib=256, load="160:100:random")
        self.addCleanup(self.big.close)
        self.addCleanup(self.big.discard)
        self.big.settle()
        self.addCleanup(cluster.limit_memory, "h2", HOST_MIB)
        self.kills = self.oom_kills("h2")

    def test_a_target_that_runs_out_of_memory_leaves_it_on_the_source(self) -> None:
        exporter = cluster.api.host("h2")["settings"]["exporter"]
        self.addCleanup(cluster.set_host, "h2", exporter=exporter)
        cluster.set_host("h2", exporter="")
        wait_for(lambda: cluster.memory_of("h2").get("exporter", {"sight": "full"})["sight"] != "full", 60, "Ballast sees less of it")
        cluster.limit_memory("h2", cluster.lab.hosts["h2"]["memory_used_bytes"] // MIB + 120)
        self.big.begin("pre_copy", rate="")
        self.big.assert_ending(self, (STAYED,), 240)
        self.assertGreater(self.oom_kills("h2"), self.kills, "the target had room after all")

    @staticmethod
    def oom_kills(host: str) -> int:
        """How often the kernel has killed there."""
        cluster.lab.refresh()
        return int(cluster.lab.hosts[host]["oom_kills"])


class OldStore(unittest.TestCase):
    """A backup of the store is put back: it says where the VM was yesterday (SAFETY.md 7)."""

    def test_a_store_of_yesterday_does_no_harm_to_a_vm_that_moved_since(self) -> None:
        guest.settle()
        guest.look()
        backup = cluster.daemon.state / "backup.db"
        with closing(sqlite3.connect(cluster.daemon.store)) as live, closing(sqlite3.connect(backup)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        yesterday = cluster.api.vm(guest.vm)
        cluster.api.run_job(f"/vms/{guest.vm}/migrate", {"to": guest.target, "mode": "pre_copy"})
        epoch = cluster.api.vm(guest.vm)["epoch"]
        self.assertGreater(epoch, yesterday["epoch"])
        cluster.daemon.stop()
        today = cluster.daemon.state / "today.db"
        with closing(sqlite3.connect(cluster.daemon.store)) as live:
            live.execute("PRAGMA journal_mode=DELETE")  # everything into the one file
        shutil.move(cluster.daemon.store, today)
        self.addCleanup(self.put_back, today)
        for leftover in ("-wal", "-shm"):
            cluster.daemon.store.with_name(cluster.daemon.store.name + leftover).unlink(missing_ok=True)
        shutil.copy(backup, cluster.daemon.store)
        with CopyWatch(cluster.lab, guest.vm) as watch:
            cluster.daemon.start()
            cluster.await_hosts()
            wait_for(lambda: cluster.api.vm(guest.vm)["alerts"], 30, "the VM's stamp is an alert")
            row = cluster.api.vm(guest.vm)
            say(f"after the restore: {row['state']} epoch {row['epoch']}: {row['alerts']}")
            for verb, body in (("start", {}), ("shutdown", {}), ("destroy", {}), ("delete", {"force": True}),
                               ("migrate", {"to": guest.source})):
                with self.subTest(verb=verb):
                    why = cluster.api.refusal(f"/vms/{guest.vm}/{verb}", body)
                    self.assertIn("epoch", why)
            wait_for(lambda: watch.looks > 5, 30, "the hosts were looked at")
        self.assertEqual([], watch.doubled)
        self.assertEqual([guest.target], cluster.lab.where(guest.vm, "--state-running"), "Ballast acted on it")
        self.assertEqual([guest.target], cluster.lab.where(guest.vm))
        guest.assert_heart(self)

    @staticmethod
    def put_back(today: Any) -> None:
        """Today's store again, for the tests that follow."""
        cluster.daemon.kill9()
        for leftover in ("-wal", "-shm"):
            cluster.daemon.store.with_name(cluster.daemon.store.name + leftover).unlink(missing_ok=True)
        shutil.move(today, cluster.daemon.store)
        cluster.daemon.start()
        cluster.await_hosts()


class DeadInTheMiddle(unittest.TestCase):
    """The source dies in the push, is confirmed dead, and comes back with its QEMU alive. The VM has no disk: all hosts share one kernel
    here, whose lock of a disk would hide a doubled VM."""

    def setUp(self) -> None:
        self.ghost = Traveller(cluster, "ghost", diskless=True)
        self.addCleanup(self.bury)
        self.addCleanup(self.ghost.close)
        self.ghost.settle()

    @in_full_only("it takes long, and lost_host_test has the quarantine every day")
    def test_a_host_that_comes_back_after_it_was_confirmed_dead_doubles_nothing_by_itself(self) -> None:
        ghost = self.ghost
        ghost.begin("pre_copy")
        ghost.reach("push")
        cluster.lab("crash", ghost.source, "--libvirtd-only")  # its QEMU runs on, and nobody can see it
        wait_for(lambda: cluster.api.host(ghost.source)["state"] == "unreachable", 60, "the source is unreachable")
        cluster.api.post(f"/hosts/{ghost.source}/confirm-dead", {"name": ghost.source, "reason": "the operator errs"})
        job = cluster.api.wait_job(ghost.job, 60)
        say(f"after confirm-dead: {job['state']} {(job['error'] or {}).get('message')}")
        wait_for(lambda: cluster.api.vm(ghost.vm)["state"] == "running", 60, "it starts again on the target")
        self.assertEqual(ghost.target, ghost.owner_by_inventory())
        cluster.lab("revive", ghost.source)
        wait_for(lambda: cluster.api.host(ghost.source)["state"] == "quarantined", 90, "the source is quarantined")
        say(f"quarantine: {cluster.api.host(ghost.source)['state_reason']}")
        self.assertIn(ghost.label, cluster.api.refusal(f"/hosts/{ghost.source}/resolve-quarantine", {"reason": "let it be"}))
        both = sorted((ghost.source, ghost.target))
        self.assertEqual(both, cluster.lab.where(ghost.vm, "--state-running"), "Ballast ended a copy by itself")

    def bury(self) -> None:
        """Ends what is left of the VM on every host, so that the quarantine is over."""
        self.ghost.mend()
        for host in cluster.lab.hosts:
            cluster.lab.virsh(host, "destroy", self.ghost.vm, check=False)
            cluster.lab.virsh(host, "undefine", self.ghost.vm, check=False)
        wait_for(self.is_resolved, 60, "the source works again")

    def is_resolved(self) -> bool:
        """Whether the operator's word ended the quarantine."""
        if cluster.api.host(self.ghost.source)["state"] == "quarantined":
            try:
                cluster.api.post(f"/hosts/{self.ghost.source}/resolve-quarantine", {"reason": "the test is over"})
            except ApiError:
                return False
        return bool(cluster.api.host(self.ghost.source)["state"] == "up")


if __name__ == "__main__":
    unittest.main(verbosity=2)
