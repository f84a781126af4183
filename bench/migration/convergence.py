"""Whether pre-copy ends by itself: said before, against what it did, over bandwidth caps and working sets.

Each guest has been moved once before, under a cap of its own. Caps are taken around the nominal limit of each working set: the rate that carries, within the downtime limit, what the guest
dirties in it. Where the true limit lies is read from the runs: between the last cap that did not end and the first that did. Within
15 % of that, any answer but a wrong certainty counts, and "uncertain" is the right one; outside, only the right one.
"""

from __future__ import annotations

import dataclasses

from harness.base import say

from migration.bed import Bed
from migration.figures import Report
from migration.loads import MIB, Guest

SETS = {f"set_{mib}": Guest(f"set_{mib}", 192, mib, 20_000, "random") for mib in (16, 32, 64)}
FACTORS = (0.35, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.2)
QUICK_FACTORS = (0.5, 1.0, 2.0)
WARM_UP = 0.6
BAND = 1.15
ROUNDS = 14  # a move that ends needs fewer: each round that helps is shorter than the one before


@dataclasses.dataclass
class Trial:
    """One cap."""

    factor: float
    cap: float
    said: str
    ended: bool
    rounds: int


def run_convergence(bed: Bed, report: Report, guests: list[Guest], factors: tuple[float, ...]) -> None:
    """On a free link: the caps are Ballast's own."""
    trials: dict[str, list[Trial]] = {}
    for guest in guests:
        bed.warm(guest)
        run_trial(bed, guest, WARM_UP)  # a move that does not end teaches how fast it writes: no sample of a second can
        trials[guest.name] = [one for factor in factors if (one := run_trial(bed, guest, factor)) is not None]
    judge(report, trials)


def run_trial(bed: Bed, guest: Guest, factor: float) -> Trial | None:
    """One move under one cap, stopped when it would have ended long ago."""
    limit_s = bed.limit_ms / 1000
    cap = factor * guest.dirtied(limit_s) / limit_s
    patience = (guest.memory_mib * MIB + ROUNDS * guest.set_mib * MIB) / cap + 5
    body = {"mode": "pre_copy", "policy": {"post_copy": False, "max_throttle": 0, "bandwidth_bytes_per_second": int(cap)}}
    move = bed.by_ballast("pre_copy", guest, body, give_up_s=patience)
    say(f"convergence, {guest.name}, {factor} of the limit ({cap / MIB:.1f} MiB/s): {move.text()}")
    if move.row is None:
        return None
    said = next(mode["converges"] for mode in move.row["forecast"]["modes"] if mode["mode"] == "pre_copy")
    return Trial(factor, cap, said, move.done, len(move.row["rounds"]))


def limit_of(trials: list[Trial]) -> tuple[float, float]:
    """The caps between which it begins to end."""
    stuck = [trial.cap for trial in trials if not trial.ended]
    ended = [trial.cap for trial in trials if trial.ended]
    low, high = max(stuck, default=0.0), min(ended, default=float("inf"))
    return min(low, high), max(low, high)


def judge(report: Report, trials: dict[str, list[Trial]]) -> None:
    """Every cap on its own, then the share outside the band."""
    outside: list[bool] = []
    inside: list[bool] = []
    for name, ones in trials.items():
        low, high = limit_of(ones)
        for one in ones:
            near = low / BAND <= one.cap <= high * BAND and min(abs(one.cap / low - 1) if low else 9, abs(one.cap / high - 1)) <= BAND - 1
            right = one.said == ("yes" if one.ended else "no") or (near and one.said == "uncertain")
            (inside if near else outside).append(right)
            report.say(f"convergence, {name}, cap {one.cap / MIB:.1f} MiB/s", "ended by itself", float(one.ended), "bool", said=one.said,
                       near_the_limit=near, right=right, rounds=one.rounds)
    if outside:
        share = sum(outside) / len(outside)
        report.say("convergence, outside the band", "called right", share, "share", runs=[float(one) for one in outside], target=1.0,
                   met=share == 1.0)
    if inside:
        report.say("convergence, inside the band", "called right or uncertain", sum(inside) / len(inside), "share",
                   runs=[float(one) for one in inside])
