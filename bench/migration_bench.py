#!/usr/bin/python3
"""Live migration by Ballast beside `virsh migrate --live` of an equal guest, on the lab, interleaved in one run.

scripts/bench migration [CASE…] [--runs N] [--quick] [--check]: JSON lines (ARCHITECTURE.md 6); docs/BENCHMARKS.md says what is
measured and how to read it. Cases: grid (also gives hindsight, accuracy and downtime), same_mode, convergence; a part of the grid is
named by its guest, its link, or both: hot_large, 100mbit, hot_large/100mbit. Without --check nothing fails: it measures.
"""

from __future__ import annotations

import argparse
import pathlib
import signal
import sys
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "e2e"))
sys.path.insert(0, str(HERE))

from harness.base import say  # noqa: E402

from migration import accuracy, convergence, grid, same_mode  # noqa: E402
from migration.bed import Bed  # noqa: E402
from migration.figures import Report  # noqa: E402
from migration.grid import MODES, PEERS, Pace  # noqa: E402
from migration.loads import GUESTS, LIGHT, LINKS, Guest, Link  # noqa: E402

CASES = ("grid", "same_mode", "convergence")
QUICK_CELLS = ("idle/free", "hot_large/400mbit")
LIMIT_MS = 300


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("case", nargs="*", help="grid, same_mode, convergence, GUEST, LINK or GUEST/LINK; all without")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--budget", type=float, default=40, help="seconds a contender gets in a cell once it has had 3 runs")
    parser.add_argument("--give-ups", type=int, default=2, help="peers that never ended so often in a cell are not asked again there")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--no-hindsight", action="store_true", help="leave the explicit modes out")
    parser.add_argument("--raw", default="/tmp/ballast-migration-bench.jsonl", help="every single run goes there, as it was")
    options = parser.parse_args()
    for case in options.case:
        if case not in CASES and any(part not in {**GUESTS, **LINKS} for part in case.split("/")):
            parser.error(f"no case is named '{case}'; there are {', '.join((*CASES, *GUESTS, *LINKS))} and GUEST/LINK")
    return options


def cell_filter(options: argparse.Namespace) -> Callable[[Guest, Link], bool]:
    """Which cells of the grid are asked for."""
    names = [case for case in options.case if case not in CASES]
    if not names and options.quick:
        names = list(QUICK_CELLS)
    return lambda guest, link: not names or any(set(name.split("/")) <= {guest.name, link.name} for name in names)


def pace_of(options: argparse.Namespace) -> Callable[[str], Pace]:
    """Peers that do not end are not asked again and again; the explicit modes are there for the comparison only."""
    runs = 3 if options.quick else options.runs
    ours = Pace(runs, min(3, runs), options.budget, 3)
    explicit = Pace(min(runs, 5), min(2, runs), options.budget / 2, 1)
    peers = Pace(runs, min(3, runs), options.budget, 1 if options.quick else options.give_ups)
    return lambda contender: peers if contender in PEERS else explicit if contender in MODES else ours


def guests_for(options: argparse.Namespace, wanted: set[str]) -> list[Guest]:
    """Those that the cases need."""
    chosen = cell_filter(options)
    guests = [guest for guest in GUESTS.values() if "grid" in wanted and any(chosen(guest, link) for link in LINKS.values())]
    if "same_mode" in wanted:
        guests.append(LIGHT)
    if "convergence" in wanted:
        guests += list(convergence.SETS.values())[:1 if options.quick else None]
    return guests


def run_cases(bed: Bed, options: argparse.Namespace, wanted: set[str], report: Report) -> None:
    """On a free link first: what a slow one taught must not be known before."""
    chosen = cell_filter(options)
    links = grid.all_links()
    guests = guests_for(options, wanted)
    for guest in guests[:1]:
        for _ in range(2):
            say(f"warming the pair up: {bed.by_ballast('pre_copy', guest, grid.body_of('pre_copy')).text()}")
    if "same_mode" in wanted:
        pace = Pace(3 if options.quick else options.runs, 3, options.budget, 3)
        same_mode.run_same_mode(bed, report, LIGHT, links[:1 if options.quick else 2], pace, lambda link: True)
        bed.set_link(links[0])
    if "convergence" in wanted:
        sets = list(convergence.SETS.values())[:1 if options.quick else None]
        convergence.run_convergence(bed, report, sets, convergence.QUICK_FACTORS if options.quick else convergence.FACTORS)
    if "grid" in wanted:
        run_the_grid(bed, options, links, chosen, report)


def run_the_grid(bed: Bed, options: argparse.Namespace, links: list[Link], chosen: Callable[[Guest, Link], bool], report: Report) -> None:
    """And all that is read from it."""
    contenders = [grid.AUTO_POST, grid.PLAIN, grid.AUTO_PRE, grid.CONVERGE]
    if not options.quick and not options.no_hindsight:
        contenders += MODES
    with open(options.raw, "a", encoding="utf-8") as raw:
        cells = grid.run_grid(bed, list(GUESTS.values()), links, contenders, pace_of(options), raw, chosen,
                              lambda cell: grid.judge_cell(report, cell, LIMIT_MS))
    grid.judge_downtime(report, cells, LIMIT_MS)
    grid.judge_hindsight(report, cells, LIMIT_MS)
    accuracy.judge_accuracy(report, cells)


def stop(*_: Any) -> None:
    """SIGTERM ends it as Ctrl-C does, so that what it started is ended too."""
    raise KeyboardInterrupt


def main() -> int:
    """Measures, then 1 where --check was given and a target was missed."""
    options = arguments()
    signal.signal(signal.SIGTERM, stop)
    wanted = {case for case in options.case if case in CASES}
    if not wanted or any(case not in CASES for case in options.case):
        wanted.add("grid")
    if not options.case:
        wanted = {"grid", "same_mode"} if options.quick else set(CASES)
    report = Report()
    bed = Bed(LIMIT_MS, 30 if options.quick else 120)
    try:
        bed.up(guests_for(options, wanted))
        run_cases(bed, options, wanted, report)
    finally:
        bed.down()
    for missed in report.missed:
        say(f"missed: {missed}")
    return 1 if options.check and report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
