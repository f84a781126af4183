"""Pages that KSM saves per CPU second of ksmd, by each rule on the same guests; and the forecast of what groups save."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from harness.api import ApiError
from harness.base import say, wait_for

from memory_lab import ksm as machine
from memory_lab.ballast_bed import BallastBed
from memory_lab.bed import HOST
from memory_lab.guests import MIB, Shape
from memory_lab.ksm import KERNEL, PAUSED, Ksm, Scan, daemon_seconds
from memory_lab.rules import KSMTUNED_PAUSE_S, HostFigures, ksmtuned_scan
from migration.figures import Report

CONSTANTS = (64, 100, 400, 1250)  # pages, each 20 ms
ALIKE = Shape(memory_mib=512, set_mib=32, pages_per_second=50, swing_mib=0, once_mib=0, cold_mib=160, cache_mib=0, own_pages=False)
SPARE_MIB = 1024
PROMISED = 0.6  # of all maximums is the host's capacity: where they fit, Ballast leaves KSM off
NEAR = 0.05
STILL_S = 15.0
BRISK = Scan(10_000, 20)
STILL_PART = 0.005
PAGE = 4096


@dataclasses.dataclass(frozen=True)
class Spans:
    """Seconds of a rule's run, and the most that is waited until a group is measured; how many guests."""

    run_s: float
    measured_s: float
    guests: int


class Case:
    """All rules, one after the other, on one set of guests."""

    def __init__(self, report: Report, ksm: Ksm, spans: Spans, named: bool) -> None:
        self.report, self.ksm, self.spans = report, ksm, spans
        self.capacity = int(spans.guests * ALIKE.memory_mib * PROMISED) * MIB
        self.bed = BallastBed(ALIKE, spans.guests * (ALIKE.memory_mib + 128) + SPARE_MIB, "balanced", named)
        self.gains: dict[str, float] = {}

    def run(self) -> None:
        """Constants while Ballast only watches, then Ballast."""
        self.ksm.start(PAUSED)
        self.bed.up()
        try:
            self.bed.set_host(memory_policy="none")
            if why := self.bed.add(self.spans.guests):
                raise AssertionError(f"the guests of the case: {why}")
            self.bed.set_host(memory_capacity_bytes=self.capacity)
            for pages in CONSTANTS:
                self.measure(f"{pages} pages", Scan(pages, KERNEL.sleep_ms))
            self.ksmtuned()
            self.ksm.start(KERNEL)
            self.bed.set_host(memory_policy="balanced")
            self.follow_ballast()
            self.judge()
            self.forecast()
        finally:
            self.bed.down()

    def measure(self, name: str, scan: Scan) -> None:
        """One constant. A pace that is another at the end was set by somebody else: the figure is worth nothing then, which is said."""
        self.ksm.start(scan)
        cpu = daemon_seconds()
        time.sleep(self.spans.run_s)
        found = machine.read("pages_to_scan")
        if found != scan.pages:
            self.report.missed.append(f"ksm/{name}: somebody else set {found} pages, another lab's daemon?")
        self.note(name, daemon_seconds() - cpu, pages_to_scan=found, disturbed=found != scan.pages)

    def ksmtuned(self) -> None:
        """Its first look is taken at once, not after a minute: to its favour."""
        used = self.bed.qemu_bytes(1)
        host = HostFigures(self.capacity, max(0.0, self.capacity - used))
        scan = ksmtuned_scan(None, host, self.bed.qemu_bytes(0))
        self.ksm.start(scan or PAUSED)
        cpu, left = daemon_seconds(), self.spans.run_s
        while left > KSMTUNED_PAUSE_S:
            time.sleep(KSMTUNED_PAUSE_S)
            left -= KSMTUNED_PAUSE_S
            host = HostFigures(self.capacity, max(0.0, self.capacity - self.bed.qemu_bytes(1)))
            scan = ksmtuned_scan(scan, host, self.bed.qemu_bytes(0))
            self.ksm.tune(scan or PAUSED)
        time.sleep(left)
        self.note("ksmtuned", daemon_seconds() - cpu, pages_to_scan=machine.read("pages_to_scan"))

    def follow_ballast(self) -> None:
        """As long as the others; it begins with what it finds, and its next sweep."""
        cpu = daemon_seconds()
        time.sleep(self.spans.run_s)
        self.note("ballast", daemon_seconds() - cpu, pages_to_scan=machine.read("pages_to_scan"))

    def note(self, name: str, cpu: float, **more: Any) -> None:
        """What was reached. Less than a tick of CPU time counts as one."""
        sharing = machine.read("pages_sharing")
        self.gains[name] = sharing / max(cpu, 1 / machine.TICK)
        case = f"ksm/{name}"
        self.report.say(case, "saved", sharing * PAGE / MIB, "MiB", cpu_s=round(cpu, 2), seconds=self.spans.run_s, **more)
        self.report.say(case, "saved per CPU second of ksmd", self.gains[name], "pages")

    def judge(self) -> None:
        """Against the best of them. No target is set: a constant that suits these guests by chance is hard to beat."""
        others = {name: gain for name, gain in self.gains.items() if name != "ballast"}
        best = max(others, key=lambda name: others[name])
        self.report.say("ksm", "saved per CPU second, Ballast against the best", self.gains["ballast"], "pages", peer=best,
                        peer_value=others[best])

    # --- the forecast ---

    def picture(self) -> dict[str, Any]:
        """Of the host's memory, as of Ballast's last sweep."""
        found: dict[str, Any] = self.bed.cluster.api.get(f"/hosts/{HOST}/memory")
        return found

    def forecast(self) -> None:
        """Once the group is measured, one guest after the other goes: what Ballast expects of those that stay, against the kernel."""
        try:
            self.picture()
        except ApiError as error:
            self.report.say("ksm/forecast", "skipped", None, "", why=f"this ballastd does not say it: {error}")
            return
        try:
            wait_for(lambda: self.picture()["ksm"]["expected"]["measured"], self.spans.measured_s, "the group is measured", 2)
        except AssertionError as error:
            self.report.say("ksm/forecast", "error", None, "1", target=NEAR, met=False, why=str(error), ksm=self.picture()["ksm"])
            return
        errors = []
        for _ in range(2):
            self.bed.end(self.bed.guests[-1])
            errors.append(self.error())
        self.report.say("ksm/forecast", "error", max(errors), "1", runs=errors, target=NEAR, met=max(errors) <= NEAR)

    def error(self) -> float:
        """|forecast - kernel| / kernel, once the forecast is of the guests that there are and the kernel's figure stands still."""
        count = len(self.bed.guests)
        expected = wait_for(lambda: self._expected(count), 60, f"Ballast's picture is of {count} guests", 1)
        self.pass_by()
        saved = self.still() * PAGE
        say(f"ksm/forecast: {count} guests, expected {expected / MIB:.0f} MiB, the kernel reports {saved / MIB:.0f}")
        return abs(expected - saved) / max(saved, 1)

    def _expected(self, count: int) -> float | None:
        picture = self.picture()
        return float(picture["ksm"]["expected"]["likely_bytes"]) if len(picture["vms"]) == count else None

    def pass_by(self) -> None:
        """Lets ksmd go round twice: only as it comes by does it take the pages of a guest that ended out of its counters, and Ballast
        rests it. The forecast was read before; the pace is put back before Ballast looks again, or is taken for another agent's, which
        changes nothing of what it knows of groups."""
        found, passes = Scan(machine.read("pages_to_scan"), machine.read("sleep_millisecs")), machine.read("full_scans")
        self.ksm.tune(BRISK)
        try:
            wait_for(lambda: machine.read("full_scans") >= passes + 2, 60, "ksmd went round twice")
        finally:
            self.ksm.tune(found)

    def still(self) -> int:
        """Pages that are shared, once they change by less than STILL_PART in STILL_S; the last ones after as long as a group may take."""
        deadline = time.monotonic() + self.spans.measured_s
        before = -1
        while True:
            now = machine.read("pages_sharing")
            if before >= 0 and abs(now - before) <= STILL_PART * max(now, 1) or time.monotonic() > deadline:
                return now
            before = now
            time.sleep(STILL_S)


def run_ksm(report: Report, ksm: Ksm, spans: Spans, named: bool) -> None:
    """The case."""
    Case(report, ksm, spans, named).run()
