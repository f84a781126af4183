"""Running commands, identifying processes, waiting.

Decides how a failed step is reported. Never signals a process whose start time is not the recorded one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class LabError(Exception):
    """A step failed; the message names the object and the way out."""


def say(message: str) -> None:
    """Reports progress to a person: standard error, so that --json stays clean."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


def run(argv: Sequence[str], *, check: bool = True, stdin: str | None = None,
        timeout: float = 60.0, hint: str = "") -> str:
    """Runs a command and returns its standard output; a failure becomes a LabError with what it printed."""
    try:
        done = subprocess.run(list(argv), input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise LabError(f"'{argv[0]}' is not installed: apt-get install $(cat lab/packages.txt)") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"'{' '.join(argv)}' did not end within {timeout:.0f} s. {hint}".rstrip()) from error
    if check and done.returncode != 0:
        detail = (done.stderr or done.stdout).strip()
        raise LabError(f"'{' '.join(argv)}' failed ({done.returncode}): {detail}. {hint}".rstrip())
    return done.stdout


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Polls `condition` until it holds; a LabError names `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"gave up after {seconds:.0f} s waiting until {what}")
        time.sleep(0.02)


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command name, or none when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


@dataclass(frozen=True)
class Process:
    """A process by pid and start time (clock ticks after boot), so that a reused pid is never taken for it."""

    pid: int
    start: int

    @staticmethod
    def of(pid: int) -> Process:
        """Identifies the living process `pid`."""
        fields = _stat_fields(pid)
        if not fields:
            raise LabError(f"process {pid} ended as soon as it was started")
        return Process(pid, int(fields[19]))

    def state(self) -> str:
        """The kernel's state letter, or '' when the process is gone, a zombie, or another one has its pid."""
        fields = _stat_fields(self.pid)
        if not fields or int(fields[19]) != self.start or fields[0] in "ZX":
            return ""
        return fields[0]

    def alive(self) -> bool:
        """Whether this very process still runs (a stopped one does)."""
        return self.state() != ""

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal if it is still this process."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def end(self, seconds: float = 10.0) -> None:
        """Kills it and waits until it is gone."""
        self.signal(signal.SIGKILL)
        wait_until(lambda: not self.alive(), seconds, f"process {self.pid} is gone")


def end_all(list_pids: Callable[[], list[int]], what: str, seconds: float = 15.0) -> None:
    """Kills what `list_pids` names until it names nobody: children born meanwhile are caught by the next round."""

    def round_of_kills() -> bool:
        living = [p for p in map(_identify, list_pids()) if p is not None and p.alive()]
        for process in living:
            process.signal(signal.SIGKILL)
        return not living

    wait_until(round_of_kills, seconds, f"every process of {what} is gone")


def _identify(pid: int) -> Process | None:
    fields = _stat_fields(pid)
    return Process(pid, int(fields[19])) if fields else None
