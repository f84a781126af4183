"""The guests and links of the cases, and what arithmetic says about a guest on a link before anything is measured."""

from __future__ import annotations

import dataclasses
import math

MIB = 1024 * 1024
PAGE = 4096
PAYLOAD = 0.94  # of a link's speed: headers of Ethernet, IP and TCP


@dataclasses.dataclass(frozen=True)
class Guest:
    """A load of the tiny guest (lab/guest/load.c): MIB:PAGES_PER_SECOND:PATTERN."""

    name: str
    memory_mib: int
    set_mib: int
    pages_per_second: int
    pattern: str

    @property
    def load(self) -> str:
        """As the guest's command line has it."""
        return f"{self.set_mib}:{self.pages_per_second}:{self.pattern}"

    def dirtied(self, seconds: float) -> float:
        """Different bytes that it dirties within a time, at its nominal rate; a saw-tooth at its peak of twice the rate."""
        if self.pattern == "idle":
            return 0.0
        written = self.pages_per_second * PAGE * (2 if self.pattern == "sawtooth" else 1)
        whole = float(self.set_mib * MIB)
        return min(written * seconds, whole) if self.pattern == "sequential" else whole * (1 - math.exp(-written * seconds / whole))


@dataclasses.dataclass(frozen=True)
class Link:
    """Speed of both hosts' wires; 0: as fast as the machine."""

    name: str
    mbit: int = 0

    @property
    def rate(self) -> str:
        """As `lab slow` takes it."""
        return f"{self.mbit}mbit" if self.mbit else "off"

    @property
    def speed(self) -> int | None:
        """bytes/s, as the host's settings have it."""
        return self.mbit * 125_000 if self.mbit else None


GUESTS = {guest.name: guest for guest in (
    Guest("idle", 192, 8, 50, "idle"),
    Guest("hot_small", 192, 16, 20_000, "random"),
    Guest("hot_large", 256, 176, 20_000, "random"),  # all that the guest's kernel leaves
    Guest("sawtooth", 192, 64, 10_000, "sawtooth"),
)}
LIGHT = Guest("light", 192, 32, 500, "random")
LINKS = {link.name: link for link in (Link("free"), Link("400mbit", 400), Link("100mbit", 100))}


def is_hot(guest: Guest, link: Link, limit_ms: int) -> bool:
    """A hot guest on a slow link: within the downtime limit it dirties more than the link carries in that time (15 % more,
    so that it is no matter of luck), so pre-copy by itself never ends (docs/MIGRATION.md). Said before, not from results. A saw-tooth
    is none: in its valleys pre-copy ends."""
    if not link.mbit or guest.pattern == "sawtooth":
        return False
    limit_s = limit_ms / 1000
    return guest.dirtied(limit_s) > 1.15 * PAYLOAD * (link.speed or 0) * limit_s
