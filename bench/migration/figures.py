"""Figures as JSON lines (ARCHITECTURE.md 6), and the arithmetic of targets."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from typing import Any


class Report:
    """Prints each figure as it is made and remembers whether all targets were met."""

    def __init__(self, bench: str = "migration") -> None:
        self.bench = bench
        self.missed: list[str] = []
        self.lines: list[dict[str, Any]] = []

    def say(self, case: str, metric: str, value: float | None, unit: str, *, runs: Sequence[float] = (), peer: str = "",
            peer_value: float | None = None, target: float | None = None, met: bool | None = None, **more: Any) -> None:
        """One line. `met` is null where nothing is promised."""
        ratio = value / peer_value if value is not None and peer_value else None
        line = {"bench": self.bench, "case": case, "metric": metric, "value": rounded(value), "unit": unit,
                "min": rounded(min(runs)) if runs else None, "max": rounded(max(runs)) if runs else None, "runs": len(runs),
                "peer": peer or None, "peer_value": rounded(peer_value), "ratio": rounded(ratio), "target": rounded(target),
                "met": met, **more}
        if met is False:
            self.missed.append(f"{case}: {metric}")
        self.lines.append(line)
        print(json.dumps(line), flush=True)


def rounded(value: float | None) -> float | None:
    """Enough digits to compare, few enough to read."""
    return None if value is None else round(value, 1 if abs(value) >= 100 else 3)


def quantile(values: Sequence[float], part: float) -> float:
    """The least value that `part` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return statistics.median(values) if values else None


def slack(value: float) -> float:
    """Differences below count as none: max(10 %, 200 ms)."""
    return max(0.1 * value, 200.0)
