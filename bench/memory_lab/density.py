"""How many guests one host carries while each keeps its work rate, by each rule."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any

from harness.base import say

from memory_lab.ballast_bed import BallastBed
from memory_lab.bed import WITHIN, Bed
from memory_lab.controllers import Controller, Mom, Proxmox
from memory_lab.guests import MIB, Shape, loss
from memory_lab.ksm import KERNEL, PAUSED, Ksm, Scan, daemon_seconds
from migration.figures import Report

MOST_LOSS = 0.05
RATIO = 2.5
QEMU_MIB = 110  # of a TCG guest beside its memory, as a plain rule would plan it (lab/README.md's guest, bounded translation cache)
FIXED_RATIO = 1.5
CORES = os.cpu_count() or 1
BUSY = 0.70  # beyond it the two cores might be the limit, not the memory
NEAR_EDGE_S = 2.0
SLOWLY = 4  # MOM takes 5 % of a guest each 10 s: between two guests it has a minute
PATIENCE = 40  # refusals in a row, before no more is asked: each is a step in which more is learned of those that run


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds: between two guests more, before the window, the window; `most` guests at all."""

    step_s: float
    settle_s: float
    window_s: float
    most: int


@dataclasses.dataclass
class Outcome:
    """What one rule reached."""

    vms: int
    losses: list[float]
    guest_ooms: int = 0
    host_oom_kills: int = 0
    least_free: float = 0
    busy: float = 0
    machine_busy: float = 0
    ended: str = ""

    @property
    def kept(self) -> bool:
        """Whether every guest kept its rate and lived."""
        return bool(self.losses) and max(self.losses) <= MOST_LOSS and not self.guest_ooms and not self.host_oom_kills


@dataclasses.dataclass(frozen=True)
class Contender:
    """`first` guests are begun with. With `grows` one more is added again and again until something gives."""

    name: str
    bed: Callable[[], Bed]
    first: int
    grows: bool = False
    controller: type[Controller] = Controller
    scan: Scan = PAUSED
    steps: int = 1  # of the pace, between two guests: a rule that takes its time has it


def contenders(shape: Shape, memory_mib: int, named: bool) -> dict[str, Contender]:
    """By name, in the order in which they run. KSM is paused for the two that have no use for it."""
    plain = lambda: Bed(shape, memory_mib)  # noqa: E731
    each = shape.memory_mib + QEMU_MIB
    fit, fixed = int(memory_mib // each), int(FIXED_RATIO * memory_mib // each)
    return {one.name: one for one in (
        Contender("none", plain, fit),
        Contender("ratio_1.5", plain, fixed),
        Contender("mom", plain, fixed, True, Mom, steps=SLOWLY),
        Contender("proxmox", plain, fixed, True, Proxmox, steps=SLOWLY),
        Contender("balanced", lambda: BallastBed(shape, memory_mib, "balanced", named), fit, True, Controller, KERNEL),
        Contender("dense", lambda: BallastBed(shape, memory_mib, "dense", named), fit, True, Controller, KERNEL),
    )}


OURS = ("balanced", "dense")


class Run:
    """One contender on a lab of its own."""

    def __init__(self, contender: Contender, bed: Bed, pace: Pace) -> None:
        self.contender, self.bed, self.pace = contender, bed, pace

    def troubles(self) -> tuple[int, int]:
        """Guests and QEMUs that memory cost their life so far."""
        return self.bed.boots_beyond_the_first(), self.bed.oom_kills()

    def worst_of_late(self, since: float) -> float:
        """The worst loss of any guest since a moment."""
        return max(self._losses(since), default=0.0)

    def _losses(self, begin: float) -> list[float]:
        """From then to the last look; one that fell silent is looked at too, and has lost what it did not say."""
        found = []
        for name in self.bed.guests:
            first = self.bed.eye.at(name, begin)
            if first is not None:
                moment, last = self.bed.eye.last_at(name)
                found.append(loss(self.bed.shape, first[1], last, moment - first[0]) if moment - first[0] > NEAR_EDGE_S else 0.0)
        return found

    def measure(self) -> Outcome:
        """One window with the guests that there are."""
        time.sleep(self.pace.settle_s)
        before, begin, busy, own = self.troubles(), time.monotonic(), cpu_times(), self._cpu_s()
        time.sleep(self.pace.window_s)
        losses = self._losses(begin)
        after = self.troubles()
        return Outcome(len(self.bed.guests), losses, after[0] - before[0], after[1] - before[1], self.bed.eye.least_free(begin) / MIB,
                       (self._cpu_s() - own) / CORES / (time.monotonic() - begin), busy_share(busy, cpu_times()))

    def _cpu_s(self) -> float:
        """Of the guests' QEMUs and ksmd."""
        return self.bed.qemu_cpu_s() + daemon_seconds()

    def grow(self) -> str:
        """Adds guests until something gives; says what."""
        refused = 0
        while len(self.bed.guests) < self.pace.most:
            before, begin = self.troubles(), time.monotonic()
            if why := self.bed.add():
                refused += 1
                if why.startswith(WITHIN) or refused > PATIENCE:
                    return why
                time.sleep(self.pace.step_s)  # what is refused now may fit once more is known of those that run
                continue
            refused, worked = 0, time.monotonic()
            time.sleep(self.pace.step_s * self.contender.steps)
            guests, kills = (now - then for now, then in zip(self.troubles(), before))
            if guests or kills:
                return f"with {len(self.bed.guests)} VMs {guests} guests ran out of memory, the host's OOM killer took {kills}"
            worst = self.worst_of_late(worked)
            say(f"density/{self.contender.name}: {len(self.bed.guests)} VMs, worst loss {worst:.1%}, "
                f"{self.bed.eye.figures().free / MIB:.0f} MiB free, {worked - begin:.0f} s to its working set")
            if worst > 2 * MOST_LOSS:  # so short a time says less than the window: only what is clear ends it
                return f"with {len(self.bed.guests)} VMs one lost {worst:.1%} of its rate"
        return f"{self.pace.most} VMs are the most that are tried"

    def outcome(self) -> Outcome:
        """The largest number of guests that a whole window bears out."""
        ended = self.bed.add(self.contender.first)
        if not ended and self.contender.grows:
            ended = self.grow()
        say(f"density/{self.contender.name}: {ended or 'no more is promised'}")
        self.bed.shrink_to(len(self.bed.guests) - self._falls(ended))
        while True:
            found = self.measure()
            found.ended = ended
            say(f"density/{self.contender.name}: {found.vms} VMs, losses {' '.join(f'{one:.1%}' for one in found.losses)}")
            if found.kept or found.vms <= 1:
                return found
            self.bed.shrink_to(found.vms - 1)

    def _falls(self, ended: str) -> int:
        """Whether the last guest was one too many: it lives, but somebody paid for it."""
        return 1 if ended.startswith(("with ", WITHIN)) else 0


def cpu_times() -> tuple[float, float]:
    """Busy and all, of the machine."""
    with open("/proc/stat", encoding="ascii") as stat:
        words = [float(word) for word in stat.readline().split()[1:9]]
    return sum(words) - words[3] - words[4], sum(words)


def busy_share(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Of all its cores."""
    return (after[0] - before[0]) / max(after[1] - before[1], 1.0)


def run_one(contender: Contender, pace: Pace, ksm: Ksm) -> tuple[Outcome, dict[str, Any]]:
    """From a fresh lab and unmerged pages."""
    ksm.start(contender.scan)
    bed = contender.bed().up()
    controller = contender.controller(bed, ksm)
    cpu = daemon_seconds()
    try:
        controller.start()
        found = Run(contender, bed, pace).outcome()
        controller.stop()
        return found, {"ksmd_cpu_s": round(daemon_seconds() - cpu, 1), "balloons_moved": controller.moves, **bed.figures()}
    finally:
        bed.down()


def run_density(report: Report, chosen: list[Contender], pace: Pace, ksm: Ksm) -> None:
    """All of them, then the ratios. One that could not be measured does not cost the others theirs."""
    reached: dict[str, int] = {}
    for contender in chosen:
        try:
            found, more = run_one(contender, pace, ksm)
        except AssertionError as error:
            report.say(f"density/{contender.name}", "VMs", None, "1", met=False, ended=f"not measured: {error}")
            continue
        reached[contender.name] = found.vms if found.kept else 0
        tell(report, contender.name, found, more)
    judge(report, reached)


def tell(report: Report, name: str, found: Outcome, more: dict[str, Any]) -> None:
    """Its lines. Of Ballast, which admits, nobody may run out of memory at any time; of the others it is how their limit is found."""
    case, ours = f"density/{name}", name in OURS
    guest_ooms, host_ooms = more.pop("guest_ooms"), more.pop("host_oom_kills")
    report.say(case, "VMs", found.vms if found.kept else 0, "1", ended=found.ended, **more)
    if found.losses:
        report.say(case, "worst loss of rate", max(found.losses), "1", runs=found.losses, target=MOST_LOSS,
                   met=max(found.losses) <= MOST_LOSS if ours else None)
        report.say(case, "mean loss of rate", sum(found.losses) / len(found.losses), "1", runs=found.losses)
    report.say(case, "guests out of memory", guest_ooms, "1", target=0, met=not guest_ooms if ours else None,
               in_window=found.guest_ooms)
    report.say(case, "taken by the host's OOM killer", host_ooms, "1", target=0, met=not host_ooms if ours else None,
               in_window=found.host_oom_kills)
    report.say(case, "host's least free", found.least_free, "MiB")
    report.say(case, "CPUs busy with guests and KSM", found.busy, "1", target=BUSY, met=found.busy <= BUSY,
               machine=round(found.machine_busy, 3))


def judge(report: Report, reached: dict[str, int]) -> None:
    """Ballast's best against no overcommit, and against the best of the others."""
    ours = max((reached[name] for name in OURS if name in reached), default=0)
    others = {name: count for name, count in reached.items() if name not in OURS}
    if not ours or not others:
        return
    if base := reached.get("none"):
        for name, count in reached.items():
            report.say(f"density/{name}", "VMs of no overcommit", count / base, "1", peer="none", peer_value=base,
                       target=RATIO if name in OURS else None, met=count >= RATIO * base if name in OURS else None)
    best = max(others, key=lambda name: others[name])
    report.say("density", "VMs against the best of the others", ours, "1", peer=best, peer_value=others[best], target=others[best] + 1,
               met=ours > others[best])
