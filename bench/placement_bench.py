#!/usr/bin/python3
"""Placement: decisions in process, whole processes beside Ganeti's hail, and over REST beside OpenStack Placement.

scripts/bench placement [CASE…] [--quick] [--check]: JSON lines (ARCHITECTURE.md 6); docs/BENCHMARKS.md says what is measured. Cases:
decide, why_not, overcommit, guard, absorb, capacity (placement_bench.cpp, in process), hail (`ballast place --offline` beside it on the same
file), rest (placed and durably claimed by `ballastd --simulate`, placement_rest.py). Of what others have: BALLAST_HTOOLS_GENERATOR is the
path of the generator of clusters, BALLAST_PLACEMENT_PEER that of the script that measures OpenStack Placement. Without one of them, or
without the peer's package (bench/packages.txt), a line says what was skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("BALLAST_BIN_DIR", str(ROOT / "build/release"))
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import placement_rest  # noqa: E402
from in_process import run_in_process  # noqa: E402

IN_PROCESS = ("decide", "why_not", "overcommit", "guard", "absorb", "capacity")
CASES = (*IN_PROCESS, "hail", "rest")
HAIL = pathlib.Path("/usr/lib/ganeti/iallocators/hail")
HAIL_LIMIT_S = 300
CHEAP_NODES = (100, 1000, 3000)  # without hail's check of N+1
SAFE_NODES = (100,)  # with it: at 300 nodes hail needs minutes
TARGET_NODES = {"cheap": (1000, 3000), "safe": (100,)}
FASTER = 1 / 100
PLACEMENT_FASTER = 50
KUBE_FLOOR = 810  # pods/s at 5,000 nodes: kube-scheduler's own threshold (scheduler_perf, performance-config.yaml)
VM = {"cpu": 2, "memory": 4096, "disk": 10240}


class Report:
    """Prints each figure as it is made and remembers what was missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def say(self, case: str, metric: str, value: float | None, unit: str, *, met: bool | None = None, **more: Any) -> None:
        """One line."""
        if met is False:
            self.missed.append(f"{case}: {metric}")
        print(json.dumps({"bench": "placement", "case": case, "metric": metric, "value": value, "unit": unit, "met": met, **more}), flush=True)

    def skipped(self, case: str, why: str) -> None:
        """A case that was not measured."""
        self.say(case, "skipped", None, "", why=why)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("case", nargs="*", help=", ".join(CASES))
    parser.add_argument("--runs", type=int, default=5, help="runs of Ballast whose median counts; a peer that needs seconds runs once")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    for case in options.case:
        if case not in CASES:
            parser.error(f"no case is named '{case}'; there are {', '.join(CASES)}")
    return options


def timed(command: Sequence[str], limit: float | None = None) -> tuple[float, float, str | None]:
    """Wall seconds, CPU seconds and output of one process; no output where it was stopped at the limit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    output: str | None
    try:
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=limit).stdout
    except subprocess.TimeoutExpired:
        output = None
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, output


def hail_request() -> dict[str, Any]:
    """Ganeti's iallocator message for one more instance; the cluster itself comes from the text file (-t)."""
    request = {"type": "allocate", "name": "one-more", "memory": VM["memory"], "vcpus": VM["cpu"], "disk_space_total": VM["disk"],
               "disks": [{"size": VM["disk"], "mode": "w"}], "nics": [], "required_nodes": 1, "disk_template": "ext", "tags": [],
               "os": "any", "hypervisor": "kvm", "spindle_use": 1, "hvparams": {}}
    return {"version": 2, "cluster_name": "bench", "cluster_tags": [], "enabled_hypervisors": ["kvm"], "ipolicy": {}, "nodegroups": {},
            "nodes": {}, "instances": {}, "request": request}


class Bench:
    """One run of all that was asked for."""

    def __init__(self, options: argparse.Namespace, folder: pathlib.Path) -> None:
        self.options = options
        self.folder = folder
        self.report = Report()
        self.bin = pathlib.Path(os.environ["BALLAST_BIN_DIR"])

    def wants(self, case: str) -> bool:
        """Whether it is asked for."""
        return not self.options.case or case in self.options.case

    def in_process(self) -> None:
        """The cases without a peer; their lines are passed on."""
        cases = [case for case in IN_PROCESS if self.wants(case)]
        if not cases:
            return
        run_in_process(self.bin / "bench/placement_bench", [*cases, *(["--quick"] if self.options.quick else [])], self.report.missed)

    def beside_hail(self, kind: str, nodes: int, generator: str) -> None:
        """One placement, whole process against whole process; wall time where the machine is idle, CPU time in any case."""
        case = f"hail/{kind}/{nodes}"
        cluster, message = self.folder / f"{nodes}.data", self.folder / "request.json"
        if not cluster.exists():
            with open(cluster, "w", encoding="utf-8") as file:
                subprocess.run([sys.executable, generator, "gen", "--nodes", str(nodes), "--layout", "random", "--seed", "101"], stdout=file,
                               check=True)
        message.write_text(json.dumps(hail_request()))
        vm = f"one-more:{VM['cpu']}:{VM['memory']}:{VM['disk']}"
        ours = [str(self.bin / "cli/ballast"), "place", "--offline", str(cluster), "--vm", vm, "-o", "json"]
        peer = [str(HAIL), "-t", str(cluster), str(message)]
        if kind == "safe":
            ours.append("--n-plus-one")
        else:
            peer.insert(1, "--no-capacity-checks")
        runs = [timed(ours) for _ in range(self.options.runs)]
        peer_wall, peer_cpu, output = timed(peer, HAIL_LIMIT_S)
        answer = json.loads(output)["info"] if output else f"stopped after {HAIL_LIMIT_S} s"
        score = re.search(r"score: ([0-9.]+)", answer)
        chosen = json.loads(runs[-1][2] or "{}")
        cpu = statistics.median(run[1] for run in runs)
        ratio = cpu / peer_cpu if peer_cpu else None
        met = ratio <= FASTER if ratio is not None and nodes in TARGET_NODES[kind] else None
        self.report.say(case, "CPU time of one placement", cpu, "s", met=met, target="<= 1/100 of hail's" if met is not None else None,
                        peer="hail" if kind == "safe" else "hail --no-capacity-checks", peer_value=peer_cpu, ratio=ratio,
                        wall=statistics.median(run[0] for run in runs), peer_wall=peer_wall, node=chosen.get("node"),
                        score=chosen.get("score_after"), peer_score=float(score[1]) if score else None)

    def hail(self) -> None:
        """Ganeti's allocator on the same files."""
        generator = os.environ.get("BALLAST_HTOOLS_GENERATOR", "")
        if not HAIL.exists():
            self.report.skipped("hail", "hail is not installed (Debian: ganeti-htools)")
        elif not os.path.isfile(generator):
            self.report.skipped("hail", "BALLAST_HTOOLS_GENERATOR names no file: there are no clusters to measure on")
        else:
            for nodes in CHEAP_NODES[:1] if self.options.quick else CHEAP_NODES:
                self.beside_hail("cheap", nodes, generator)
            for nodes in SAFE_NODES:
                self.beside_hail("safe", nodes, generator)

    def peer_rate(self, hosts: int) -> float | None:
        """VMs per second of OpenStack Placement: candidates, then the allocation. In process, so faster than its service is."""
        script = os.environ.get("BALLAST_PLACEMENT_PEER", "")
        if not os.path.isfile(script):
            self.report.skipped(f"rest/{hosts}/peer", "BALLAST_PLACEMENT_PEER names no file")
            return None
        done = subprocess.run(["/usr/bin/python3", script, str(hosts)], capture_output=True, text=True, check=False)
        found = re.search(r"claim loop \(candidates\+PUT\): ([0-9.]+) ms each", done.stdout)
        if done.returncode != 0 or found is None:
            self.report.skipped(f"rest/{hosts}/peer", "OpenStack Placement is not installed (Debian: python3-placement)")
            return None
        return 1000 / float(found[1])

    def rest(self, hosts: int, vms: int) -> None:
        """Placed and durably claimed over REST."""
        row = placement_rest.measure(hosts, vms)
        met, target, peer, peer_value = None, None, None, None
        if hosts == 5000:
            peer, peer_value, target = "kube-scheduler's own floor", float(KUBE_FLOOR), f">= {KUBE_FLOOR}"
            met = row["value"] >= KUBE_FLOOR
        elif peer_value := self.peer_rate(hosts):
            peer, target = "OpenStack Placement", f">= {PLACEMENT_FASTER} times"
            met = row["value"] >= PLACEMENT_FASTER * peer_value
        self.report.say(f"rest/{hosts}", "placed and claimed", row.pop("value"), "1/s", met=met, target=target, peer=peer,
                        peer_value=peer_value, **row)

    def run(self) -> None:
        """What has no peer first."""
        self.in_process()
        if self.wants("hail"):
            self.hail()
        if self.wants("rest"):
            for hosts, vms in ((100, 200),) if self.options.quick else ((1000, 5000), (5000, 5000)):
                self.rest(hosts, vms)


def main() -> int:
    """Measures, then 1 where --check was given and a target was missed."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="ballast-placement-") as folder:
        bench = Bench(options, pathlib.Path(folder))
        bench.run()
    for missed in bench.report.missed:
        print(f"missed: {missed}", file=sys.stderr)
    return 1 if options.check and bench.report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
