"""The machine's KSM, which all labs share: taken by one run at a time, and given back as it was found."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import pathlib
import time
from typing import Any

FOLDER = pathlib.Path("/sys/kernel/mm/ksm")
LOCK = pathlib.Path("/run/ballast-lab/.ksm.lock")
KEPT = ("merge_across_nodes", "pages_to_scan", "sleep_millisecs", "run")
TICK = os.sysconf("SC_CLK_TCK")
UNMERGE_S = 60


@dataclasses.dataclass(frozen=True)
class Scan:
    """How ksmd scans. pages_to_scan of 0: it does not."""

    pages: int
    sleep_ms: int


KERNEL = Scan(100, 20)  # what the kernel begins with
PAUSED = Scan(0, 20)


def read(name: str) -> int:
    """One counter or setting."""
    return int((FOLDER / name).read_text(encoding="ascii"))


def write(name: str, value: int) -> None:
    """One setting; an error names it."""
    try:
        (FOLDER / name).write_text(str(value), encoding="ascii")
    except OSError as error:
        raise AssertionError(f"{FOLDER / name} does not take {value} ({error.strerror}): is the kernel's KSM advisor on?") from error


def daemon_seconds() -> float:
    """CPU time of ksmd."""
    return _seconds_of(_daemon())


def _daemon() -> pathlib.Path:
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and _comm(entry) == "ksmd":
            return entry
    raise AssertionError("there is no ksmd: this kernel has no KSM, or /proc hides its threads")


def merged_pages() -> int:
    """Of all processes that live. The counters of KSM itself still have those of dead ones until ksmd comes by."""
    total = 0
    for file in pathlib.Path("/proc").glob("[0-9]*/ksm_merging_pages"):
        try:
            total += int(file.read_text(encoding="ascii") or 0)  # a kernel thread has none
        except OSError:
            continue  # it ended meanwhile
    return total


def _comm(entry: pathlib.Path) -> str:
    try:
        return (entry / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""  # it ended meanwhile


def _seconds_of(entry: pathlib.Path) -> float:
    words = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICK


class Ksm:
    """`with Ksm() as ksm`. Nobody else may use it meanwhile: what is found merged by others is an error."""

    def __init__(self) -> None:
        self._found: dict[str, int] = {}
        self._lock: Any = None

    def __enter__(self) -> "Ksm":
        LOCK.parent.mkdir(exist_ok=True)
        self._lock = open(LOCK, "w", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise AssertionError(f"another run holds {LOCK}: KSM is the machine's, wait until it has ended") from error
        if (pages := merged_pages()) > 0:
            self._lock.close()
            raise AssertionError(f"KSM has merged {pages} pages already: end the guests of other labs first, their pages would be counted")
        self._found = {name: read(name) for name in KEPT}
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()  # the counters too: those of guests that ended would stay
            for name in KEPT:
                write(name, self._found[name])
        finally:
            self._lock.close()

    def start(self, scan: Scan) -> None:
        """As at boot: nothing is merged, ksmd scans so."""
        self.stop()
        self.tune(scan)
        write("run", 1)

    def stop(self) -> None:
        """Takes apart what is merged. While guests lack memory that may be refused (ENOMEM), so it is tried again."""
        deadline = time.monotonic() + UNMERGE_S
        while True:
            write("run", 2)
            if read("pages_sharing") == 0:
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"after {UNMERGE_S} s KSM still shares {read('pages_sharing')} pages: is there room to take them apart?")
            time.sleep(0.2)

    def tune(self, scan: Scan) -> None:
        """Changes the pace only."""
        write("pages_to_scan", scan.pages)
        write("sleep_millisecs", scan.sleep_ms)

    def pause(self) -> None:
        """ksmd stands still; what is merged stays merged (run = 0)."""
        write("run", 0)

    def go_on(self, scan: Scan) -> None:
        """The opposite."""
        self.tune(scan)
        write("run", 1)
