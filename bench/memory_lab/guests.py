"""Guests that hold more memory than they need, and what each of them gets done."""

from __future__ import annotations

import dataclasses
import pathlib
import re

BEAT = re.compile(r"HB seq=\d+ t=[\d.]+ pages=(\d+) dirtied=(\d+) .*\n")
BOOT = "BOOT settings:"
MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Shape:
    """A load of the tiny guest (lab/guest/load.c). `own_pages`: the working set of each guest is unlike all others'."""

    memory_mib: int = 768
    minimum_mib: int = 128
    set_mib: int = 64
    pages_per_second: int = 400
    swing_mib: int = 48
    period_s: int = 60
    once_mib: int = 256
    cold_mib: int = 64
    cache_mib: int = 192
    own_pages: bool = True

    def words(self, index: int) -> str:
        """What guest number `index` has on its command line, behind `ballast.load=`. Phases are spread so that any few guests in a row
        have theirs apart: working sets move from guest to guest."""
        words = f"{self.set_mib}:{self.pages_per_second}:random ballast.hb=250"
        if self.swing_mib:
            words += f" ballast.swing={self.swing_mib}:{self.period_s}:{self.period_s * (index * 0.382 % 1):.1f}"
        for name, mib in (("once", self.once_mib), ("cold", self.cold_mib), ("cache", self.cache_mib)):
            words += f" ballast.{name}={mib}" if mib else ""
        return f"{words} ballast.own={index + 1}" if self.own_pages else words

    @property
    def disk_mib(self) -> int:
        """The first 64 MiB, and what its page cache is of."""
        return 64 + self.cache_mib

    def at_work(self, pages: int) -> bool:
        """Whether it has its working set."""
        return pages * 4096 >= self.set_mib * MIB


@dataclasses.dataclass(frozen=True)
class Look:
    """A guest as its console shows it: pages written since it was booted, and how often it was."""

    pages: int
    dirtied: int
    boots: int


class Console:
    """Reads a guest's console; what was read is not read again."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._at, self._rest = 0, ""
        self._pages = self._dirtied = self._boots = 0

    def look(self) -> Look:
        """The last heartbeat. One that was booted anew counts from 0, so its work before is lost."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self._at)
                read = file.read()
            self._at += len(read)
            whole, newline, self._rest = (self._rest + read.decode(errors="replace")).rpartition("\n")
            self._take(whole + newline)
        return Look(self._pages, self._dirtied, self._boots)

    def _take(self, text: str) -> None:
        if boots := text.count(BOOT):
            self._boots += boots
            self._pages = self._dirtied = 0
            text = text.rpartition(BOOT)[2]
        if beats := BEAT.findall(text):
            self._pages, self._dirtied = (int(word) for word in beats[-1])


def loss(shape: Shape, before: Look, after: Look, seconds: float) -> float:
    """The part of its work that it did not get done; all of it, where it was booted anew meanwhile."""
    if after.boots != before.boots:
        return 1.0
    return max(0.0, 1 - (after.dirtied - before.dirtied) / (shape.pages_per_second * seconds))
