#!/usr/bin/python3
"""Checks who includes whom (ARCHITECTURE.md 1), file size budgets and marks of unfinished work. Prints each offence; exit code 1 when there is one."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folder (longest match wins) -> what it may include from the project, beside itself.
ALLOWED = {
    "core": set(),
    "scheduler": {"core"},
    "migration": {"core"},
    "memory": {"core"},
    "storage": {"core"},
    "network": {"core"},
    "drivers": {"core"},
    "drivers/libvirt": {"core", "drivers"},
    "drivers/simulated": {"core", "drivers"},
    "daemon/config": {"core"},
    "daemon/store": {"core"},
    "daemon/jobs": {"core", "scheduler", "migration", "memory", "storage", "network", "drivers", "daemon/store", "daemon/reconcile"},
    "daemon/reconcile": {"core", "migration", "storage", "network", "memory", "drivers", "daemon/store", "daemon/jobs"},
    "daemon/overcommit": {"core", "scheduler", "memory", "drivers", "daemon/store", "daemon/jobs", "daemon/reconcile"},
    "daemon/api": {"core", "scheduler", "migration", "memory", "storage", "network", "drivers", "daemon/store", "daemon/jobs", "daemon/reconcile", "daemon/overcommit", "daemon/config"},
    "daemon": None,  # the composition root sees everything
    "cli": {"core", "scheduler", "migration", "memory", "storage", "network"},
    "tests": None,
    "bench": None,
    "lab": set(),
    "cmake": set(),
    "packaging": {"core", "daemon/config"},  # prints the sample file from the code
}
PURE = ("core", "scheduler", "migration", "memory", "storage", "network")
FORBIDDEN_IN_PURE = re.compile(r"#include <(thread|mutex|fstream|iostream|random|unistd\.h|sys/|boost/asio|spdlog|libvirt|SQLiteCpp|chrono_clock)")
CLOCK_SEAM = "core/clock."  # the one place where core names a clock and randomness
LONGEST_FILE = 500
LONGEST_TEST = 600
MARKS = re.compile(r"\b(TODO|FIXME|XXX)\b")


def folder_of(path: str) -> str:
    parts = path.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        folder = "/".join(parts[:depth])
        if folder in ALLOWED:
            return folder
    return ""


def offences(path: str) -> list[str]:
    text = (ROOT / path).read_text()
    own = folder_of(path)
    allowed = ALLOWED.get(own)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        include = re.match(r'#include "([^"]+)"', line)
        if include and allowed is not None:
            other = folder_of(include.group(1))
            if other and other != own and other not in allowed:
                found.append(f"{path}:{number}: {own} may not include {include.group(1)}")
        if own in PURE and not path.startswith(CLOCK_SEAM) and FORBIDDEN_IN_PURE.match(line):
            found.append(f"{path}:{number}: {own} is pure: {line}")
        if "<libvirt/" in line and line.startswith("#include") and own not in ("drivers/libvirt", "tests"):
            found.append(f"{path}:{number}: only drivers/libvirt includes libvirt")
        if "<SQLiteCpp/" in line and line.startswith("#include") and own not in ("daemon/store", "tests", "bench"):
            found.append(f"{path}:{number}: only daemon/store includes SQL")
        if MARKS.search(line):
            found.append(f"{path}:{number}: mark of unfinished work: {line.strip()}")
    lines, longest = text.count("\n"), LONGEST_TEST if own == "tests" else LONGEST_FILE
    if lines > longest:
        found.append(f"{path}: {lines} lines, more than {longest}")
    return found


def main() -> int:
    files = subprocess.run(["git", "ls-files", "*.h", "*.cpp"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    found = [offence for path in files for offence in offences(path)]
    print("\n".join(found) if found else f"layers: {len(files)} files, no offence")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
