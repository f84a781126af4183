"""Cases that a program of this tree measures in process: its JSON lines are passed on, and what they missed is noted."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Sequence


def run_in_process(program: pathlib.Path, words: Sequence[str], missed: list[str]) -> None:
    """`words` is its command line; to `missed` comes what was promised and not met, and that it failed."""
    with subprocess.Popen([str(program), *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            row = json.loads(line)
            if row["met"] is False:
                missed.append(f"{row['case']}: {row['metric']}")
    if process.returncode != 0:
        missed.append(f"{program.name} {' '.join(words)} ended with {process.returncode}")
