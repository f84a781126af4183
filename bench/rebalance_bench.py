#!/usr/bin/python3
"""`ballast rebalance --offline` beside Ganeti's hbal on the same clusters, whole process against whole process.

scripts/bench rebalance [CASE…] [--seeds N] [--quick] [--check]: JSON lines (ARCHITECTURE.md 6); docs/BENCHMARKS.md says what is
measured. Cases: peer (20 and 50 nodes in four layouts, beside hbal), scale (1,000 and 3,000 nodes, alone), or a part of peer by its
layout, its size, or both: hot, 20, hot/50. The clusters come from a generator, a Python file that also scores as hbal does:
BALLAST_HTOOLS_GENERATOR is its path. Without it, or without hbal (Debian: ganeti-htools), a line says what was skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYOUTS = ("hot", "packed", "drain", "random")
SIZES = (20, 50)
SCALE = ((1000, 1.0), (3000, 3.0))  # nodes, seconds that the first plan may take
EQUAL_MOVES = 0.6
MORE_MOVES = {"hot": 0.25, "packed": 0.2, "random": 0.2, "drain": 0.35}  # of hbal's score, with 20 % more moves
FASTER = 1 / 50
HBAL_LIMIT_S = 600


class Report:
    """Prints each figure as it is made and remembers what was missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def say(self, case: str, metric: str, value: float | None, unit: str, *, runs: Sequence[float] = (), peer_value: float | None = None,
            target: float | None = None, target_of_ratio: float | None = None, **more: Any) -> None:
        """One line. A target of the value, or of its ratio to hbal's."""
        ratio = value / peer_value if value is not None and peer_value else None
        met = None
        if target is not None and value is not None:
            met = value <= target
        if target_of_ratio is not None and ratio is not None:
            target, met = target_of_ratio, ratio <= target_of_ratio
        if met is False:
            self.missed.append(f"{case}: {metric}")
        print(json.dumps({"bench": "rebalance", "case": case, "metric": metric, "value": value, "unit": unit,
                          "min": min(runs, default=None), "max": max(runs, default=None), "runs": len(runs),
                          "peer": "hbal" if peer_value is not None else None, "peer_value": peer_value, "ratio": ratio,
                          "target": target, "met": met, **more}), flush=True)

    def skipped(self, case: str, why: str) -> None:
        """A case that was not measured."""
        print(json.dumps({"bench": "rebalance", "case": case, "metric": "skipped", "value": None, "unit": "", "met": None, "why": why}),
              flush=True)


class Generator:
    """The clusters, and the score of a file as hbal counts it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        spec = importlib.util.spec_from_file_location("htools_generator", path)
        assert spec is not None and spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def make(self, out: pathlib.Path, nodes: int, layout: str, seed: int) -> None:
        """A cluster with ten VMs a node on shared storage, 60 % full."""
        with open(out, "w", encoding="utf-8") as file:
            subprocess.run([sys.executable, self.path, "gen", "--nodes", str(nodes), "--layout", layout, "--seed", str(seed)],
                           stdout=file, check=True)

    def score(self, path: pathlib.Path) -> float:
        """What hbal would print for this file."""
        return float(self.module.score(str(path)))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("case", nargs="*")
    parser.add_argument("--seeds", type=int, default=3, help="clusters of each kind, from seed 101 on: not those it was tuned on")
    parser.add_argument("--runs", type=int, default=5, help="runs of Ballast whose median counts; hbal runs once")
    parser.add_argument("--quick", action="store_true", help="20 nodes, one seed; 1,000 nodes")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    known = {"peer", "scale", *LAYOUTS, *map(str, SIZES)}
    for case in options.case:
        if not set(case.split("/")) <= known:
            parser.error(f"no case is named '{case}'; there are {', '.join(sorted(known))} and LAYOUT/NODES")
    return options


def timed(command: Sequence[str], limit: float | None = None) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds and output of one process. One that is stopped at the limit has no output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit).stdout
    except subprocess.TimeoutExpired:
        output = ""
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, output


class Bench:
    """One run of all that was asked for."""

    def __init__(self, options: argparse.Namespace, generator: Generator, folder: pathlib.Path) -> None:
        self.options = options
        self.generator = generator
        self.folder = folder
        self.report = Report()
        self.ballast = str(pathlib.Path(os.environ.get("BALLAST_BIN_DIR", ROOT / "build/release")) / "cli/ballast")
        self.hbal = shutil.which("hbal")

    def wants(self, layout: str, nodes: int) -> bool:
        """Whether this part of peer is asked for."""
        names = [set(case.split("/")) for case in self.options.case if case not in ("peer", "scale")]
        if names:
            return any(name <= {layout, str(nodes)} for name in names)
        return (not self.options.case or "peer" in self.options.case) and (nodes == SIZES[0] or not self.options.quick)

    def rebalance(self, cluster: pathlib.Path, moves: int | None) -> tuple[list[float], dict[str, Any], float]:
        """Wall times, the plan, and the score of what was written."""
        out = self.folder / "ours.data"
        command = [self.ballast, "rebalance", "--offline", str(cluster), "--out", str(out), "-o", "json"]
        if moves is not None:
            command += ["--max-moves", str(moves)]
        runs = [timed(command) for _ in range(self.options.runs)]
        return [wall for wall, _, _ in runs], json.loads(runs[-1][2]), self.generator.score(out)

    def peer(self, layout: str, nodes: int, seed: int) -> None:
        """One cluster, both balancers."""
        case = f"{layout}/{nodes}/seed {seed}"
        if self.hbal is None:
            self.report.skipped(case, "hbal is not installed (Debian: ganeti-htools)")
            return
        cluster, saved = self.folder / "in.data", self.folder / "hbal.data"
        self.generator.make(cluster, nodes, layout, seed)
        hbal_wall, hbal_cpu, output = timed([self.hbal, "-t", str(cluster), "-S", str(saved)], HBAL_LIMIT_S)
        length = re.search(r"Solution length=(\d+)", output)
        if length is None:
            self.report.skipped(case, f"hbal gave no solution within {HBAL_LIMIT_S} s")
            return
        hbal_moves, hbal_score = int(length[1]), self.generator.score(saved.with_name(saved.name + ".balanced"))
        for name, moves, bar in (("as many moves", hbal_moves, EQUAL_MOVES), ("20 % more moves", hbal_moves * 12 // 10, MORE_MOVES[layout])):
            walls, plan, score = self.rebalance(cluster, moves)
            self.report.say(case, f"score with {name}", score, "", peer_value=hbal_score, target_of_ratio=bar, moves=len(plan["moves"]),
                            peer_moves=hbal_moves, lower_bound=plan["lower_bound"], score_before=plan["score_before"])
            self.report.say(case, f"wall time with {name}", statistics.median(walls), "s", runs=walls, peer_value=hbal_wall,
                            target_of_ratio=FASTER, peer_cpu_s=hbal_cpu)

    def scale(self, nodes: int, limit: float) -> None:
        """A cluster that hbal needs hours for: loading, planning, writing."""
        cluster = self.folder / "in.data"
        self.generator.make(cluster, nodes, "hot", 101)
        walls, plan, score = self.rebalance(cluster, None)
        case = f"hot/{nodes}/seed 101"
        self.report.say(case, "wall time to the first plan", statistics.median(walls), "s", runs=walls, target=limit)
        self.report.say(case, "score", score, "", score_before=plan["score_before"], lower_bound=plan["lower_bound"],
                        moves=len(plan["moves"]))
        nothing = [self.ballast, "rebalance", "--offline", str(cluster), "--max-moves", "0"]
        loads = [timed(nothing)[0] for _ in range(self.options.runs)]
        hbal = timed([self.hbal, "-t", str(cluster), "-l", "0", "-q"])[0] if self.hbal else None
        self.report.say(case, "load and score only", statistics.median(loads), "s", runs=loads, peer_value=hbal,
                        target_of_ratio=1.0 if hbal else None)

    def run(self) -> None:
        """Peers first, then the large ones."""
        for nodes in SIZES:
            for layout in LAYOUTS:
                for seed in range(101, 102 if self.options.quick else 101 + self.options.seeds):
                    if self.wants(layout, nodes):
                        self.peer(layout, nodes, seed)
        if not self.options.case or "scale" in self.options.case:
            for nodes, limit in SCALE[:1] if self.options.quick else SCALE:
                self.scale(nodes, limit)


def main() -> int:
    """Measures, then 1 where --check was given and a target was missed."""
    options = arguments()
    path = pathlib.Path(os.environ.get("BALLAST_HTOOLS_GENERATOR", ""))
    if not path.is_file():
        Report().skipped("all", "BALLAST_HTOOLS_GENERATOR names no file: there are no clusters to measure on")
        return 0
    with tempfile.TemporaryDirectory(prefix="ballast-rebalance-") as folder:
        bench = Bench(options, Generator(path), pathlib.Path(folder))
        bench.run()
    for missed in bench.report.missed:
        print(f"missed: {missed}", file=sys.stderr)
    return 1 if options.check and bench.report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
