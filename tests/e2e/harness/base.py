"""Paths, waiting, and the lab: several real libvirt hosts that the tests look at with their own eyes (virsh)."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from typing import Any, TypeVar

ROOT = pathlib.Path(__file__).resolve().parents[3]
LAB = str(ROOT / "lab" / "lab")
BIN = pathlib.Path(os.environ.get("BALLAST_BIN_DIR", ROOT / "build" / "dev"))
BALLASTD = BIN / "daemon" / "ballastd"
BALLAST = BIN / "cli" / "ballast"
FULL = os.environ.get("BALLAST_FULL") == "1"
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "lab"))
T = TypeVar("T")


def in_full_only(why: str) -> Callable[[T], T]:
    """Marks a test that only BALLAST_FULL=1 runs, and says why."""
    return unittest.skipUnless(FULL, f"BALLAST_FULL=1 runs it: {why}")


def say(text: str) -> None:
    """A measured figure or a note, for the test's output."""
    print(f"[e2e] {text}", file=sys.stderr, flush=True)


def wait_for(probe: Callable[[], T | None], seconds: float, what: str, every: float = 0.05) -> T:
    """Polls until `probe` gives something true, and gives that; fails naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds} s it did not happen that {what}")
        time.sleep(every)


class Lab:
    """One lab by name. `facts` is its status; `virsh` asks a host itself, past Ballast."""

    def __init__(self, name: str = os.environ.get("BALLAST_E2E_LAB", "e2e")) -> None:
        self.name = name
        self.facts: dict[str, Any] = {}
        self.hosts: dict[str, dict[str, Any]] = {}
        self._lock: Any = None

    def __call__(self, *words: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([LAB, "--name", self.name, *words], capture_output=True, text=True, timeout=timeout,
                              check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"lab {' '.join(words)}: {done.stdout}{done.stderr}")
        return done

    def up(self, hosts: int = 3, memory_mib: int = 2048) -> None:
        """From nothing, so that a killed run leaves no trace in the next. One run at a time per lab name."""
        pathlib.Path("/run/ballast-lab").mkdir(exist_ok=True)
        self._lock = open(f"/run/ballast-lab/.e2e-{self.name}.lock", "w", encoding="utf-8")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self("down", check=False)
        self("guest", "build", timeout=400)
        self("up", "--sound-qemu", "--hosts", str(hosts), "--memory-mib-per-host", str(memory_mib))
        self.refresh()

    def down(self) -> None:
        """Ends everything of it."""
        self("down", check=False)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def refresh(self) -> dict[str, Any]:
        """Reads the status again."""
        self.facts = json.loads(self("--json", "status").stdout)
        self.hosts = {host["name"]: host for host in self.facts["hosts"]}
        return self.facts

    def guest_files(self) -> dict[str, str]:
        """Kernel, initrd, image and command line of the tiny guest."""
        files: dict[str, str] = json.loads(self("--json", "guest", "info").stdout)
        return files

    def virsh(self, host: str, *words: str, check: bool = True, timeout: float = 60) -> str:
        """virsh's output on one host."""
        done = subprocess.run(["virsh", "-q", "-c", self.hosts[host]["uri"], *words], capture_output=True, text=True,
                              timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"virsh on {host}: {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def domains(self, host: str, *flags: str) -> set[str]:
        """UUIDs of the domains of a host: `--all` unless told otherwise."""
        return set(self.virsh(host, "list", "--uuid", *(flags or ("--all",))).split())

    def names(self, host: str) -> set[str]:
        """Names of all domains of a host."""
        return set(self.virsh(host, "list", "--all", "--name").split())

    def where(self, vm: str, *flags: str) -> list[str]:
        """The hosts that define `vm` (a UUID), or with flags those where it is so."""
        return [host for host in self.hosts if vm in self.domains(host, *flags)]

    def state(self, host: str, vm: str) -> str:
        """virsh domstate --reason, or "" where it is not defined."""
        return self.virsh(host, "domstate", vm, "--reason", check=False)

    def guest_xml(self, name: str, *options: str) -> pathlib.Path:
        """A domain for virsh, in a file."""
        path = pathlib.Path(self.facts["shared_dir"], f"{name}.xml")
        path.write_text(self("guest", "xml", name, *options).stdout, encoding="utf-8")
        return path

    def console(self, name: str) -> pathlib.Path:
        """Where the serial console of `name` is written."""
        return pathlib.Path(self.facts["console_dir"], f"{name}.log")

    def wipe(self) -> None:
        """Removes every domain from every host that can be asked."""
        for host in self.hosts:
            for uuid in self.domains(host):
                self.virsh(host, "destroy", uuid, check=False)
                self.virsh(host, "undefine", uuid, check=False)
