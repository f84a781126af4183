#!/usr/bin/python3
"""Checks that every test that docs/SPECIFICATION.md names exists in tests/: `Suite.Name` (GoogleTest) or `file.py::test_name`."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MACRO = re.compile(r"\b(?:TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(\s*(\w+)\s*,\s*(\w+)")
PYTHON_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)
NAMED = re.compile(r"`([A-Z]\w+\.[A-Z]\w+|\w+\.py::test_\w+)`")


def existing() -> set[str]:
    found = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix in (".cpp", ".h"):
            found.update(f"{suite}.{name}" for suite, name in MACRO.findall(path.read_text()))
        elif path.suffix == ".py":
            found.update(f"{path.name}::{name}" for name in PYTHON_TEST.findall(path.read_text()))
    return found


def main() -> int:
    text = (ROOT / "docs" / "SPECIFICATION.md").read_text()
    tests = existing()
    named = 0
    missing = []
    for number, line in enumerate(text.splitlines(), 1):
        for name in NAMED.findall(line):
            named += 1
            if name not in tests:
                missing.append(f"docs/SPECIFICATION.md:{number}: no test is named {name}")
        if line.startswith("|") and "*pending*" not in line and not NAMED.search(line) and not re.match(r"\|( Promise|-)", line):
            missing.append(f"docs/SPECIFICATION.md:{number}: names no test and does not say *pending*")
    if not named:
        missing.append("docs/SPECIFICATION.md names no test at all")
    rows = [line for line in text.splitlines() if re.match(r"\| (?!Promise)", line)]
    pending = sum("*pending*" in line for line in rows)
    print("\n".join(missing) if missing else f"specification: {len(rows)} promises, {pending} pending at least in part, {named} references to tests")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
