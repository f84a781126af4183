"""What breaks under a move: each fault by name, what it does, and the runner that walks a table of phases and faults."""

from __future__ import annotations

import os
import re
import time
import unittest
from dataclasses import dataclass

from harness.api import ENDED, ApiError
from harness.base import FULL, say, wait_for
from harness.traveller import HELD_PUSH, HELD_ROUND, STAYED, TRICKLE, Traveller

LINES = os.environ.get("BALLAST_LINES", "")


@dataclass(frozen=True)
class Case:
    """One line of the matrix: in this phase of this mode this breaks; it ends in one of these ways. `everyday`: not only with BALLAST_FULL=1."""

    phase: str
    mode: str
    fault: str
    endings: tuple[str, ...]
    everyday: bool = False
    late: bool = False  # a pull on a slow wire, met when the last pages arrive; else in its middle, which a cap of QEMU's makes long

    def __str__(self) -> str:
        return f"{self.fault} {'late ' if self.late else ''}in {self.phase} ({self.mode})"

    @property
    def in_the_middle(self) -> bool:
        """Whether most of the memory is still on the source when it strikes."""
        return self.phase == "pull" and not self.late


def chosen(cases: tuple[Case, ...]) -> list[Case]:
    """The lines that run now; what is left out for time is said. BALLAST_LINES=PATTERN runs those whose words it fits."""
    if LINES:
        return [case for case in cases if re.search(LINES, str(case))]
    for case in cases:
        if not (case.everyday or FULL):
            say(f"left out for time (BALLAST_FULL=1 runs it): {case}")
    return [case for case in cases if case.everyday or FULL]


def run(test: unittest.TestCase, traveller: Traveller, cases: tuple[Case, ...]) -> None:
    """Each case as a subtest with its time."""
    for case in chosen(cases):
        with test.subTest(case=str(case)):
            begin = time.monotonic()
            traveller.settle()
            say(f"{case}:")
            disturbed(test, traveller, case)
            say(f"  {time.monotonic() - begin:.1f} s")


def disturbed(test: unittest.TestCase, traveller: Traveller, case: Case) -> str:
    """The move begins, is met in the phase, the fault strikes, the brake comes off; the ending is judged."""
    lab = traveller.cluster.lab
    # A move in setup waits for the target's libvirtd: while that stands still, it can be met there for certain. Its QEMU comes after.
    held = case.phase == "setup" and case.fault != "target_qemu"
    traveller.look()  # before anything stands still: it asks every host
    if held:
        lab("stop", traveller.target)
    try:
        if case.in_the_middle:
            push = HELD_ROUND if case.mode == "hybrid" else HELD_PUSH
            traveller.ask(case.mode, rate="", bandwidth_bytes_per_second=push, post_copy_bandwidth_bytes_per_second=TRICKLE)
        else:
            traveller.ask(case.mode)
        if case.phase != "setup" or held:
            traveller.reach(case.phase)
        if case.in_the_middle:
            share = traveller.pulled()
            say(f"  {share:.0%} of its memory has gone over")
            test.assertLess(share, 0.98 if case.mode == "hybrid" else 0.9, "that is not the middle of the pull")
        strike(test, traveller, case, held)
    finally:
        traveller.mend()
        if case.in_the_middle:
            traveller.hurry()
    if case.in_the_middle and case.fault == "cut_silent_60":
        wake(traveller)
    # libvirt 9.0 keeps the move's job on the source's domain when its QEMU dies in the pull, and lets nobody undefine it.
    return traveller.assert_ending(test, case.endings, 150, stale=case.fault == "source_qemu")


def wake(traveller: Traveller) -> None:
    """A target's QEMU that awaits pages of a stream that died without a word waits for ever (docs/MIGRATION.md 7): the alert's way out."""
    api = traveller.cluster.api

    def decided() -> str:
        if api.job(traveller.job)["state"] in ENDED:
            return "by itself"
        return "by hand" if any("has not noticed" in alert for alert in api.vm(traveller.vm)["alerts"]) else ""

    if wait_for(decided, 180, "it ends, or says that the target has not noticed") == "by hand":
        say("  the target has not noticed: its dead stream is closed by hand")
        traveller.cluster.lab("exec", traveller.target, "--", "ss", "-K", "-t", "sport >= :49152")


def strike(test: unittest.TestCase, traveller: Traveller, case: Case, held: bool) -> None:
    """The fault itself, and the end of it."""
    lab, daemon = traveller.cluster.lab, traveller.cluster.daemon
    sides = {"source": traveller.source, "target": traveller.target}
    side, _, what = case.fault.partition("_")
    if case.fault == "daemon":
        daemon.kill9()
        release(traveller, held)
        daemon.start()
    elif what == "libvirtd":
        lab("crash", sides[side], "--libvirtd-only")
        release(traveller, held and side != "target")
        lab("revive", sides[side])
    elif what == "qemu":
        traveller.kill_qemu(sides[side])
        release(traveller, held)
    elif side == "cut":
        cut(traveller, *what.split("_"))
    elif case.fault == "cancel":
        cancel(test, traveller, case)
        release(traveller, held)
    else:
        raise ValueError(case.fault)


def release(traveller: Traveller, held: bool) -> None:
    """Lets the target's libvirtd go on."""
    if held:
        traveller.cluster.lab("cont", traveller.target)


def cut(traveller: Traveller, how: str, seconds: str) -> None:
    """The source's wire is cut for so long: `hard` (no carrier) or `silent` (frames vanish)."""
    lab = traveller.cluster.lab
    lab("cut", traveller.source, *(("--silent",) if how == "silent" else ()))
    since = time.monotonic()
    wait_for(lambda: time.monotonic() - since > float(seconds), float(seconds) + 5, "the cut is over", 0.2)
    say(f"  at the end of the cut: {traveller.row().get('phase')}: {traveller.row().get('phase_reason')}")
    lab("heal", traveller.source)


def cancel(test: unittest.TestCase, traveller: Traveller, case: Case) -> None:
    """The operator's word: followed before the switch, refused with the reason behind it."""
    path = f"/jobs/{traveller.job}/cancel"
    if STAYED in case.endings:
        traveller.cluster.api.post(path)
        return
    with test.assertRaises(ApiError) as refused:
        traveller.cluster.api.post(path)
    test.assertEqual(("failed_precondition", True), (refused.exception.code, "switch" in refused.exception.detail), refused.exception)
