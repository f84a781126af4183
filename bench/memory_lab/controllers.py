"""The other tools' rules as controllers of the lab host: what they read and set, by virsh, at their own pace."""

from __future__ import annotations

import collections
import re
import threading
import time
from collections.abc import Sequence

from memory_lab.bed import HOST, Bed
from memory_lab.ksm import Ksm, Scan
from memory_lab.rules import (KSMTUNED_PAUSE_S, GuestFigures, HostFigures, ksmtuned_scan, mom_scan, mom_targets, proxmox_targets)

STATS = re.compile(r"^ +balloon\.([a-z-]+)=(\d+)$", re.MULTILINE)
MOM_READ_S, MOM_DECIDE_S, MOM_HISTORY = 5.0, 10.0, 10  # mom.conf: monitors, policy engine, samples that StatAvg is of
PROXMOX_S = 10.0  # pvestatd's round


class Controller:
    """None: nobody moves a balloon. Runs on a thread of its own from start() to stop(), which raises what went wrong on it."""

    every_s = 10.0

    def __init__(self, bed: Bed, ksm: Ksm) -> None:
        self.bed, self.ksm = bed, ksm
        self.moves = 0
        self.scan: Scan | None = None
        self._failed: BaseException | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(60)
        if self._failed is not None:
            raise AssertionError(f"{type(self).__name__} stopped controlling: {self._failed}") from self._failed

    def _run(self) -> None:
        try:
            while not self._end.wait(self.every_s):
                self.turn()
        except BaseException as error:  # pylint: disable=broad-except  # told by stop()
            self._failed = error

    def turn(self) -> None:
        """One pass."""

    def read(self) -> list[GuestFigures]:
        """Every running guest whose balloon speaks."""
        found = []
        for block in self.bed.lab.virsh(HOST, "domstats", "--balloon", "--list-running", check=False).split("Domain: ")[1:]:
            stats = {key: int(value) * 1024 for key, value in STATS.findall(block)}
            if "unused" in stats and "current" in stats:
                found.append(GuestFigures(block.split("'")[1], stats["current"], self.bed.shape.minimum_mib * 1024 * 1024, stats["maximum"],
                                          stats["unused"]))
        return found

    def move(self, targets: dict[str, float]) -> None:
        """Sets balloons; one whose guest ended meanwhile is nobody's loss."""
        for name, target in targets.items():
            self.bed.lab.virsh(HOST, "setmem", name, f"{int(target) // 1024}K", "--live", check=False)
            self.moves += 1

    def set_scan(self, scan: Scan | None) -> None:
        """KSM's pace; none stops it."""
        if scan is None and self.scan is not None:
            self.ksm.pause()
        elif scan is not None and scan != self.scan:
            self.ksm.go_on(scan)
        self.scan = scan


class Mom(Controller):
    """MOM's balloon and KSM rules."""

    every_s = MOM_READ_S

    def __init__(self, bed: Bed, ksm: Ksm) -> None:
        super().__init__(bed, ksm)
        self.host: "collections.deque[HostFigures]" = collections.deque(maxlen=MOM_HISTORY)
        self.guests: dict[str, "collections.deque[GuestFigures]"] = {}
        self.decided = 0.0

    def turn(self) -> None:
        """Reads; every other time it decides."""
        self.host.append(self.bed.eye.figures())
        last = self.read()
        for guest in last:
            self.guests.setdefault(guest.name, collections.deque(maxlen=MOM_HISTORY)).append(guest)
        if time.monotonic() - self.decided < MOM_DECIDE_S:
            return
        self.decided = time.monotonic()
        host = HostFigures(self.host[-1].total, sum(one.free for one in self.host) / len(self.host))
        self.move(mom_targets(last, [mean_of(self.guests[guest.name]) for guest in last], host))
        self.set_scan(mom_scan(self.scan, host, self.bed.qemu_bytes(1)))


def mean_of(seen: Sequence[GuestFigures]) -> GuestFigures:
    """StatAvg of a guest's balloon and free memory."""
    last = seen[-1]
    return GuestFigures(last.name, sum(one.balloon for one in seen) / len(seen), last.minimum, last.maximum,
                        sum(one.unused for one in seen) / len(seen))


class Proxmox(Controller):
    """Proxmox's auto-ballooning, and ksmtuned beside it."""

    every_s = PROXMOX_S

    def __init__(self, bed: Bed, ksm: Ksm) -> None:
        super().__init__(bed, ksm)
        self.tuned = time.monotonic()

    def turn(self) -> None:
        """One round of pvestatd; ksmtuned each minute."""
        host = self.bed.eye.figures()
        self.move(proxmox_targets(self.read(), host))
        if time.monotonic() - self.tuned >= KSMTUNED_PAUSE_S:
            self.tuned = time.monotonic()
            self.set_scan(ksmtuned_scan(self.scan, host, self.bed.qemu_bytes(0)))
