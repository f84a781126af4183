"""What the lab's tests share: running lab/lab, waiting on conditions, looking for what a lab left behind."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = str(ROOT / "lab" / "lab")
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "lab"))


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Polls until `condition` holds, fails naming `what` otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds} s it did not happen that {what}")
        time.sleep(0.02)


class LabCommand:
    """lab/lab for one lab name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *words: str, check: bool = True, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([LAB, "--name", self.name, *words], capture_output=True, text=True, timeout=timeout,
                              check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"lab {' '.join(words)} failed: {done.stdout}{done.stderr}")
        return done

    def status(self) -> dict[str, Any]:
        """`status --json` with the hosts as a dictionary by name under 'by_name'."""
        facts: dict[str, Any] = json.loads(self("--json", "status").stdout)
        facts["by_name"] = {h["name"]: h for h in facts["hosts"]}
        return facts

    def virsh(self, host: str, *words: str, check: bool = True, timeout: float = 60) -> str:
        """virsh's output on one host."""
        return self("virsh", host, "--", *words, check=check, timeout=timeout).stdout.strip()


def leftovers(name: str) -> list[str]:
    """Everything of the lab `name` that is still on this machine."""
    found = [str(p) for root in ("/run/ballast-lab", "/var/lib/ballast-lab", "/sys/fs/cgroup/memory/ballast-lab",
                                 "/sys/fs/cgroup/ballast-lab") if (p := pathlib.Path(root, name)).exists()]
    found += [str(p) for p in pathlib.Path("/run/netns").glob(f"bl-{name}-*")]
    marks = (f"/ballast-lab/{name}/".encode(), f"bl-{name}-".encode())
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        for kind in ("mountinfo", "cmdline"):
            try:
                text = (process / kind).read_bytes()
            except OSError:
                continue
            if any(mark in text for mark in marks):
                found.append(f"{process}/{kind}")
    return found
