#!/usr/bin/python3
"""What breaks after a move has switched to post-copy, on real hosts. The memory is on both sides then, and the source must never run again:
a broken link or a dead libvirtd is recovered, a dead QEMU costs the running state, and the events say so beforehand and afterwards (SAFETY.md
rule 4). The lines marked `everyday` run always, all of them with `scripts/test --full`.

A pull counts as met once the guest beats on the target: then QEMU has left `cont`, where a break hangs it (docs/MIGRATION.md 7). With QEMU's
own cap of the pull (post_copy_bandwidth) that is early: the guest asks past the cap, and most of its memory is still on the source (of a
hybrid: of what it wrote during its round). On a slow wire (`late`) it is after some 30 s of 36: a fault strikes when the last pages arrive, or just after."""

from __future__ import annotations

import unittest

from harness.base import say, wait_for
from harness.cluster import Cluster
from harness.fault_kinds import Case, chosen, disturbed, run
from harness.traveller import MOVED, RESTARTED, Traveller

cluster = Cluster(2)
guest = Traveller(cluster, "p")

PULL = (
    Case("pull", "post_copy", "daemon", (MOVED,)),
    Case("pull", "post_copy", "source_libvirtd", (MOVED,)),
    Case("pull", "post_copy", "target_libvirtd", (MOVED,), True),
    Case("pull", "post_copy", "cancel", (MOVED,)),
    Case("pull", "post_copy", "cut_hard_3", (MOVED,)),
    Case("pull", "post_copy", "cut_silent_3", (MOVED,)),
    Case("pull", "post_copy", "cut_hard_20", (MOVED,)),
    Case("pull", "post_copy", "cut_silent_20", (MOVED,), True),
    Case("pull", "post_copy", "cut_hard_60", (MOVED,)),
    Case("pull", "post_copy", "cut_silent_60", (MOVED,)),
    Case("pull", "post_copy", "daemon", (MOVED,), late=True),
    Case("pull", "post_copy", "source_libvirtd", (MOVED,), late=True),
    Case("pull", "post_copy", "target_libvirtd", (MOVED,), late=True),
    Case("pull", "post_copy", "cut_hard_20", (MOVED,), late=True),
    Case("pull", "post_copy", "cut_silent_20", (MOVED,), late=True),
    Case("pull", "hybrid", "daemon", (MOVED,)),
    Case("pull", "hybrid", "source_libvirtd", (MOVED,)),
    Case("pull", "hybrid", "target_libvirtd", (MOVED,)),
    Case("pull", "hybrid", "cut_hard_20", (MOVED,)),
)
LOST = (
    Case("pull", "post_copy", "target_qemu", (RESTARTED,)),
    Case("pull", "post_copy", "source_qemu", (RESTARTED,), True),
    Case("pull", "post_copy", "source_qemu", (RESTARTED,), late=True),
)


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    guest.close()
    cluster.down()


class AfterTheSwitch(unittest.TestCase):
    """The target runs it, and a part of its memory is still on the source."""

    maxDiff = None

    def test_a_fault_in_the_pull_is_recovered_and_no_page_is_lost(self) -> None:
        run(self, guest, PULL)

    def test_a_qemu_that_dies_in_the_pull_costs_the_running_state_and_the_events_say_so(self) -> None:
        for case in chosen(LOST):
            with self.subTest(case=str(case)):
                guest.settle()
                say(f"{case}:")
                disturbed(self, guest, case)
                self.assert_that_the_risk_was_said()

    def assert_that_the_risk_was_said(self) -> None:
        """Beforehand and afterwards, by forecast and events."""
        events = [e for e in cluster.api.events(guest.seq) if e["subject_id"] in (guest.vm, guest.job)]
        told = [e["kind"] for e in events if "running state" in e["message"]]
        self.assertEqual("migration.claimed", told[0] if told else "", "the risk was not said beforehand")
        self.assertIn("vm.running_state_lost", told)
        forecast = cluster.api.get(f"/migrations/{guest.job}")["forecast"]
        self.assertIn("loses its running state", str(forecast))

    def test_a_broken_pull_is_paused_and_an_operator_resumes_it(self) -> None:
        guest.settle()
        guest.begin("post_copy")
        guest.reach("pull")
        cluster.lab("cut", guest.source)
        wait_for(lambda: guest.phase() == "pull_paused", 60, "the broken pull is paused")
        self.assertEqual([], [h for h in ("h1", "h2") if cluster.lab.state(h, guest.vm) == ""], "a copy was given up")
        say(f"paused: {guest.row()['phase_reason']}")
        guest.mend()
        cluster.api.post(f"/migrations/{guest.job}/resume")
        guest.assert_ending(self, (MOVED,))
        self.assertIn("resume", [i["what"] for i in guest.row()["interventions"]])


if __name__ == "__main__":
    unittest.main(verbosity=2)
