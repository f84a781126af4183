#!/usr/bin/python3
"""Live migration by Ballast beside `virsh migrate --live` of an equal guest, on the lab, interleaved in one run.

scripts/bench migration [--runs N] [--quick]: JSON lines (ARCHITECTURE.md 6). Two guests of 256 MiB with the same load (32 MiB at 500 pages/s, random);
one is moved to and fro by Ballast, the other by virsh, in turn. `command` is what the caller waits, `total` and `downtime` are QEMU's own figures
of the completed job. Without --check nothing fails: it measures.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))

from harness.base import Lab, wait_for  # noqa: E402
from harness.cluster import Cluster  # noqa: E402

LOAD = "32:500:random"
OTHER = {"h1": "h2", "h2": "h1"}


def completed(lab: Lab, host: str, vm: str) -> dict[str, float]:
    """QEMU's figures of the last completed job, as virsh shows them on the target."""
    text = lab("virsh", host, "--", "domjobinfo", vm, "--completed").stdout
    number = lambda key: float(re.search(rf"{key}:\s+([\d.]+)", text).group(1))  # noqa: E731
    return {"total": number("Time elapsed"), "downtime": number("Total downtime")}


def by_virsh(lab: Lab, vm: str, source: str) -> dict[str, float]:
    target = OTHER[source]
    begin = time.monotonic()
    lab("virsh", source, "--", "migrate", vm, lab.hosts[target]["peer_uri"], "--live", "--p2p", "--unsafe", "--persistent", "--undefinesource")
    return {"command": (time.monotonic() - begin) * 1000, **completed(lab, target, vm)}


def by_ballast(cluster: Cluster, vm: str, source: str) -> dict[str, float]:
    begin = time.monotonic()
    job = cluster.api.run_job(f"/vms/{vm}/migrate", {"to": OTHER[source]})
    waited = (time.monotonic() - begin) * 1000
    if job["state"] != "succeeded":
        raise SystemExit(f"migration failed: {job['error']}")
    return {"command": waited, "total": job["result"]["total_ms"], "downtime": job["result"]["downtime_ms"]}


def report(metric: str, ours: list[float], peer: list[float], target: float | None) -> bool:
    ours_median, peer_median = statistics.median(ours), statistics.median(peer)
    limit = None if target is None else peer_median * 1.05 + target
    met = limit is None or ours_median <= limit
    print(json.dumps({"bench": "migration", "case": "pre_copy, free link", "metric": metric, "value": round(ours_median, 1), "unit": "ms",
                      "min": round(min(ours), 1), "max": round(max(ours), 1), "runs": len(ours), "peer": "virsh migrate --live --p2p",
                      "peer_value": round(peer_median, 1), "ratio": round(ours_median / peer_median, 3) if peer_median else None,
                      "target": None if limit is None else round(limit, 1), "met": met}))
    return met


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("case", nargs="*", help="pre_copy (the only one yet)")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    runs = 3 if options.quick else options.runs
    cluster = Cluster(2, 2048)
    ours: list[dict[str, float]] = []
    peers: list[dict[str, float]] = []
    cluster.up()
    try:
        cluster.create("ours", "h1", memory_mib=256, load=LOAD)
        cluster.beats("ours")
        xml = cluster.lab("guest", "xml", "peer", "--memory-mib", "256", "--load", LOAD).stdout
        path = pathlib.Path(cluster.lab.facts["shared_dir"]) / "peer.xml"
        path.write_text(xml)
        cluster.lab("virsh", "h1", "--", "define", str(path))
        cluster.lab("virsh", "h1", "--", "start", "peer")
        cluster.beats("peer")
        source = "h1"
        for _ in range(runs):
            ours.append(by_ballast(cluster, "ours", source))
            wait_for(lambda: "running" in cluster.lab.state(OTHER[source], "ours"), 10, "ours runs on the target")
            peers.append(by_virsh(cluster.lab, "peer", source))
            source = OTHER[source]
    finally:
        cluster.down()
    column = lambda rows, key: [row[key] for row in rows]  # noqa: E731
    met = [report("command", column(ours, "command"), column(peers, "command"), 100),
           report("total", column(ours, "total"), column(peers, "total"), 100),
           report("downtime", column(ours, "downtime"), column(peers, "downtime"), None)]
    return 1 if options.check and not all(met) else 0


if __name__ == "__main__":
    sys.exit(main())
