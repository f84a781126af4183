"""Judges a guest by its serial console: is the heartbeat whole, how long did it fail to arrive, is anything corrupt?

The guest's own clock stands still while it is moved, so the gap is measured by arrival, on the machine's clock.
"""

from __future__ import annotations

import re
import time
from typing import Any

HEARTBEAT = re.compile(r"HB seq=(\d+) t=([\d.]+) .*")
POLL_SECONDS = 0.002


class Watcher:
    """Follows a console file from its present end. One thread."""

    def __init__(self, path: str) -> None:
        self._file = open(path, encoding="utf-8", errors="replace")  # closed by close()
        self._file.seek(0, 2)
        self._rest = ""
        self._last_arrival: float | None = None
        self.sequence: list[int] = []
        self.corrupt: list[str] = []
        self.longest_gap_s = 0.0
        self.disk_writes = 0

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def poll(self) -> int:
        """Takes in what has arrived; returns how many heartbeats there were."""
        text = self._rest + self._file.read()
        *lines, self._rest = text.split("\n")
        return sum(self._take(line) for line in lines)

    def watch(self, seconds: float) -> None:
        """Polls for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.poll()
            time.sleep(POLL_SECONDS)

    def _take(self, line: str) -> bool:
        if "CORRUPT" in line:
            self.corrupt.append(line.strip())
        self.disk_writes += line.startswith("DISK seq=")
        found = HEARTBEAT.search(line)
        if not found:
            return False
        now = time.monotonic()
        if self._last_arrival is not None:
            self.longest_gap_s = max(self.longest_gap_s, now - self._last_arrival)
        self._last_arrival = now
        self.sequence.append(int(found.group(1)))
        return True

    def contiguous(self) -> bool:
        """Whether no heartbeat is missing, doubled or begun anew."""
        return all(b == a + 1 for a, b in zip(self.sequence, self.sequence[1:]))

    def report(self) -> dict[str, Any]:
        """What was seen, as data."""
        return {"ok": bool(self.sequence) and self.contiguous() and not self.corrupt,
                "heartbeats": len(self.sequence), "first_seq": self.sequence[0] if self.sequence else None,
                "last_seq": self.sequence[-1] if self.sequence else None, "contiguous": self.contiguous(),
                "longest_gap_ms": round(self.longest_gap_s * 1000), "disk_writes": self.disk_writes,
                "corrupt": self.corrupt}


def watch(path: str, seconds: float) -> dict[str, Any]:
    """Watches a console file for a while and reports."""
    watcher = Watcher(path)
    try:
        watcher.watch(seconds)
        return watcher.report()
    finally:
        watcher.close()
