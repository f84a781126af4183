#!/usr/bin/python3
"""Checks that every test that docs/SPECIFICATION.md names exists in tests/: `Suite.Name` (GoogleTest) or `file.py::test_name`; and that a
CMakeLists.txt runs every file of tests/, or such a test would be a promise that nobody keeps.

`check_specification.py ROOT` looks at another tree (this script's own test does)."""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
MACRO = re.compile(r"\b(?:TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(\s*(\w+)\s*,\s*(\w+)")
PYTHON_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)
LOOP = re.compile(r"foreach\(\s*(\w+)\s+([^)]*)\)(.*?)endforeach", re.DOTALL)
NAMED = re.compile(r"`([A-Z]\w+\.[A-Z]\w+|\w+\.py::test_\w+)`")


def existing() -> set[str]:
    found = set()
    for path in (ROOT / "tests").rglob("*"):
        if path.suffix in (".cpp", ".h"):
            found.update(f"{suite}.{name}" for suite, name in MACRO.findall(path.read_text()))
        elif path.suffix == ".py":
            found.update(f"{path.name}::{name}" for name in PYTHON_TEST.findall(path.read_text()))
    return found


def words_of(recipe: pathlib.Path) -> str:
    """A CMakeLists.txt with its loops unrolled and without its comments: what it names."""
    def unroll(loop: re.Match) -> str:
        variable, items, body = loop.groups()
        return " ".join(body.replace("${" + variable + "}", item) for item in items.split())
    return LOOP.sub(unroll, re.sub(r"#.*", "", recipe.read_text()))


def never_run() -> list[str]:
    """Files with tests that neither their folder's CMakeLists.txt names nor one above it."""
    missing = []
    for path in sorted((ROOT / "tests").rglob("*_test.*")):
        if path.suffix == ".cpp" and not MACRO.search(path.read_text()) or path.suffix not in (".cpp", ".py"):
            continue
        above = [folder / "CMakeLists.txt" for folder in path.parents if folder.is_relative_to(ROOT / "tests")]
        named = re.compile(rf"(?<![\w.-]){re.escape(path.name)}(?![\w.-])")
        if not any(recipe.is_file() and named.search(words_of(recipe)) for recipe in above):
            missing.append(f"{path.relative_to(ROOT)}: no CMakeLists.txt runs it")
    return missing


def main() -> int:
    text = (ROOT / "docs" / "SPECIFICATION.md").read_text()
    tests = existing()
    named = 0
    missing = never_run()
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
