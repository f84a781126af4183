#!/usr/bin/python3
"""Memory overcommit: the controller in process and simulated, and real guests on the lab beside other tools' rules.

scripts/bench memory [CASE…] [--quick] [--check]: JSON lines (ARCHITECTURE.md 6); docs/BENCHMARKS.md says what is measured. Cases: cost,
crowd, admission (memory_bench.cpp, no lab); density, or one of its rules: density/none, density/ratio_1.5, density/mom,
density/proxmox, density/balanced, density/dense; ksm. Those of the lab use KSM, which is the machine's: nothing else may meanwhile.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import signal
import sys
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault("BALLAST_BIN_DIR", str(HERE.parent / "build" / "release"))
sys.path.insert(0, str(HERE.parent / "tests" / "e2e"))
sys.path.insert(0, str(HERE))

from harness.base import BIN, say  # noqa: E402

from in_process import run_in_process  # noqa: E402
from memory_lab.density import Pace, contenders, run_density  # noqa: E402
from memory_lab.guests import Shape  # noqa: E402
from memory_lab.ksm import Ksm  # noqa: E402
from memory_lab.ksm_case import Spans, run_ksm  # noqa: E402
from migration.figures import Report  # noqa: E402

IN_PROCESS = ("cost", "crowd", "admission")
CASES = (*IN_PROCESS, "density", "ksm")
RULES = tuple(f"density/{name}" for name in contenders(Shape(), 4096, False))
SHAPE_KEYS = tuple(field.name for field in dataclasses.fields(Shape) if field.name != "own_pages")
FULL, QUICK = Pace(15, 20, 60, 24), Pace(8, 10, 20, 24)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("case", nargs="*", help=", ".join((*CASES, *RULES)))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--memory-mib", type=int, default=4096, help="of the host, for density")
    parser.add_argument("--most", type=int, default=FULL.most, help="guests that are tried at most")
    parser.add_argument("--guests", type=int, default=6, help="of ksm")
    parser.add_argument("--shape", default="", metavar="KEY=N,…", help=f"another guest for density: {', '.join(SHAPE_KEYS)}")
    parser.add_argument("--named", action="store_true", help="place VMs by their host's name")
    options = parser.parse_args()
    for case in options.case:
        if case not in (*CASES, *RULES):
            parser.error(f"no case is named '{case}'; there are {', '.join((*CASES, *RULES))}")
    try:
        options.guest = shape_of(options.shape)
    except ValueError as error:
        parser.error(str(error))
    return options


def shape_of(text: str) -> Shape:
    """The usual guest with some of its figures changed."""
    changes: dict[str, Any] = {}
    for word in filter(None, text.split(",")):
        key, _, value = word.partition("=")
        if key not in SHAPE_KEYS or not value.isdigit():
            raise ValueError(f"--shape: '{word}' is not one of {', '.join(SHAPE_KEYS)} with = and a number")
        changes[key] = int(value)
    return dataclasses.replace(Shape(), **changes)


def in_process(options: argparse.Namespace, report: Report) -> None:
    """The cases without a lab; their lines are passed on."""
    cases = [case for case in IN_PROCESS if not options.case or case in options.case]
    for case in cases:
        run_in_process(BIN / "bench" / "memory_bench", [case, *(["--quick"] if options.quick else [])], report.missed)


def on_the_lab(options: argparse.Namespace, report: Report) -> None:
    """KSM is given back as it was found, whatever happens."""
    all_rules = not options.case or "density" in options.case
    rules = [one for one in contenders(options.guest, options.memory_mib, options.named).values()
             if all_rules or f"density/{one.name}" in options.case]
    ksm_too = not options.case or "ksm" in options.case
    if not rules and not ksm_too:
        return
    pace = QUICK if options.quick else FULL
    with Ksm() as ksm:
        if rules:
            run_density(report, rules, Pace(pace.step_s, pace.settle_s, pace.window_s, options.most), ksm)
        if ksm_too:
            run_ksm(report, ksm, Spans(20 if options.quick else 45, 300, options.guests), options.named)


def stop(*_: Any) -> None:
    """SIGTERM ends it as Ctrl-C does, so that what it started is ended too."""
    raise KeyboardInterrupt


def main() -> int:
    """Measures, then 1 where --check was given and a target was missed."""
    options = arguments()
    signal.signal(signal.SIGTERM, stop)
    report = Report("memory")
    in_process(options, report)
    on_the_lab(options, report)
    for missed in report.missed:
        say(f"missed: {missed}")
    return 1 if options.check and report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
