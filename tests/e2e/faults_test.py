#!/usr/bin/python3
"""What breaks before a move has switched, on real hosts: ballastd, either libvirtd or either QEMU killed in setup, push and stop-and-copy, the
wire cut, and a cancel. Each ends as SAFETY.md rule 4 says: one copy, its memory whole, one definition, a true inventory, no claim left.

The matrix is the table below; the ordinary run takes the lines marked `everyday`, `scripts/test --full` all of them."""

from __future__ import annotations

import unittest

from harness.cluster import Cluster
from harness.fault_kinds import Case, run
from harness.traveller import MOVED, STAYED, STOPPED, Traveller

cluster = Cluster(2)
guest = Traveller(cluster, "f")
EITHER = (MOVED, STAYED)

SETUP = (
    Case("setup", "pre_copy", "daemon", EITHER, True),
    Case("setup", "pre_copy", "source_libvirtd", (STAYED,)),
    Case("setup", "pre_copy", "target_libvirtd", (STAYED,), True),
    Case("setup", "pre_copy", "source_qemu", (STOPPED,)),
    Case("setup", "pre_copy", "target_qemu", (STAYED,)),
    Case("setup", "pre_copy", "cancel", (STAYED,)),
)
PUSH = (
    Case("push", "pre_copy", "daemon", (MOVED,)),
    Case("push", "pre_copy", "source_libvirtd", EITHER),
    Case("push", "pre_copy", "target_libvirtd", (STAYED,), True),
    Case("push", "pre_copy", "target_qemu", (STAYED,), True),
    Case("push", "pre_copy", "cut_hard_3", EITHER),
    Case("push", "pre_copy", "cut_silent_3", EITHER, True),
    Case("push", "pre_copy", "cut_hard_20", EITHER),
    Case("push", "pre_copy", "cut_silent_20", EITHER),
    Case("push", "pre_copy", "cut_hard_60", EITHER),
    Case("push", "pre_copy", "cut_silent_60", EITHER),
    Case("push", "pre_copy", "cancel", (STAYED,)),
    Case("push", "pre_copy", "source_qemu", (STOPPED,), True),
)
STOP_AND_COPY = (
    Case("stop_and_copy", "stop_and_copy", "daemon", (MOVED,), True),
    Case("stop_and_copy", "stop_and_copy", "source_libvirtd", EITHER, True),
    Case("stop_and_copy", "stop_and_copy", "target_libvirtd", (STAYED,)),
    Case("stop_and_copy", "stop_and_copy", "target_qemu", (STAYED,)),
    Case("stop_and_copy", "stop_and_copy", "cut_hard_20", EITHER),
    Case("stop_and_copy", "stop_and_copy", "cut_hard_60", EITHER),
    Case("stop_and_copy", "stop_and_copy", "cut_silent_60", EITHER),
    Case("stop_and_copy", "stop_and_copy", "cancel", (STAYED,), True),
    Case("stop_and_copy", "stop_and_copy", "source_qemu", (STOPPED,)),
)


def setUpModule() -> None:
    cluster.up()


def tearDownModule() -> None:
    guest.close()
    cluster.down()


class BeforeTheSwitch(unittest.TestCase):
    """The source is the owner until the target has taken over."""

    maxDiff = None

    def test_a_fault_in_setup(self) -> None:
        run(self, guest, SETUP)

    def test_a_fault_in_the_push(self) -> None:
        run(self, guest, PUSH)

    def test_a_fault_in_stop_and_copy(self) -> None:
        run(self, guest, STOP_AND_COPY)


if __name__ == "__main__":
    unittest.main(verbosity=2)
