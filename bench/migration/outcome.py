"""One move, as it went."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass
class Move:
    """`wait_ms` is what the caller waited; `downtime_ms` and `sent` are QEMU's own figures; `gap_ms` is the longest silence of
    the guest's heartbeat, whose period it includes. A move that was stopped by the time-out is not `done`, and its wait is the time-out."""

    contender: str
    source: str
    done: bool
    wait_ms: float
    total_ms: float | None = None
    downtime_ms: float | None = None
    sent: float | None = None
    gap_ms: float | None = None
    error: str = ""
    row: dict[str, Any] | None = None  # Ballast's migration

    def text(self) -> str:
        """For the eyes of whoever watches."""
        row = self.row or {}
        down = f", down {self.downtime_ms:.0f} ms" if self.downtime_ms is not None else ""
        sent = f", {self.sent / 1048576:.0f} MiB" if self.sent is not None else ""
        how = f" [{row['mode']}, {len(row['rounds'])} rounds, throttle {row['throttle']}]" if row else ""
        acts = "".join(f" {act['what']}@{act['at_ms']}" for act in row.get("interventions", []))
        return f"{self.contender}: {self.wait_ms:.0f} ms{'' if self.done else ' NOT DONE'}{down}{sent}{how}{acts} {self.error}"


class Moves:
    """All runs of one contender in one cell."""

    def __init__(self) -> None:
        self.all: list[Move] = []

    @property
    def done(self) -> list[Move]:
        """Those that ended in time."""
        return [move for move in self.all if move.done]

    @property
    def waits(self) -> list[float]:
        """One that was stopped counts as the time it was given."""
        return [move.wait_ms for move in self.all]

    @property
    def downtimes(self) -> list[float]:
        """Of those that were done."""
        return [move.downtime_ms for move in self.done if move.downtime_ms is not None]

    @property
    def spent_s(self) -> float:
        """What all its runs took."""
        return sum(self.waits) / 1000

    @property
    def gave_up(self) -> int:
        """How many did not end."""
        return len(self.all) - len(self.done)
