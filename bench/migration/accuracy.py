"""Forecast against outcome, from the rows that Ballast itself stored (as migration/accuracy.h reads them)."""

from __future__ import annotations

import datetime
from typing import Any

from migration.figures import Report, median, quantile
from migration.grid import Cell

LEAST_DOWNTIME_MS = 10.0  # below it is noise


def instant(text: str) -> float:
    """Seconds of a timestamp; nanoseconds are cut."""
    whole, _, rest = text.rstrip("Z").partition(".")
    base = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc).timestamp()
    return base + (float("0." + rest) if rest else 0.0)


def forecast_of(row: dict[str, Any]) -> dict[str, Any] | None:
    """The stored forecast of the mode that it ran in."""
    for mode in (row.get("forecast") or {}).get("modes", []):
        if mode["mode"] == row["mode"]:
            found: dict[str, Any] = mode
            return found
    return None


def likely(forecast: dict[str, Any], name: str) -> float:
    """The middle of one of its ranges, whose parts carry their unit in their names."""
    part = forecast[name]
    return float(next(value for key, value in part.items() if key.startswith("likely")))


def error_of(actual: float, expected: float) -> float:
    """|actual - forecast| / actual."""
    return abs(actual - expected) / max(actual, 1e-9)


def judge_accuracy(report: Report, cells: list[Cell]) -> None:
    """All of Ballast's runs of the grid that succeeded."""
    totals: list[float] = []
    sizes: list[float] = []
    near: list[bool] = []
    for cell in cells:
        own: list[float] = []
        for moves in cell.moves.values():
            for row in [move.row for move in moves.done if move.row is not None]:
                forecast = forecast_of(row)
                if forecast is None or not row["called"] or not row["finished"]:
                    continue
                wall = (instant(row["finished"]) - instant(row["called"])) * 1000
                own.append(error_of(wall, likely(forecast, "total")))
                if row["sent_bytes"]:
                    sizes.append(error_of(row["sent_bytes"], likely(forecast, "bytes")))
                if row["downtime_ms"] is not None:
                    ratio = max(row["downtime_ms"], LEAST_DOWNTIME_MS) / max(likely(forecast, "downtime"), LEAST_DOWNTIME_MS)
                    near.append(1 / 1.5 <= ratio <= 1.5)
        if own:
            report.say(f"accuracy, {cell.guest.name}, {cell.link.name}", "error of total, median", median(own), "share", runs=own)
        totals += own
    if not totals:
        return
    report.say("accuracy, all cells", "error of total, median", median(totals), "share", runs=totals, target=0.15,
               met=(median(totals) or 0) <= 0.15)
    report.say("accuracy, all cells", "error of total, p90", quantile(totals, 0.9), "share", runs=totals, target=0.35,
               met=quantile(totals, 0.9) <= 0.35)
    if sizes:
        report.say("accuracy, all cells", "error of bytes, median", median(sizes), "share", runs=sizes, target=0.1,
                   met=(median(sizes) or 0) <= 0.1)
    if not near:
        return
    share = sum(near) / len(near)
    report.say("accuracy, all cells", "downtime within a factor of 1.5", share, "share", runs=[float(one) for one in near], target=0.8,
               met=share >= 0.8)
