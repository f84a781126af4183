"""What Ballast costs where both run the very same mode: pre-copy without any knob, on the same link."""

from __future__ import annotations

from collections.abc import Callable

from harness.base import say

from migration.bed import Bed
from migration.figures import Report, median
from migration.grid import PLAIN, Pace
from migration.loads import Guest, Link
from migration.outcome import Moves

OURS = {"mode": "pre_copy", "policy": {"post_copy": False, "max_throttle": 0}}
NEAR = 0.05  # "the same bytes": what a guest dirties meanwhile is never twice the same


def run_same_mode(bed: Bed, report: Report, guest: Guest, links: list[Link], pace: Pace, wanted: Callable[[Link], bool]) -> None:
    """In turn, on each link."""
    for link in [link for link in links if wanted(link)]:
        bed.set_link(link)
        bed.warm(guest)
        ours, peer = Moves(), Moves()
        while pace.wants(ours) or pace.wants(peer):
            for mine in (True, False) if len(ours.all) % 2 == 0 else (False, True):  # who is first is no advantage of anybody
                (ours if mine else peer).all.append(bed.by_ballast("pre_copy", guest, OURS) if mine else bed.by_virsh(PLAIN, guest))
            say(f"same mode, {guest.name}, {link.name}: {ours.all[-1].text()} | {peer.all[-1].text()}")
        judge(report, f"same_mode, {guest.name}, {link.name}", ours, peer)


def judge(report: Report, case: str, ours: Moves, peer: Moves) -> None:
    """The caller's wait within 5 % + 100 ms, the bytes within NEAR."""
    wait, peer_wait = median(ours.waits) or 0.0, median(peer.waits) or 0.0
    report.say(case, "wait", wait, "ms", runs=ours.waits, peer=PLAIN, peer_value=peer_wait, target=peer_wait * 1.05 + 100,
               met=wait <= peer_wait * 1.05 + 100)
    report.say(case, "downtime", median(ours.downtimes), "ms", runs=ours.downtimes, peer=PLAIN, peer_value=median(peer.downtimes))
    sent = [float(move.sent) for move in ours.done if move.sent is not None]
    other = [float(move.sent) for move in peer.done if move.sent is not None]
    mine, theirs = median(sent), median(other)
    met = None if mine is None or theirs is None else abs(mine - theirs) <= NEAR * theirs
    report.say(case, "sent", mine, "bytes", runs=sent, peer=PLAIN, peer_value=theirs, target=None if theirs is None else theirs * (1 + NEAR),
               met=met)
