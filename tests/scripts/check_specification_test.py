#!/usr/bin/python3
"""scripts/check_specification.py on trees in which one thing is wrong."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_specification.py"
TABLE = "| Promise | Test |\n|---|---|\n"


class Specification(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("docs/SPECIFICATION.md", TABLE + "| it adds | `Sum.Adds` |\n| it runs | `run_test.py::test_runs` |\n")
        self.write("tests/unit/CMakeLists.txt", "ballast_test(sum_test SOURCES sum_test.cpp)\n")
        self.write("tests/unit/sum_test.cpp", "TEST(Sum, Adds) {}\n")
        self.write("tests/e2e/CMakeLists.txt", "foreach(name run stop)\n  add_test(NAME ${name} COMMAND python3 ${name}_test.py)\nendforeach()\n")
        self.write("tests/e2e/run_test.py", "def test_runs(lab):\n    pass\n")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def check(self) -> tuple[int, str]:
        done = subprocess.run([sys.executable, SCRIPT, self.root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def test_accepts_a_tree_in_which_each_promise_has_a_test_that_runs(self) -> None:
        self.assertEqual(self.check(), (0, "specification: 2 promises, 0 pending at least in part, 2 references to tests\n"))

    def test_names_a_test_that_does_not_exist(self) -> None:
        self.write("docs/SPECIFICATION.md", TABLE + "| it adds | `Sum.Multiplies` |\n")
        self.assertEqual(self.check(), (1, "docs/SPECIFICATION.md:3: no test is named Sum.Multiplies\n"))

    def test_names_a_promise_without_a_test(self) -> None:
        self.write("docs/SPECIFICATION.md", TABLE + "| it adds | `Sum.Adds` |\n| it flies | |\n")
        self.assertEqual(self.check(), (1, "docs/SPECIFICATION.md:4: names no test and does not say *pending*\n"))

    def test_names_a_python_test_that_no_ctest_runs(self) -> None:
        self.write("tests/e2e/walk_test.py", "def test_walks(lab):\n    pass\n")
        self.assertEqual(self.check(), (1, "tests/e2e/walk_test.py: no CMakeLists.txt runs it\n"))

    def test_takes_neither_a_comment_nor_a_longer_name_for_a_recipe(self) -> None:
        self.write("tests/e2e/CMakeLists.txt", "# run_test.py\nadd_test(NAME other COMMAND python3 dry_run_test.py)\n")
        self.assertEqual(self.check(), (1, "tests/e2e/run_test.py: no CMakeLists.txt runs it\n"))

    def test_names_a_cpp_test_that_no_target_compiles(self) -> None:
        self.write("tests/unit/product_test.cpp", "TEST(Product, Multiplies) {}\n")
        self.assertEqual(self.check(), (1, "tests/unit/product_test.cpp: no CMakeLists.txt runs it\n"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
